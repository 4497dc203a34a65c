"""Costs in closed form, against counts over the layers of pruned models and numbers derived by hand."""

import math

import numpy as np
import pytest

from tests import nets, reference
from tfmeta import ChannelGraph, SearchSpace, Structure, cost
from tfmeta.errors import GraphError, SpaceError, UserError
from tfmeta.lazy import keras

COSTS = {
    "macs": cost.macs,
    "macs as the repository": lambda graph, s: cost.macs(graph, s, "metapruning"),
    "params": cost.params,
    "bytes": cost.weight_bytes,
    "int8 bytes": lambda graph, s: cost.weight_bytes(graph, s, "int8"),
    "activations": cost.peak_activation_bytes,
}


def _repository_extras(layer, shape):
    if isinstance(layer, keras.layers.BatchNormalization | keras.layers.ReLU):
        return math.prod(shape)
    if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
        return math.prod(shape) * math.prod(layer.pool_size)
    return shape[-1] if isinstance(layer, keras.layers.Dense) else 0


# The third of the central laws, over every network and random structures.
@pytest.mark.parametrize("name", nets.ALL)
def test_cost_equals_a_count_over_the_pruned_model(name):
    for case in nets.pruned(name):
        calls = [(layer, *shapes) for layer in case.small.layers for shapes in reference.calls(layer)]
        macs = sum(reference.count_macs(*call) for call in calls)
        weights = [(weight.name.endswith("kernel"), math.prod(weight.shape)) for weight in case.small.weights]
        graph, structure = case.graph, case.structure
        assert cost.macs(graph, structure) == macs
        extras = sum(_repository_extras(layer, shape) for layer, shape, *_ in calls)
        assert cost.macs(graph, structure, "metapruning") == macs + extras
        assert cost.params(graph, structure) == case.small.count_params()
        assert cost.weight_bytes(graph, structure) == 4 * case.small.count_params()
        assert cost.weight_bytes(graph, structure, "float16") == 2 * case.small.count_params()
        assert cost.weight_bytes(graph, structure, "int8") == sum(n if kernel else 4 * n for kernel, n in weights)


@pytest.mark.parametrize("name", nets.ALL)
def test_cost_of_a_structure_is_the_full_cost_of_the_pruned_model(name):
    for case in nets.pruned(name)[:1]:
        small = ChannelGraph.from_model(case.small)
        full = Structure(tuple(group.size for group in small.searchable))
        for function in COSTS.values():
            assert function(case.graph, case.structure) == function(small, full)


@pytest.mark.parametrize("kind", COSTS)
@pytest.mark.parametrize("name", [*nets.TINY, *nets.ODD, "mobilenet_v2"])
def test_many_at_once_equal_one_by_one(name, kind, rng):
    graph = ChannelGraph.from_model(nets.any_net(name))
    space = SearchSpace.from_graph(graph, multiple_of=1)
    structures = [space.sample(rng) for _ in range(50)]
    singles = [COSTS[kind](graph, structure) for structure in structures]
    assert all(type(value) is int for value in singles)
    many = COSTS[kind](graph, structures)
    assert many.dtype == np.int64
    assert many.tolist() == singles
    assert COSTS[kind](graph, np.array([s.widths for s in structures])).tolist() == singles
    assert COSTS[kind](graph, []).shape == (0,)


@pytest.mark.parametrize("kind", COSTS)
def test_no_cost_falls_when_a_width_grows(kind, rng):
    graph = ChannelGraph.from_model(nets.tiny("residual"))
    space = SearchSpace.from_graph(graph, multiple_of=1, min_ratio=0.1)
    widths = np.array([space.sample(rng).widths for _ in range(100)])
    for group, size in enumerate(space.sizes):
        wider = widths.copy()
        wider[:, group] = np.minimum(size, wider[:, group] + 1)
        assert (COSTS[kind](graph, wider) >= COSTS[kind](graph, widths)).all()


