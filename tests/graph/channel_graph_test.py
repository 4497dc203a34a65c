"""Channel groups, derived by hand for one network of every way in which channels are coupled."""

import re

import numpy as np
import pytest

from tests import hazards, nets
from tfmeta import ChannelGraph, Selection, Structure
from tfmeta.errors import GraphError, SpaceError
from tfmeta.lazy import keras

# Every group as (name, size, producers, consumers, why it is pinned).
INPUT = ("image", 3, "image")
GROUPS = {
    "plain": [
        (*INPUT, "conv1", "model input"),
        ("conv1", 6, "conv1", "conv2", None),
        ("conv2", 8, "conv2", "dense", None),  # Flatten: 8 channels, though the dense layer reads 8 x 16 numbers
        ("dense", 5, "dense", "logits", None),
        ("logits", 4, "logits", "", "model output"),
    ],
    "residual": [
        (*INPUT, "stem", "model input"),
        ("stem", 6, "stem a2", "a1 b1 b_short", None),  # joined by a_add, and read after it
        ("a1", 5, "a1", "a2", None),
        ("b1", 7, "b1", "b2", None),
        ("b2", 8, "b2 b_short", "logits", None),  # joined by b_add
        ("logits", 4, "logits", "", "model output"),
    ],
    "depthwise": [
        (*INPUT, "stem", "model input"),
        ("stem", 6, "stem", "dw1 pw1", None),
        ("pw1", 8, "pw1", "dw2 pw2", None),  # 16 channels after dw2, two for each of these
        ("pw2", 10, "pw2", "dw3 logits", None),
        ("logits", 4, "logits", "", "model output"),
    ],
    "concat": [
        (*INPUT, "stem", "model input"),
        ("stem", 6, "stem", "left right after", None),  # the middle of the join, and what both branches read
        ("left", 5, "left", "after", None),
        ("right", 7, "right", "after", None),
        ("after", 9, "after", "logits", None),
        ("logits", 4, "logits", "", "model output"),
    ],
    "squeeze_excite": [
        (*INPUT, "stem", "model input"),
        ("stem", 8, "stem se_expand", "se_reduce after", None),  # joined by the multiplication
        ("se_reduce", 3, "se_reduce", "se_expand", None),
        ("after", 6, "after", "logits", None),
        ("logits", 4, "logits", "", "model output"),
    ],
}


def _rows(graph):
    return [(g.name, g.size, " ".join(g.producers), " ".join(g.consumers), g.pinned) for g in graph.groups]


def _graph(outputs, image):
    return ChannelGraph.from_model(keras.Model(image, outputs))


def _conv(x, filters, name, kernel=1, **options):
    return keras.layers.Conv2D(filters, kernel, padding="same", name=name, **options)(x)


@pytest.mark.parametrize("name", nets.TINY)
def test_groups_of_the_tiny_networks(name):
    assert _rows(ChannelGraph.from_model(nets.tiny(name))) == GROUPS[name]


def test_flatten_repeats_every_channel_in_the_dense_layer():
    graph = ChannelGraph.from_model(nets.tiny("plain"))
    dense = next(node for node in graph.nodes if node.name == "dense")
    conv2 = graph.groups[2]
    # The map is 4 x 4 x 8 in row-major order, so the channels come 16 times in turn.
    assert (graph.axes[dense.roles["in"]] == np.tile(conv2.offset + np.arange(8), 16)).all()
    assert graph.counts[dense.roles["in"]].tolist() == [0, 0, 16, 0, 0]


def test_depth_multiplier_repeats_every_channel():
    graph = ChannelGraph.from_model(nets.tiny("depthwise"))
    pw2 = next(node for node in graph.nodes if node.name == "pw2")
    assert (graph.axes[pw2.roles["in"]] == np.repeat(graph.groups[2].offset + np.arange(8), 2)).all()


