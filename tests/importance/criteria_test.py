"""Laws of every criterion, and each against its formula written out for a net of a few channels."""

import functools

import numpy as np
import pytest

from tests import nets
from tests.hazards import HAZARDS
from tfmeta import ChannelGraph, SearchSpace, Selection, l1_scores, prune
from tfmeta.errors import UserError
from tfmeta.graph.answers import gives_probabilities
from tfmeta.graph.channel_graph import is_kernel
from tfmeta.graph.keras_layer import weights as weights_of
from tfmeta.importance import CRITERIA, NEED_DATA
from tfmeta.importance.gates import Gates
from tfmeta.importance.question import Question
from tfmeta.lazy import keras, tf
from tfmeta.registry import resolve


def _question(name, images=6):
    model = nets.tiny(name)
    rng = np.random.default_rng(7)
    data = nets.images(model, images), np.arange(images) % nets.CLASSES
    return Question(model, ChannelGraph.from_model(model), rng, *data)


@functools.cache
def _scores(criterion, name):
    return resolve(CRITERIA, criterion, "criterion")(_question(name))


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise"])
@pytest.mark.parametrize("criterion", sorted(set(CRITERIA) - {"bn_gamma"}))
def test_one_finite_score_a_channel_and_not_all_alike(criterion, name):
    question = _question(name)
    scores = _scores(criterion, name)
    assert [len(score) for score in scores] == [group.size for group in question.graph.searchable]
    for score in scores:
        assert np.isfinite(score).all()
        assert np.ptp(score) > 0
    selection = Selection.largest(SearchSpace.from_graph(question.graph, multiple_of=1).uniform(0.5), scores)
    prune(question.model, selection)


def _kernel(question, layer):
    return np.asarray(question.layers[layer].kernel, np.float64)


