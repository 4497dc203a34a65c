"""The networks and search spaces of the MetaPruning paper, against the numbers that its repository gives."""

import functools

import numpy as np
import pytest

from tfmeta import ChannelGraph, Structure, cost
from tfmeta.errors import SpaceError
from tfmeta.lazy import keras
from tfmeta.networks import PRESETS
from tfmeta.registry import resolve

each_preset = pytest.mark.parametrize("name", PRESETS)

# The vector printed in issue 35 of the MetaPruning repository: stem and the 17 blocks' stages, then the 17 middles.
V2_ISSUE_35 = (
    *(18, 23, 18, 18, 28, 28, 28, 27, 27, 27, 27, 2, 2, 2, 12, 12, 12, 15),
    *(4, 12, 25, 23, 20, 14, 24, 8, 19, 26, 2, 10, 24, 16, 6, 26, 10),
)
# The ids that the repository lists for a ResNet-50 of 1.0 G.
R50_1G = (*(19, 9, 15, 13), *(10, 9, 10, 6, 9, 13, 11, 12, 7, 18, 7, 13, 12, 10, 19, 18))


@functools.cache
def _preset(name):
    """The preset and the channel graph of its full network."""
    preset = resolve(PRESETS, name, "preset")
    return preset, ChannelGraph.from_model(preset.build())


def _millions(graph, structure):
    """MACs in millions: as we count, and as the repository counts."""
    return tuple(cost.macs(graph, structure, convention) / 1e6 for convention in ("standard", "metapruning"))


def _dense_macs(graph):
    return next(np.prod(node.weights["kernel"]) for node in graph.nodes if node.op == "Dense") / 1e6


# Full networks: conv + dense multiply-adds, and the repository's formula.
@pytest.mark.parametrize(
    ("name", "standard", "repository"),
    [("mobilenet_v1", 568.7, 573.8), ("mobilenet_v2", 569.5, 579.3), ("resnet50", 4089.2, 4111.7)],
)
def test_macs_of_the_full_networks(name, standard, repository):
    preset, graph = _preset(name)
    full = preset.space(graph).full()
    assert _millions(graph, full) == pytest.approx((standard, repository), abs=0.05)
    assert preset.structure(graph, [-1] * len(preset.ids)) == full


@pytest.mark.parametrize(
    ("ratio", "standard", "repository"), [(0.75, 325.4, 329.2), (0.5, 149.5, 152.0), (0.25, 41.0, 42.3)]
)
def test_macs_of_narrower_mobilenet_v1(ratio, standard, repository):
    _, graph = _preset("mobilenet_v1")
    uniform = Structure(tuple(int(ratio * group.size) for group in graph.searchable))
    assert _millions(graph, uniform) == pytest.approx((standard, repository), abs=0.05)


@pytest.mark.parametrize(
    ("name", "ids", "convolutions", "standard", "repository"),
    [
        ("mobilenet_v2", V2_ISSUE_35, 201.009, 202.289, 207.977),
        ("resnet50", R50_1G, 1025.507, 1027.555, 1038.427),
    ],
)
def test_macs_of_the_repositorys_vectors(name, ids, convolutions, standard, repository):
    preset, graph = _preset(name)
    structure = preset.structure(graph, ids)
    assert preset.space(graph).contains(structure)
    assert _millions(graph, structure) == pytest.approx((standard, repository), abs=0.0006)
    # The classifier is never narrowed, so what is left are the convolutions.
    assert standard - _dense_macs(graph) == pytest.approx(convolutions, abs=0.0006)


@pytest.mark.parametrize(("name", "genes"), [("mobilenet_v1", 13), ("mobilenet_v2", 25), ("resnet50", 20)])
def test_gene_counts(name, genes):
    preset, graph = _preset(name)
    space = preset.space(graph)
    assert space.num_genes == genes
    assert set(space.num_options[space.num_options > 1]) <= set(range(2, 32))