def test_groups_of_a_convolution_keep_equally_many():
    image = keras.Input((8, 8, 3), name="image")
    x = _conv(image, 6, "before")
    x = _conv(x, 9, "grouped", 3, groups=3)
    rows = _rows(_graph(_conv(x, 2, "after"), image))
    # Three groups of 2 inputs and 3 outputs: channels 0, 2, 4 (and 1, 3, 5) of the input stay or go together, as do
    # 0, 3, 6 (and so on) of the output. So 2 and 3 free choices.
    assert ("before", 2, "before", "grouped", None) in rows
    assert ("grouped", 3, "grouped", "after", None) in rows


def test_an_addition_to_a_concatenation_splits_a_group():
    image = keras.Input((8, 8, 3), name="image")
    left, right, whole = _conv(image, 3, "left"), _conv(image, 5, "right"), _conv(image, 8, "whole")
    join = keras.layers.Concatenate(name="join")([left, right])
    x = keras.layers.Add(name="add")([join, whole])
    rows = _rows(_graph(_conv(x, 2, "after"), image))
    # The first 3 channels of `whole` go with `left`, the last 5 with `right`.
    assert [row[1] for row in rows if row[3] == "after"] == [3, 5]
    assert sorted(row[2] for row in rows if row[3] == "after") == ["left whole", "right whole"]


def test_one_branch_read_twice_by_a_concatenation():
    image = keras.Input((8, 8, 3), name="image")
    x = _conv(image, 4, "twice")
    graph = _graph(_conv(keras.layers.Concatenate(name="join")([x, x]), 2, "after"), image)
    after = next(node for node in graph.nodes if node.name == "after")
    assert [(group.name, group.size) for group in graph.searchable] == [("twice", 4)]
    assert graph.counts[after.roles["in"], 1] == 2


def test_a_layer_used_twice_joins_what_it_reads_and_what_it_makes():
    image = keras.Input((8, 8, 3), name="image")
    shared = keras.layers.Conv2D(5, 1, name="shared")
    first, second = _conv(image, 4, "first"), _conv(image, 4, "second")
    a, b = shared(first), shared(second)
    x = keras.layers.Concatenate(name="join")([a, b])
    graph = _graph(_conv(x, 2, "after"), image)
    found = [(group.size, set(group.producers), group.consumers) for group in graph.searchable]
    assert found == [(4, {"first", "second"}, ("shared",)), (5, {"shared"}, ("after",))]
    assert [node.name for node in graph.nodes if node.layer == "shared"] == ["shared", "shared:2"]


def test_multiplying_by_one_channel_pins_it():
    image = keras.Input((8, 8, 3), name="image")
    x, gate = _conv(image, 4, "wide"), _conv(image, 1, "gate", activation="sigmoid")
    graph = _graph(_conv(keras.layers.Multiply(name="scale")([x, gate]), 2, "after"), image)
    pinned = {group.name: group.pinned for group in graph.groups}
    assert pinned["gate"] == "broadcast over the channels in scale"
    assert pinned["wide"] is None


def test_a_convolution_of_one_channel_is_an_ordinary_one():
    # With one input channel, groups=1 equals the number of channels, which otherwise means depthwise.
    image = keras.Input((8, 8, 1), name="image")
    graph = _graph(_conv(_conv(image, 6, "stem", 3), 2, "after"), image)
    assert [(group.name, group.size) for group in graph.searchable] == [("stem", 6)]


@pytest.mark.parametrize("activation", ["softmax", "log_softmax", "sparsemax"])
def test_what_mixes_channels_is_pinned(activation):
    image = keras.Input((8, 8, 3), name="image")
    inside = _conv(image, 4, "inside", activation=activation)
    x = keras.layers.Activation(activation, name="beside")(_conv(image, 4, "before"))
    x = keras.layers.Concatenate(name="join")([inside, x])
    graph = _graph(_conv(x, 2, "after"), image)
    assert {group.name: group.pinned for group in graph.groups}["inside"] == f"{activation} over the channels"
    assert not graph.searchable


def test_a_channel_pinned_twice_tells_both_reasons():
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Softmax(name="softmax")(_conv(image, 4, "scores"))
    assert _graph(x, image).groups[-1].pinned == "softmax over the channels, model output"


