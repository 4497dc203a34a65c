"""Every hazard: what can be chosen, that pruning leaves what the rest computes, what it costs, and its PruningNet."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import hazards, nets, reference
from tests.hazards import HAZARDS
from tests.supernet import making
from tfmeta import ChannelGraph, SearchSpace, Selection, Structure, cost, prune, rules
from tfmeta.errors import GraphError
from tfmeta.lazy import keras

each_hazard = pytest.mark.parametrize("name", HAZARDS)


@functools.cache
def _model(name):
    return nets.randomise(HAZARDS[name].build(), np.random.default_rng(1))


@functools.cache
def _images(name):
    rng = np.random.default_rng(3)
    found = {
        tensor.name: rng.uniform(-1, 1, (3, *tensor.shape[1:])).astype("float32") for tensor in _model(name).inputs
    }
    return found if len(found) > 1 else next(iter(found.values()))


def _choices(graph):
    space, rng = SearchSpace.from_graph(graph, multiple_of=1), np.random.default_rng(4)
    for structure in (space.sample(rng), space.sample(rng), space.smallest(), space.full()):
        yield structure
        yield Selection.largest(structure, [rng.random(group.size) for group in graph.searchable])


@each_hazard
def test_groups(name):
    graph = ChannelGraph.from_model(_model(name))
    assert {group.name: group.size for group in graph.searchable} == HAZARDS[name].searchable


@each_hazard
def test_pruned_equals_zeroed(name):
    check_pruned_equals_zeroed(_model(name), _images(name))


def check_pruned_equals_zeroed(model, images, tolerance=1e-5):
    graph = ChannelGraph.from_model(model)
    smallest = tuple(1 for _ in graph.searchable)
    for choice in _choices(graph):
        small = prune(model, choice)
        dropped = reference.dropped(graph, choice)
        with reference.zeroed(graph, model, dropped):
            expected = keras.tree.flatten(model(images, training=False))
        found = keras.tree.flatten(small(images, training=False))
        for one, other in zip(found, expected, strict=True):
            one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
            np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())
            # One channel alone becomes a constant in a normalisation over the channels.
            if (choice.structure if isinstance(choice, Selection) else choice).widths != smallest:
                assert np.abs(np.diff(one, axis=0)).max() > 1e-3 * np.abs(one).max()  # it depends on the image
        assert keras.tree.map_structure(lambda t: t.shape, small.output) == keras.tree.map_structure(
            lambda t: t.shape, model.output
        )


@each_hazard
def test_cost_equals_a_count_over_the_pruned_model(name):
    model = _model(name)
    graph = ChannelGraph.from_model(model)
    for choice in _choices(graph):
        small = prune(model, choice)
        structure = choice.structure if isinstance(choice, Selection) else choice
        assert cost.params(graph, structure) == small.count_params()
        calls = [(layer, *shapes) for layer in small.layers for shapes in reference.calls(layer)]
        assert cost.macs(graph, structure) == sum(reference.count_macs(*call) for call in calls)


def test_multiply_adds_of_attention_by_hand():
    image = keras.Input((10, 6), name="image")
    other = keras.layers.Dense(4, name="other")(keras.layers.MaxPooling1D(2)(image))
    x = keras.layers.MultiHeadAttention(2, 3, value_dim=7, name="block")(image, other)
    graph = ChannelGraph.from_model(keras.Model(image, x))
    # 5 places of 6 to 4; queries 10 of 6 to 2 heads of 3, keys 5 of 4 to 2 of 3, values 5 of 4 to 2 of 7; the products
    # 10 by 5 of 2 heads of 3 and of 7; 10 of 2 heads of 7 to 6.
    assert cost.macs(graph, Structure((4,))) == 5 * 24 + 10 * 36 + 5 * 24 + 5 * 56 + 50 * 2 * (3 + 7) + 10 * 14 * 6
    assert cost.macs(graph, Structure((2,))) == 5 * 12 + 10 * 36 + 5 * 12 + 5 * 28 + 50 * 2 * (3 + 7) + 10 * 14 * 6


@pytest.mark.parametrize(
    ("equation", "shape", "made", "expected"),
    [
        ("bhwc,cd->bhwd", (8, 8, 6), (8, 8, 5), 8 * 8 * 6 * 5),
        ("...x,xy->...y", (8, 8, 6), 5, 8 * 8 * 6 * 5),
        ("abc,cde->abde", (8, 6), (None, 2, 3), 8 * 6 * 2 * 3),
        ("ab...,bc->ac...", (6, 8, 8), 5, 8 * 8 * 6 * 5),
        ("abcd,cde->abe", (8, 6, 3), (8, 4), 8 * 6 * 3 * 4),
    ],
)
def test_multiply_adds_of_an_equation(equation, shape, made, expected):
    image = keras.Input(shape)
    graph = ChannelGraph.from_model(keras.Model(image, keras.layers.EinsumDense(equation, made)(image)))
    assert cost.macs(graph, graph.full) == expected


@pytest.mark.parametrize("name", [name for name in HAZARDS if name != "several_inputs_and_outputs"])
def test_the_pruning_net_equals_a_plain_model(name):
    net = making.pruning_net(_model(name))
    for structure in making.structures(net):
        plain = making.plain_model(net, structure)
        images = np.concatenate([_images(name)] * 4) + np.random.default_rng(0).normal(0, 0.1, (12, 1, 1, 1))
        making.assert_near(net(images, net.widths(structure)), plain(images.astype("float32"), training=True), 1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = nets.randomise(HAZARDS["squeeze_and_excite"].build(), np.random.default_rng(1))
        check_pruned_equals_zeroed(model, _images("squeeze_and_excite"), 0.05)
        small = prune(model, SearchSpace.from_graph(ChannelGraph.from_model(model), multiple_of=1).uniform(0.5))
    finally:
        keras.config.set_dtype_policy("float32")
    assert [layer.compute_dtype for layer in small.layers] == [
        layer.compute_dtype for layer in model.layers if layer.name in {la.name for la in small.layers}
    ]


def test_augmentations_inside_a_network():
    layers, image = keras.layers, keras.Input(nets.IMAGE, name="image")
    x = hazards.conv(image, 6, "stem")
    for layer in (
        layers.RandomPerspective(),
        layers.RandomElasticTransform(),
        layers.RandomGaussianBlur(),
        layers.RandomCrop(4, 4),
    ):
        x = layer(x)
    x = layers.GlobalMaxPooling2D(name="pool")(hazards.conv(x, 5, "after"))
    model = keras.Model(image, layers.Dense(nets.CLASSES, name="logits")(x))
    nets.randomise(model, np.random.default_rng(1))
    images = np.random.default_rng(0).uniform(-1, 1, (3, *nets.IMAGE)).astype("float32")
    check_pruned_equals_zeroed(model, images)


def test_changes_of_colour_before_a_network():
    layers, image = keras.layers, keras.Input(nets.IMAGE, name="image")
    x = layers.RandAugment()(layers.RandomErasing()(layers.RandomColorJitter()(image)))
    x = layers.RandomGrayscale()(layers.RandomSaturation(0.2)(layers.RandomHue(0.2)(x)))
    x = layers.GlobalMaxPooling2D(name="pool")(hazards.conv(x, 5, "stem"))
    model = keras.Model(image, layers.Dense(nets.CLASSES, name="logits")(x))
    assert [group.name for group in ChannelGraph.from_model(model).searchable] == ["stem"]
    nets.randomise(model, np.random.default_rng(1))
    check_pruned_equals_zeroed(model, np.random.default_rng(0).uniform(0, 1, (3, *nets.IMAGE)).astype("float32"))


# Layers of one's own


class Tilt(keras.layers.Layer):
    """Multiplies every channel by a weight."""

    def build(self, shape):
        self.tilt = self.add_weight(shape=(shape[-1],), initializer="ones", name="tilt")

    def call(self, inputs):
        return inputs * self.tilt


def test_rules_for_layers_of_ones_own():
    rules.register(Tilt, rules.Rule(rules.spatial, weights={"tilt": ("in",)}))
    rules.register("double", rules.Rule(rules.same))
    rules.register("mix", rules.Rule(rules.whole))
    image = keras.Input(nets.IMAGE, name="image")
    x = keras.layers.Conv2D(6, 3, name="first")(image)
    x = keras.layers.Lambda(lambda t: t * 2, name="double")(Tilt(name="tilt")(x))
    y = keras.layers.Conv2D(5, 3, name="second")(x)
    y = keras.layers.Lambda(lambda t: t[..., ::-1], name="mix")(y)
    y = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Conv2D(4, 1, name="third")(y))
    model = keras.Model(image, keras.layers.Dense(4, name="logits")(y))
    nets.randomise(model, np.random.default_rng(1))
    graph = ChannelGraph.from_model(model)
    assert {group.name: group.pinned for group in graph.groups if group.name in ("first", "second", "third")} == {
        "first": None,
        "second": "read whole by mix",
        "third": None,
    }
    check_pruned_equals_zeroed(model, np.random.default_rng(0).normal(0, 1, (2, 8, 8, 3)).astype("float32"))
    _check_pruning_net(model)


class Block(keras.layers.Layer):
    """Weights of its own, of which one is not trained, and a layer inside."""

    def build(self, shape):
        self.mix = self.add_weight(shape=(shape[-1], shape[-1]), initializer="ones", name="mix")
        self.shift = self.add_weight(shape=(shape[-1],), initializer="ones", name="shift", trainable=False)
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.norm.build(shape)

    def call(self, inputs):
        return self.norm(inputs @ self.mix) + self.shift


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_inside_a_layer_that_is_read_whole_are_copied(frozen):
    rules.register(Block, rules.Rule(rules.whole))
    rules.register(Tilt, rules.Rule(rules.same, weights={"tilt": ("in",)}))
    image = keras.Input(nets.IMAGE, name="image")
    x = Tilt(name="tilt")(Block(name="block")(hazards.conv(image, 6, "stem")))
    x = Tilt(name="other_tilt")(hazards.conv(x, 5, "after"))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(nets.CLASSES, name="logits")(x))
    model.get_layer("block").trainable = not frozen
    nets.randomise(model, np.random.default_rng(1))
    check_pruned_equals_zeroed(model, np.random.default_rng(0).normal(0, 1, (2, 8, 8, 3)).astype("float32"))
    if not frozen:
        _check_pruning_net(model)


def _documented(name):
    """The rule and the layer of docs/models.md, under another name."""
    text = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    exec(next(code for code in re.findall("```python\n(.*?)```", text, re.DOTALL) if "class Block" in code), found)
    found["Block"].__name__ = name
    rules.register(name, found["rule"])
    return found["Block"], found["rule"]


def _two_blocks(block, **options):
    image = keras.Input(nets.IMAGE, name="image")
    x = block(5, name="second", **options)(block(6, name="first", **options)(image))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(nets.CLASSES, name="logits")(x))
    return nets.randomise(model, np.random.default_rng(1))


def test_the_documented_layer_that_makes_channels():
    block, _ = _documented("Documented")
    model = _two_blocks(block)
    graph = ChannelGraph.from_model(model)
    assert {group.name: group.size for group in graph.searchable} == {"first": 6, "second": 5}
    # 3x3 taps at 8x8 places for every pair of channels, and the classifier.
    assert cost.macs(graph, Structure((2, 3))) == 9 * 64 * (3 * 2 + 2 * 3) + 3 * nets.CLASSES
    small = prune(model, Selection(((1, 4), (0, 2, 3))))
    assert small.count_params() == cost.params(graph, Structure((2, 3)))
    images = np.random.default_rng(0).normal(0, 1, (2, *nets.IMAGE)).astype("float32")
    found = np.asarray(small(images))
    for layer, dropped, kernel in (("second", [0, 2, 3, 5], "conv"), ("logits", [1, 4], None)):
        reads = model.get_layer(layer).conv.kernel if kernel else model.get_layer(layer).kernel
        value = np.array(reads)
        value[..., dropped, :] = 0
        reads.assign(value)
    np.testing.assert_allclose(found, np.asarray(model(images)), rtol=0, atol=1e-5)
    _check_pruning_net(model)


def test_a_kernel_without_multiply_adds_is_told():
    block, rule = _documented("Uncounted")
    rules.register("Uncounted", dataclasses.replace(rule, macs=None))
    graph = ChannelGraph.from_model(_two_blocks(block))
    with pytest.raises(GraphError, match=r"'first' \(Uncounted\) has the weight 'conv/kernel'.*does not tell.*macs="):
        cost.macs(graph, graph.full)
    rules.register("Uncounted", dataclasses.replace(rule, macs=lambda call: []))
    graph = ChannelGraph.from_model(_two_blocks(block))
    assert cost.macs(graph, graph.full) == 5 * nets.CLASSES


def test_a_rule_with_other_names_than_the_weights_have_is_told():
    block, rule = _documented("Misnamed")
    rules.register("Misnamed", dataclasses.replace(rule, weights={"kernel": ("in", "out")}))
    with pytest.raises(GraphError, match=r"has the weights conv/kernel, conv/bias, .* names none of them: kernel. Exp"):
        ChannelGraph.from_model(_two_blocks(block))
    rules.register("Misnamed", dataclasses.replace(rule, weights={"conv/kernel": ("in", "out")}))
    message = r"weight 'conv/bias' of layer 'first' .* keeps the shape \(6,\), and the smaller layer has \(2,\)"
    with pytest.raises(GraphError, match=message):
        prune(_two_blocks(block), Structure((2, 3)))


def _check_pruning_net(model):
    net = making.pruning_net(model)
    for structure in making.structures(net):
        images = np.random.default_rng(0).normal(0, 1, (4, 8, 8, 3)).astype("float32")
        making.assert_near(net(images, net.widths(structure)), making.plain_model(net, structure)(images), 1e-5)