def test_widths_of_the_full_networks():
    _, v1 = _preset("mobilenet_v1")
    assert [group.size for group in v1.searchable] == [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    _, v2 = _preset("mobilenet_v2")
    sizes = {group.name: group.size for group in v2.searchable}
    # A middle is six times the width of what the block reads; the first block's is as wide as that.
    inputs = [44, 22, *[33] * 2, *[44] * 3, *[88] * 4, *[132] * 3, *[224] * 3]
    middles = [sizes[f"block{block}_expand_conv"] for block in range(1, 18)]
    assert middles == [44, *(6 * width for width in inputs[1:])]
    stages = [sizes[f"block{block}_project_conv"] for block in (1, 2, 4, 7, 11, 14, 17)]
    assert stages == [22, 33, 44, 88, 132, 224, 448]
    _, r50 = _preset("resnet50")
    sizes = {group.name: group.size for group in r50.searchable}
    assert [sizes[f"stage{stage}_block1_3_conv"] for stage in range(1, 5)] == [256, 512, 1024, 2048]


@each_preset
def test_what_the_paper_never_narrows(name):
    preset, graph = _preset(name)
    space = preset.space(graph)
    for group, options in zip(space.names, space.choices, strict=True):
        assert (len(options) == 1) == (group in preset.pinned)
    (classifier,) = (node for node in graph.nodes if node.op == "Dense")
    assert {graph.groups[index].name for index in graph.groups_of_axis(classifier.roles["in"])} == set(preset.pinned)


@each_preset
def test_every_kernel_but_the_classifiers_has_a_generator(name):
    preset, graph = _preset(name)
    kernels = {node.layer for node in graph.nodes if "kernel" in node.weights}
    assert set(preset.encodings) == set(preset.hidden) == kernels - {"logits"}
    groups = {group.name for group in graph.searchable}
    assert {group for names in preset.encodings.values() for group in names} <= groups


def test_generators_read_the_widths_around_them():
    v1, graph = _preset("mobilenet_v1")
    assert v1.encodings["stem_conv"] == ("stem_conv",)
    assert v1.encodings["block1_dw_conv"] == v1.encodings["block1_pw_conv"] == ("stem_conv", "block1_pw_conv")
    assert set(v1.hidden.values()) == {32}
    norms = {node.layer for node in graph.nodes if node.op == "BatchNormalization"}
    assert norms - v1.affine == {f"block{block}_pw_bn" for block in range(1, 14)}

    v2, _ = _preset("mobilenet_v2")
    for part in ("expand", "dw", "project"):  # the third block: the second of its stage
        layer = f"block3_{part}_conv"
        assert v2.encodings[layer] == ("block3_expand_conv", "block2_project_conv", "block2_project_conv")
        assert v2.hidden[layer] == 64
    assert v2.encodings["block4_dw_conv"] == ("block4_expand_conv", "block2_project_conv", "block4_project_conv")
    assert v2.encodings["head_conv"] == ("block17_project_conv",)
    assert (v2.hidden["stem_conv"], v2.hidden["head_conv"], v2.affine) == (32, 32, frozenset())

    r50, _ = _preset("resnet50")
    around = ("stage2_block1_1_conv", "stage1_block1_3_conv", "stage2_block1_3_conv")
    assert {r50.encodings[f"stage2_block1_{layer}_conv"] for layer in ("shortcut", "1", "2", "3")} == {around}
    assert (set(r50.hidden.values()), r50.affine) == ({32}, frozenset())


# Totals of the repository's PruningNets without classifier; V1's is known exactly, the others to 0.1 million.
@pytest.mark.parametrize(
    ("name", "millions", "tolerance"),
    [("mobilenet_v1", 105.110464, 1e-9), ("mobilenet_v2", 240.7, 0.05), ("resnet50", 774.0, 0.05)],
)
def test_number_of_weights_of_all_generators(name, millions, tolerance):
    preset, graph = _preset(name)
    kernels = {node.layer: np.prod(node.weights["kernel"]) for node in graph.nodes if "kernel" in node.weights}
    total = 0
    for layer, groups in preset.encodings.items():
        hidden = preset.hidden[layer]
        total += (len(groups) + 1) * hidden  # first dense layer, with bias
        total += (hidden + 1) * kernels[layer]  # second one, as wide as the flat kernel, with bias
    # The 31 pairs of gamma and beta that each affine batch norm of V1 has besides would be 169,830 more.
    assert total / 1e6 == pytest.approx(millions, abs=tolerance)


def test_scale_ids_are_truncated_percentages():
    preset, graph = _preset("mobilenet_v1")
    ids = [0, 1, 2, 30, 29, -1, *[7] * 7]
    # 32 * 10 %, 64 * 13 %, 128 * 16 %, the full 128, 256 * 97 %, the full 256; six 512 and one 1024 at 31 %.
    widths = (3, 8, 20, 128, 248, 256, *[158] * 6, 317, 1024)
    assert preset.structure(graph, ids).widths == widths


def test_tied_middles_of_resnet50_follow_one_id():
    preset, graph = _preset("resnet50")
    widths = dict(zip(preset.space(graph).names, preset.structure(graph, R50_1G).widths, strict=True))
    assert widths["stage1_block1_1_conv"] == widths["stage1_block1_2_conv"] == int(64 * 0.40)  # id 10
    assert widths["stage4_block1_3_conv"] == 2048


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((3,) * 12, "Expected 35 scale ids, received 12"),
        ((31, *V2_ISSUE_35[1:]), "Expected scale ids from -1 to 30, received 31"),
        (
            (*V2_ISSUE_35[:3], 19, *V2_ISSUE_35[4:]),
            "'block2_project_conv' has two different scale ids, 19 is the second",
        ),
    ],
)
def test_bad_vectors_are_told(ids, message):
    preset, graph = _preset("mobilenet_v2")
    with pytest.raises(SpaceError, match=message):
        preset.structure(graph, ids)


@each_preset
def test_a_preset_is_built_at_other_sizes_too(name):
    preset, full = _preset(name)
    graph = ChannelGraph.from_model(preset.build((32, 32, 3), 10))
    assert preset.space(graph) == preset.space(full)


def test_activations_are_of_the_kinds_that_the_repository_counts_or_not():
    kinds = {name: {node.op for node in _preset(name)[1].nodes} for name in PRESETS}
    assert "ReLU" not in kinds["mobilenet_v1"] | kinds["mobilenet_v2"]
    assert {"ReLU", "MaxPooling2D", "GlobalAveragePooling2D"} <= kinds["resnet50"]
    pool = resolve(PRESETS, "mobilenet_v1", "preset").build().get_layer("pool")
    assert isinstance(pool, keras.layers.AveragePooling2D)
    assert pool.pool_size == (7, 7)