def test_constants_a_channel_pin_only_where_they_differ():
    image = keras.Input((8, 8, 3), name="image")
    a = keras.layers.Rescaling([1.0, 2.0, 3.0, 4.0], name="each")(_conv(image, 4, "pinned"))
    b = keras.layers.Rescaling(2.0, name="all")(_conv(image, 4, "free"))
    graph = _graph(_conv(keras.layers.Concatenate(name="join")([a, b]), 2, "after"), image)
    pinned = {group.name: group.pinned for group in graph.groups}
    assert pinned["pinned"] == "constants a channel in each"
    assert pinned["free"] is None


def test_print_is_documentation():
    assert (
        str(ChannelGraph.from_model(nets.tiny("residual")))
        == """\
ChannelGraph of 'residual': 20 calls, 4 searchable groups (26 channels), 2 pinned

searchable    size  produced by → read by
  stem           6  stem, a2 → a1, b1, b_short
  a1             5  a1 → a2
  b1             7  b1 → b2
  b2             8  b2, b_short → logits

pinned        size  produced by → read by
  image          3  image → stem  [model input]
  logits         4  logits → (output)  [model output]"""
    )


@pytest.mark.parametrize(
    ("hazard", "lines"),
    [
        # What only operations read, and what only one makes; places that stand for no channels are no group.
        ("attention_by_hand", [r" q  +4  q → (matmul\S*)  \[read whole by \1\]"]),
        ("operations", [r" (pad\S*) +2  \1 → after  \[padding in \1\]"]),
        # Eight filters in two groups are four choices of two channels each.
        ("channel_shuffle", ["first      4 x 2  first → second", r"4 searchable groups \(29 channels\), 2 pinned"]),
    ],
)
def test_print_tells_what_reads_a_group_and_how_wide_it_is(hazard, lines):
    told = str(ChannelGraph.from_model(hazards.HAZARDS[hazard].build()))
    assert not [line for line in lines if not re.search(line, told)], told
    assert "no channels" not in told


def test_a_sequential_model_works():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3, name="conv"), keras.layers.Flatten(name="flatten")]
    graph = ChannelGraph.from_model(keras.Sequential([*layers, keras.layers.Dense(4, name="logits")]))
    assert [(group.name, group.size) for group in graph.searchable] == [("conv", 6)]
    assert graph.input_shape == (8, 8, 3)


def test_the_fingerprint_knows_topology_and_not_names():
    def build(filters=6, stride=1):  # names are left to Keras, which counts them up
        image = keras.Input((8, 8, 3))
        x = keras.layers.Dropout(0.5, seed=filters)(keras.layers.Conv2D(filters, 3, stride)(image))
        return ChannelGraph.from_model(keras.Model(image, keras.layers.Dense(4)(x)))

    first, again = build(), build()
    assert [node.name for node in first.nodes] != [node.name for node in again.nodes]
    assert first.fingerprint == again.fingerprint
    assert len({first.fingerprint, build(filters=7).fingerprint, build(stride=2).fingerprint}) == 3


def test_kept_refuses_choices_of_another_graph():
    graph = ChannelGraph.from_model(nets.tiny("plain"))
    with pytest.raises(SpaceError, match="Expected widths for the 3 searchable groups of 'plain', received 2"):
        graph.kept(Structure((6, 8)))
    with pytest.raises(SpaceError, match="Group 'conv2' has 8 channels, received 9"):
        graph.kept(Structure((6, 9, 5)))
    kept = graph.kept(Selection(((0, 5), (7,), (1, 2))))
    # In order: 3 input channels, conv1, conv2, dense, 4 logits.
    assert np.flatnonzero(kept).tolist() == [0, 1, 2, 3, 8, 16, 18, 19, 22, 23, 24, 25]


def relu(x):
    """Has the name of one of Keras' activations."""
    return keras.ops.relu(x) + 0.1 * x


