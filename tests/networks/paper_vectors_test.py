"""Vectors of the paper's scale ids: read, written, and priced as a count written down without any graph does.

The count follows `cal_FLOPs.py` of the MetaPruning repository for images of 224 x 224 and 1000 classes: multiply-adds
of convolutions, weights and biases of the classifier, inputs of batch norm, kernel x outputs of pooling, and inputs of
activations where they are modules (in ResNet-50 only). Widths are `int(base * (10 + 3 id) / 100)`.
"""

import functools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from tfmeta import ChannelGraph, Structure, cost
from tfmeta.__main__ import main
from tfmeta.errors import SpaceError
from tfmeta.networks import PRESETS
from tfmeta.registry import resolve


class Count:
    """Adds up multiply-adds: those of convolutions and the classifier, and what the repository counts besides."""

    def __init__(self):
        self.macs = self.extras = 0

    def convolution(self, inputs, outputs, kernel, size, groups=1):
        self.macs += inputs // groups * kernel**2 * outputs * size**2
        self.extras += outputs * size**2  # its batch norm

    def classifier(self, inputs):
        self.macs += inputs * 1000
        self.extras += 1000


def _width(base, scale):
    return base if scale == -1 else base * (10 + 3 * scale) // 100


def mobilenet_v1(ids):
    bases = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    widths = [_width(base, scale) for base, scale in zip(bases, [*ids, -1], strict=True)]
    count, size = Count(), 112
    count.convolution(3, widths[0], 3, size)
    for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True):
        size //= stride
        count.convolution(before, before, 3, size, groups=before)
        count.convolution(before, after, 1, size)
    count.extras += 49 * 1024  # average pooling
    count.classifier(1024)
    return count


def mobilenet_v2(ids):
    stages = [22, *[33] * 2, *[44] * 3, *[88] * 4, *[132] * 3, *[224] * 3, 448]
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    bases = [44, *stages]
    widths = [_width(base, scale) for base, scale in zip(bases, ids[:18], strict=True)]
    count, size = Count(), 112
    count.convolution(3, widths[0], 3, size)
    for block, stride in enumerate(strides):
        middle = _width(bases[block] * (6 if block else 1), ids[18 + block])
        count.convolution(widths[block], middle, 1, size)
        size //= stride
        count.convolution(middle, middle, 3, size, groups=middle)
        count.convolution(middle, widths[block + 1], 1, size)
    count.convolution(widths[-1], 1280, 1, size)
    count.extras += 49 * 1280
    count.classifier(1280)
    return count


def resnet50(ids):
    stem, *outputs = (
        _width(base, scale) for base, scale in zip([64, 256, 512, 1024, 2048], [*ids[:4], -1], strict=True)
    )
    middles = iter(ids[4:])
    count, size = Count(), 112
    count.convolution(3, stem, 7, size)
    count.extras += stem * size**2  # its activation
    size //= 2
    count.extras += 9 * stem * size**2  # maximum pooling
    before = stem
    for stage, (out, repeats) in enumerate(zip(outputs, [3, 4, 6, 3], strict=True)):
        for block in range(repeats):
            middle = _width(64 * 2**stage, next(middles))
            small = size // 2 if stage and not block else size
            count.convolution(before, middle, 1, size)
            count.convolution(middle, middle, 3, small)
            count.convolution(middle, out, 1, small)
            if not block:
                count.convolution(before, out, 1, small)
            count.extras += middle * size**2 + middle * small**2 + out * small**2  # three activations
            before, size = out, small
    count.classifier(2048)
    return count


COUNTS = {"mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2, "resnet50": resnet50}
each_preset = pytest.mark.parametrize("name", PRESETS)
scales = strategies.integers(-1, 30)


@functools.cache
def _preset(name):
    preset = resolve(PRESETS, name, "preset")
    return preset, ChannelGraph.from_model(preset.build())


def _vector(name, genes):
    """The paper's vector of one id a gene: MobileNetV2's repeats that of a stage for each of its blocks."""
    if name != "mobilenet_v2":
        return tuple(genes)
    repeats = [1, 1, 2, 3, 4, 3, 3, 1]
    return (*np.repeat(genes[:8], repeats).tolist(), *genes[8:])


GENES = {"mobilenet_v1": 13, "mobilenet_v2": 25, "resnet50": 20}


@each_preset
@hypothesis.given(data=strategies.data())
def test_any_vector_costs_what_the_papers_count_says(name, data):
    preset, graph = _preset(name)
    ids = _vector(name, data.draw(strategies.lists(scales, min_size=GENES[name], max_size=GENES[name])))
    structure, count = preset.structure(graph, ids), COUNTS[name](ids)
    assert preset.space(graph).contains(structure)
    assert cost.macs(graph, structure) == count.macs
    assert cost.macs(graph, structure, "metapruning") == count.macs + count.extras
    written = preset.scale_ids(graph, structure)
    assert preset.structure(graph, written) == structure
    assert all(ours <= given % 31 for ours, given in zip(written, ids, strict=True))


# MobileNetV1, MobileNetV2 and ResNet-50 with every id drawn: 1st percentile, median and 99th, in millions of the
# repository's count, out of 40,000 and more vectors of the repository's own kind.
@pytest.mark.parametrize(
    ("name", "percentiles"),
    [("mobilenet_v1", (95, 191, 316)), ("mobilenet_v2", (112, 192, 291)), ("resnet50", (884, 1482, 2199))],
)
def test_drawn_vectors_cost_as_much_as_the_repositorys(name, percentiles, rng):
    preset, graph = _preset(name)
    drawn = rng.integers(0, 31, (3000, GENES[name]))
    structures = [preset.structure(graph, _vector(name, genes)) for genes in drawn]
    found = np.percentile(cost.macs(graph, structures, "metapruning") / 1e6, (1, 50, 99))
    np.testing.assert_allclose(found, percentiles, rtol=0.04)


@each_preset
def test_a_structure_outside_the_papers_space_has_no_ids(name):
    preset, graph = _preset(name)
    widths = preset.space(graph).full().widths
    with pytest.raises(SpaceError, match=r"Width 1 of group .* is not in the space, expected one of"):
        preset.scale_ids(graph, Structure((1, *widths[1:])))


def test_describe_reads_a_vector(capsys):
    vector = "--scale_ids=" + ",".join(["7"] * 12 + ["-1"])
    network = ["describe", "--model=metapruning:mobilenet_v1", "--input_shape=224,224,3", "--classes=1000"]
    assert main([*network, vector]) == 0
    count = mobilenet_v1([7] * 12 + [-1])
    told = capsys.readouterr().out
    assert f"{count.macs:,}" in told
    assert f"by the formula of the paper's repository: {(count.macs + count.extras) / 1e6:.3f} M" in told
    assert "'stem_conv': 9" in told
    assert main(["describe", "--model=vgg", vector]) == 1
    assert "Expected --model=metapruning:NAME." in capsys.readouterr().err
    assert main([*network, "--scale_ids=1,x"]) == 1
    assert "Expected numbers for --scale_ids, received '1,x'." in capsys.readouterr().err
