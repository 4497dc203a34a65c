"""The paper's networks: search spaces and generators of the published sizes."""

import numpy as np
import pytest

from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.networks import PRESETS
from tfmeta.registry import resolve
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.pruning_net import PruningNet


def built(name):
    preset = resolve(PRESETS, name, "preset")
    return preset, ChannelGraph.from_model(preset.build())


@pytest.mark.parametrize(
    ("name", "genes", "millions"), [("mobilenet_v1", 13, 105.1), ("mobilenet_v2", 25, 240.7), ("resnet50", 20, 774.0)]
)
def test_genes_and_size_of_the_generators_are_the_published_ones(name, genes, millions):
    preset, graph = built(name)
    space = preset.space(graph)
    assert space.num_genes == genes
    shapes = {node.layer: node.weights["kernel"] for node in graph.nodes if "kernel" in node.weights}
    # Two layers with biases: the encoding to the hidden units, those to the kernel.
    total = sum(
        preset.hidden[layer] * (len(groups) + 1) + (preset.hidden[layer] + 1) * np.prod(shapes[layer])
        for layer, groups in preset.encodings.items()
    )
    assert round(total / 1e6, 1) == millions


def test_the_pruning_net_of_mobilenet_v1_has_the_published_weights():
    preset, graph = built("mobilenet_v1")
    options = PruningNetOptions(preset.hidden, preset.encodings, dict.fromkeys(preset.affine, True), "uniform")
    net = PruningNet(graph, preset.space(graph), options)
    # Kernels of 864 (stem), 9 a depthwise and 1 a pointwise channel pair; 33 times each, and 2 or 3 times 32 a layer:
    # stem 864, depthwise 9 * 4,960 = 44,640, pointwise 3,139,584; 33 * 3,185,088 + 64 + 26 * 96 = 105,110,464.
    assert net.hypernetwork_params() == 105_110_464
    # One kernel is left, the classifier's; the stem and the depthwise convolutions have a scale and an offset.
    plain = {layer.name for layer in net.layers if any(weight.name == "kernel" for weight in layer.weights)}
    assert plain == {"logits"}
    affine = {layer.name for layer in net.layers if any(weight.name == "gamma" for weight in layer.weights)}
    assert affine == {"stem_bn", *(f"block{index}_dw_bn" for index in range(1, 14))}