def test_a_function_of_ones_own_is_known_by_what_it_computes():
    def build(activation):
        image = keras.Input((8, 8, 3))
        return keras.Model(image, keras.layers.Conv2D(4, 1, activation=activation)(image))

    own, known, again = (ChannelGraph.from_model(build(function)) for function in (relu, "relu", keras.ops.relu))
    assert [graph.nodes[1].config["activation"] for graph in (own, known, again)] == [relu, "relu", "relu"]
    assert own.fingerprint == ChannelGraph.from_model(build(relu)).fingerprint
    assert len({own.fingerprint, known.fingerprint, ChannelGraph.from_model(build(hazards.plain)).fingerprint}) == 3


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("softmax", True), (keras.layers.Softmax(), True), (lambda x: 1 * keras.ops.softmax(x), True),
     (hazards.shares, False), ("sigmoid", False), (lambda x: keras.ops.max(x, (1, 2)), False)],
)  # fmt: skip
def test_probabilities_are_known_by_their_sum(activation, expected):
    image = keras.Input((3,))
    graph = ChannelGraph.from_model(keras.Model(image, keras.layers.Dense(4, activation=activation)(image)))
    assert graph.nodes[1].gives_probabilities == expected


# What cannot be read


class Unheard(keras.layers.Layer):
    def call(self, inputs):
        return inputs


def _unknown(image):
    return Unheard(name="mine")(image)


def _unknown_operation(image):
    return keras.ops.cumsum(image, axis=-1)


def _channels_first(image):
    return keras.layers.GlobalAveragePooling2D(data_format="channels_first", name="pool")(image)


def test_an_array_in_a_clip_keeps_its_channels():
    image = keras.Input((8, 8, 3))
    x = keras.ops.clip(keras.layers.Conv2D(4, 1, name="stem")(image), 0.0, np.arange(1.0, 5.0, dtype="float32"))
    graph = _graph(keras.layers.Conv2D(2, 1, name="after")(x), image)
    assert {group.name: group.pinned for group in graph.groups}["stem"].startswith("constants a channel in clip")


def _prelu_as_activation(image):
    return keras.layers.Conv2D(4, 3, activation=keras.layers.PReLU(), name="bent")(image)


def _gated(image):
    return keras.layers.Conv2D(4, 3, activation="glu", name="gated")(image)


def _other_axis(image):
    return keras.layers.BatchNormalization(axis=1, name="bn")(image)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_unknown, r"'mine' is a Unheard, for which no rule [^(]* it\. Replace.*tfmeta\.rules\.register\('Unheard'"),
        (
            _unknown_operation,
            r"is a ops\.Cumsum, for which no rule.*it \(there are rules for ops\.Sum, .*rules\.register\('ops\.C",
        ),
        (_channels_first, r"'pool' \(GlobalAveragePooling2D\) has data_format='channels_first'.*'channels_last'"),
        (_prelu_as_activation, r"'bent' \(Conv2D\) has the activation PReLU, which is a layer with weights"),
        (_gated, r"'gated' \(Conv2D\) has the activation glu, which changes the shape.*to what the layer gives"),
        (_other_axis, r"'bn' \(BatchNormalization\) normalises axis 1\. Expected the last axis"),
    ],
)
def test_a_layer_that_cannot_be_read_is_named(build, message):
    image = keras.Input((8, 8, 3))
    with pytest.raises(GraphError, match=message):
        _graph(build(image), image)


def test_only_functional_models_are_read():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(GraphError, match=r"'mine' \(Subclassed\) is subclassed.*keras\.Model\(inputs, outputs\)"):
        ChannelGraph.from_model(Subclassed(name="mine"))
    with pytest.raises(GraphError, match=r"Sequential model 'open' is not built\. Add keras\.Input"):
        ChannelGraph.from_model(keras.Sequential([keras.layers.Dense(3)], name="open"))
    with pytest.raises(GraphError, match="Expected a Keras model, received Dense"):
        ChannelGraph.from_model(keras.layers.Dense(3))


def test_the_number_of_input_channels_must_be_known():
    image = keras.Input((8, 8, None), name="image")
    with pytest.raises(GraphError, match=r"'image' has the shape \(8, 8, None\).*Input\(\(224, 224, 3\)\)"):
        _graph(keras.layers.ReLU()(image), image)