def test_norms_are_averaged_over_a_group_with_every_layer_alike():
    question = _question("residual")
    found = {"l1": lambda k: np.abs(k).sum((0, 1, 2)), "l2": lambda k: np.sqrt((k**2).sum((0, 1, 2)))}
    for criterion, norm in found.items():
        norms = [norm(_kernel(question, layer)) for layer in ("b2", "b_short")]
        expected = sum(each / each.mean() for each in norms) / 2
        np.testing.assert_allclose(_scores(criterion, "residual")[3], expected, rtol=1e-9)
    public = l1_scores(question.graph, question.model)
    for one, other in zip(public, _scores("l1", "residual"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm"])
def test_a_stage_of_more_blocks_is_worth_no_more(criterion):
    def stage(x, filters, blocks, name):
        x = keras.layers.Conv2D(filters, 1, name=name)(x)
        for block in range(blocks):
            y = keras.layers.Conv2D(8, 1, name=f"{name}_{block}_narrow")(x)
            x = keras.layers.Add()([x, keras.layers.Conv2D(filters, 1, name=f"{name}_{block}_wide")(y)])
        return x

    image = keras.Input((8, 8, 3))
    x = stage(stage(image, 16, 1, "short"), 16, 6, "long")
    x = keras.layers.Dense(nets.CLASSES)(keras.layers.GlobalAveragePooling2D()(x))
    model = nets.randomise(keras.Model(image, x), np.random.default_rng(1))
    graph = ChannelGraph.from_model(model)
    scores = resolve(CRITERIA, criterion, "criterion")(Question(model, graph, np.random.default_rng(0)))
    assert [score.mean() for score in scores] == pytest.approx([1] * len(graph.searchable))


def test_fpgm_is_the_sum_of_distances():
    filters = _kernel(_question("residual"), "a1").reshape(-1, 5).T
    distances = np.array([sum(np.linalg.norm(one - other) for other in filters) for one in filters])
    np.testing.assert_allclose(_scores("fpgm", "residual")[1], distances / distances.mean(), rtol=1e-6)


def test_lamp_is_a_share_of_what_is_at_least_as_large():
    squares = (_kernel(_question("residual"), "a1") ** 2).sum((0, 1, 2))
    expected = [one / squares[squares >= one].sum() for one in squares]
    np.testing.assert_allclose(_scores("lamp", "residual")[1], expected, rtol=1e-9)
    assert max(_scores("lamp", "residual")[1]) == 1


def test_bn_gamma_is_read_from_the_normalisations():
    question = _question("residual")
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="bn")(keras.layers.Conv2D(4, 3, name="first")(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3)(x))
    model.get_layer("bn").gamma.assign([0.1, -2.0, 0.5, 0.0])
    asked = Question(model, ChannelGraph.from_model(model), question.rng)
    (score,) = resolve(CRITERIA, "bn_gamma", "criterion")(asked)
    np.testing.assert_allclose(score, [0.1, 2.0, 0.5, 0.0], rtol=1e-6)
    with pytest.raises(UserError, match=r"'bn_gamma' needs a .* and 1 of 3 have none, first 'dense'\. Take one of l1,"):
        resolve(CRITERIA, "bn_gamma", "criterion")(_question("plain"))


@pytest.mark.parametrize(("name", "layer"), [("plain", "conv1_bn"), ("residual", "a1_bn")])
def test_gates_are_the_change_of_the_loss_with_a_factor_on_a_channel(name, layer):
    keras.config.set_floatx("float64")  # activations cross zero between finite steps, so steps must be small
    keras.config.set_dtype_policy("float64")
    try:
        model = nets.randomise(nets.TINY[name](), np.random.default_rng(1))
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    images, labels = nets.images(model, 6).astype("float64"), np.arange(6) % nets.CLASSES
    question = Question(model, ChannelGraph.from_model(model), np.random.default_rng(0), images, labels)
    gates = Gates(question).of(images, labels)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    group = next(group for group in question.graph.groups if group.name == layer.removesuffix("_bn"))
    weights = [question.layers[layer].gamma, question.layers[layer].beta]
    before = [np.array(weight) for weight in weights]
    for channel in range(group.size):
        losses = []
        for factor in (1 + 1e-6, 1 - 1e-6):
            scale = np.where(np.arange(group.size) == channel, factor, 1)
            for weight, value in zip(weights, before, strict=True):
                weight.assign(value * scale)
            losses.append(float(loss(labels, model(images, training=False))))
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)
        expected = (losses[0] - losses[1]) / 2e-6
        assert gates[group.offset + channel] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def _by_kernels(question):
    """Gates from the kernels that read a channel: a factor on it is one on all weights that it is multiplied with."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(question.labels, question.model(question.images, training=False))
    found = np.zeros(question.graph.num_channels)
    nodes = {node.layer: node for node in question.graph.nodes if node.layer in question.layers}
    named = [(node, *pair) for node in nodes.values() for pair in weights_of(question.layers[node.layer]).items()]
    gradients = tape.gradient(value, [weight.value for *_, weight in named], unconnected_gradients="zero")
    for (node, name, weight), gradient in zip(named, gradients, strict=True):
        depthwise = name == "kernel" and (node.op.startswith("Depthwise") or weight.shape[-2:] == (1, node.shape[-1]))
        if not is_kernel(name) or depthwise:
            continue
        roles = node.rule.weights[name]
        for place, role in enumerate(roles, len(weight.shape) - len(roles)):
            if role in ("in", "in_per_group", "key", "value"):
                products = np.moveaxis(np.asarray(weight * gradient, np.float64), place, 0)
                np.add.at(found, question.graph.axes[node.roles[role]], products.reshape(len(products), -1).sum(1))
    return found


@pytest.mark.parametrize("name", [*nets.TINY, *HAZARDS])
def test_gates_are_felt_by_all_kernels_that_read_a_channel_and_by_no_other(name):
    model = nets.tiny(name) if name in nets.TINY else nets.randomise(HAZARDS[name].build(), np.random.default_rng(1))
    if len(model.inputs) + len(model.outputs) > 2:
        return
    images = nets.images(model, 6)
    labels = np.random.default_rng(0).integers(0, model.output_shape[-1], (6, *model.output_shape[1:-1]))
    question = Question(model, ChannelGraph.from_model(model), np.random.default_rng(0), images, labels)
    both = Gates(question).of(images, labels), _by_kernels(question)
    found, expected = (question.by_group(gates) for gates in both)
    size = max(np.abs(group).max() for group in expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * size)


def test_gates_of_a_stream_stand_behind_its_joins():
    """Of "stem", a layer with batch normalisation and one without, joined; and read twice."""
    question = _question("residual")
    layers, loss = question.layers, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    factors = tf.ones(6)
    with tf.GradientTape() as tape:
        tape.watch(factors)
        stem = layers["stem_relu"](layers["stem_bn"](layers["stem"](question.images)))
        a = layers["a2"](layers["a1_relu"](layers["a1_bn"](layers["a1"](stem * factors))))
        a = layers["a_relu"](layers["a_add"]([stem, a]) * factors)
        b = layers["b2"](layers["b1_relu"](layers["b1_bn"](layers["b1"](a))))
        b = layers["b_relu"](layers["b_bn"](layers["b_add"]([b, layers["b_short"](a)])))
        value = loss(question.labels, layers["logits"](layers["pool"](b)))
    found = question.by_group(Gates(question).of(question.images, question.labels))
    np.testing.assert_allclose(found[0], tape.gradient(value, factors), rtol=1e-4, atol=1e-6)


def _softmax(x):
    return keras.layers.Softmax()(x)


@pytest.mark.parametrize(
    "ending",
    [
        _softmax,
        keras.layers.Activation("softmax"),
        keras.ops.softmax,
        lambda x: keras.layers.Activation("linear", dtype="float32")(_softmax(x)),
        lambda x: keras.layers.Reshape((nets.CLASSES,))(_softmax(keras.layers.Reshape((1, nets.CLASSES))(x))),
        lambda x: keras.layers.Dropout(0.5)(keras.layers.Identity()(keras.ops.squeeze(_softmax(x[:, None]), 1))),
    ],
)
def test_probabilities_are_known_behind_what_leaves_them_as_they_are(ending):
    logits = nets.tiny("plain")
    model = keras.Model(logits.input, ending(logits.output))
    found = []
    for each in (logits, model):
        graph = ChannelGraph.from_model(each)
        assert gives_probabilities(graph) == (each is model)
        images = nets.images(each, 6)
        question = Question(each, graph, np.random.default_rng(0), images, np.arange(6) % nets.CLASSES)
        found.append(question.by_group(Gates(question).of(question.images, question.labels)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5 * np.abs(one).max())


def test_fisher_is_taylor_of_single_images():
    question = _question("plain", images=1)
    taylor, fisher = (resolve(CRITERIA, name, "criterion")(question) for name in ("taylor", "fisher"))
    for one, other in zip(taylor, fisher, strict=True):
        np.testing.assert_allclose(other, one / 2, rtol=1e-6)


@pytest.mark.parametrize("criterion", sorted(NEED_DATA))
def test_data_is_asked_for(criterion):
    question = _question("plain")
    blind = Question(question.model, question.graph, question.rng)
    with pytest.raises(UserError, match=f"criterion '{criterion}' needs images and labels. Pass some"):
        resolve(CRITERIA, criterion, "criterion")(blind)
    model = HAZARDS["several_inputs_and_outputs"].build()
    several = Question(model, ChannelGraph.from_model(model), question.rng, question.images, question.labels)
    with pytest.raises(UserError, match=rf"'{criterion}' needs a model from one .*has 2 and 2\. Take one of"):
        resolve(CRITERIA, criterion, "criterion")(several)