def test_macs_and_params_by_hand():
    graph = ChannelGraph.from_model(nets.tiny("plain"))
    # conv1 3x3 over 8x8, 3 to 6 channels; conv2 3x3 over 4x4, 6 to 8; dense 4*4*8 to 5; logits 5 to 4.
    assert cost.macs(graph, Structure((6, 8, 5))) == 9 * 64 * 18 + 9 * 16 * 48 + 128 * 5 + 20
    # Kernels as above; a bias in all but conv2; four numbers a channel in each batch norm.
    params = (9 * 18 + 6) + 4 * 6 + 9 * 48 + 4 * 8 + (128 * 5 + 5) + (20 + 4)
    assert cost.params(graph, Structure((6, 8, 5))) == params
    # Half of everything.
    assert cost.macs(graph, Structure((3, 4, 2))) == 9 * 64 * 9 + 9 * 16 * 12 + 64 * 2 + 8


def test_peak_activations_by_hand():
    graph = ChannelGraph.from_model(nets.tiny("squeeze_excite"))
    # Maps of 8x8: the image has 192 numbers, the stem 512 (batch norm and ReLU write over it). At the multiplication
    # the stem, 8 factors and the 512 products are alive; more than 192 + 512 before and 512 + 384 after it.
    assert cost.peak_activation_bytes(graph, Structure((8, 3, 6))) == 4 * (512 + 8 + 512)
    # With 4 of 8 channels: 192 + 256 at the stem, 256 + 4 + 256 at the multiplication, 256 + 384 after it.
    assert cost.peak_activation_bytes(graph, Structure((4, 3, 6))) == 4 * (256 + 384)
    assert cost.peak_activation_bytes(graph, Structure((4, 3, 6)), bytes_per_element=1) == 256 + 384


def test_a_shortcut_stays_alive_until_it_is_added():
    graph = ChannelGraph.from_model(nets.tiny("residual"))
    # At a_add: the stem's 6 maps of 8x8, those of a2, and the sum.
    assert cost.peak_activation_bytes(graph, Structure((6, 5, 7, 8))) == 4 * 64 * (6 + 6 + 6)
    # With 2 of 6: stem 2, a1 5 and a2 2 while a2 runs.
    assert cost.peak_activation_bytes(graph, Structure((2, 5, 7, 8))) == 4 * 64 * (2 + 5 + 2)


def test_what_is_still_read_is_not_written_over():
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 1)(image)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    y = keras.layers.Conv2D(12, 1)(y)
    pools = [keras.layers.GlobalAveragePooling2D()(tensor) for tensor in (y, x)]
    model = keras.Model(image, keras.layers.Concatenate()(pools))
    graph = ChannelGraph.from_model(model)
    # While the second convolution runs: x, which is pooled later, its 4 normalised maps, and 12 new ones.
    assert cost.peak_activation_bytes(graph, Structure(())) == 4 * 64 * (4 + 4 + 12)


def test_height_and_width_must_be_known_for_macs_only():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="free")(image)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    graph = ChannelGraph.from_model(keras.Model(image, keras.layers.Dense(2, name="logits")(x)))
    full = Structure((4,))
    assert cost.params(graph, full) == 27 * 4 + 4 + 8 + 2
    message = r"'free' \(Conv2D\) has the shape \(None, None, 4\): its cost needs fixed height and width\. Build"
    with pytest.raises(GraphError, match=message):
        cost.macs(graph, full)
    with pytest.raises(GraphError, match="needs fixed height and width"):
        cost.peak_activation_bytes(graph, full)


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        (Structure((6, 8)), "Expected 3 widths a structure, received 2"),
        ([Structure((6, 8, 5)), Structure((6, 8))], "Expected 3 widths a structure, received 2"),
        (np.array([6, 8, 5]), r"Expected 3 widths a structure, received an array of shape \(3,\)"),
        (Structure((7, 8, 5)), r"Expected widths from 1 to the group sizes \(6, 8, 5\)"),
        (np.array([[6, 0, 5]]), "Expected widths from 1"),
    ],
)
def test_structures_that_do_not_fit_are_refused(structures, message):
    graph = ChannelGraph.from_model(nets.tiny("plain"))
    with pytest.raises(SpaceError, match=message):
        cost.macs(graph, structures)


def test_unknown_ways_of_counting_are_told():
    graph, structure = ChannelGraph.from_model(nets.tiny("plain")), Structure((6, 8, 5))
    with pytest.raises(UserError, match=r"Unknown convention 'flops'.*standard.*metapruning"):
        cost.macs(graph, structure, "flops")
    with pytest.raises(UserError, match=r"Unknown dtype 'int4'\. Expected one of: float32, float16, int8"):
        cost.weight_bytes(graph, structure, "int4")
