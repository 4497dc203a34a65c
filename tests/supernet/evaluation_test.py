"""A structure is judged as the plain model that is shipped: same weights, exact statistics, same answers."""

import keras
import numpy as np
import pytest

from tests import nets
from tests.supernet import making
from tfmeta.supernet.evaluation import Evaluator
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.pruning_net import PruningNet

SMALL = (*nets.TINY, *nets.ODD)
# The project's own families, and those of Keras whose couplings no tiny network has together.
LARGE = tuple(nets.FAMILIES)


@pytest.mark.parametrize("name", SMALL)
def test_judges_the_plain_model_in_inference(name):
    net = making.shared(name)
    evaluator = Evaluator(net)
    images = nets.images(nets.tiny(name), 24)
    for structure in making.structures(net):
        calibration = [images[:16], images[16:]]
        plain = evaluator.plain_model(structure, calibration)
        _assert_weights_of(plain, making.plain_model(net, structure))
        expected = plain(images, training=False)
        making.assert_near(evaluator.network(structure, calibration)(images), expected, 1e-5)


@pytest.mark.parametrize("name", LARGE)
def test_families_equal_their_plain_models_in_training_and_inference(name):
    net = making.shared(name)
    evaluator = Evaluator(net)
    images = nets.images(nets.family(name), 24)
    (structure,) = making.structures(net, 1)
    plain = making.without_dropout(evaluator.plain_model(structure, [images]))
    _assert_weights_of(plain, making.plain_model(net, structure))
    expected = plain(images, training=False)
    # Deep networks amplify rounding, most of all where 24 images give a map of one pixel its statistics.
    making.assert_near(evaluator.network(structure, [images])(images), expected, 1e-3)
    making.assert_near(net(images, net.widths(structure)), plain(images, training=True), 1e-3)


def test_a_convolution_with_other_readers_keeps_its_values():
    image = keras.Input((8, 8, 3))
    stem = keras.layers.Conv2D(6, 3, name="stem")(image)
    x = keras.layers.ReLU()(
        keras.layers.BatchNormalization(name="norm")(stem)
    )  # before the convolution, as in ResNet v2
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="second")(x)
    x = keras.layers.BatchNormalization(name="after_activation")(x)
    x = keras.layers.Add()([stem, x])
    x = keras.layers.Dense(5, name="top", use_bias=False)(keras.layers.Flatten()(x))
    x = keras.layers.BatchNormalization(name="top_norm")(x)
    net = making.pruning_net(keras.Model(image, keras.layers.Dense(4, name="logits")(x)))
    images = np.random.default_rng(0).random((20, 8, 8, 3), "float32")
    evaluator = Evaluator(net)
    for structure in making.structures(net):
        plain = evaluator.plain_model(structure, [images])
        making.assert_near(evaluator.network(structure, [images])(images), plain(images), 1e-5)


def _assert_weights_of(plain, other):
    """Compares everything but the statistics."""
    for weight, same in zip(plain.weights, other.weights, strict=True):
        if not weight.name.startswith("moving_"):
            np.testing.assert_allclose(weight, same, rtol=1e-5, atol=1e-6)


def test_accuracy_counts_right_top_answers_for_any_size_of_batch():
    net = making.shared("residual")
    evaluator = Evaluator(net)
    images = nets.images(nets.tiny("residual"), 50)
    structure = net.space.smallest()
    answers = np.argmax(evaluator.plain_model(structure, [images])(images), -1)
    labels = np.where(np.arange(50) < 13, answers, (answers + 1) % nets.CLASSES)
    for size in (1, 7, 50):
        batches = [(images[k : k + size], labels[k : k + size]) for k in range(0, 50, size)]
        assert evaluator.accuracy(structure, [images], batches) == 13 / 50


def test_one_trace_serves_every_structure():
    class Counting(PruningNet):
        traces = 0

        def forward(self, *args, **kwargs):
            Counting.traces += 1
            return super().forward(*args, **kwargs)

    net = making.pruning_net(nets.tiny("depthwise"), kind=Counting)
    evaluator = Evaluator(net)
    images, labels = nets.images(nets.tiny("depthwise"), 30), np.arange(30) % 4
    for structure in making.structures(net, 6):
        evaluator.accuracy(
            structure, [images[:20], images[20:]], [(images[:11], labels[:11]), (images[11:], labels[11:])]
        )
    assert Counting.traces == 2  # one for the statistics, one for the answers


def test_statistics_of_the_first_layer_are_those_of_all_its_values():
    net = making.shared("plain")
    structure = net.space.smallest()
    images = nets.images(nets.tiny("plain"), 100)
    batches = [images[:7], images[7:70], images[70:]]
    mean, variance = Evaluator(net).statistics(structure, batches)["conv1_bn"]
    plain = making.plain_model(net, structure)
    values = keras.Model(plain.input, plain.get_layer("conv1").output)(images).numpy().astype("float64")
    np.testing.assert_allclose(mean, values.mean((0, 1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, values.var((0, 1, 2)), rtol=1e-5)


def test_a_normalisation_called_twice_has_the_statistics_of_both_calls():
    image = keras.Input((8, 8, 3))
    norm = keras.layers.BatchNormalization(name="norm")
    small = norm(keras.layers.Conv2D(6, 3, strides=4, name="small")(image))
    wide = norm(keras.layers.Conv2D(6, 3, name="wide")(image))
    x = keras.layers.Concatenate()([keras.layers.Flatten()(small), keras.layers.Flatten()(wide)])
    model = keras.Model(image, keras.layers.Dense(4, name="logits")(x))
    net = making.pruning_net(model)
    images = np.random.default_rng(0).random((10, 8, 8, 3), "float32")
    evaluator, structure = Evaluator(net), net.space.full()
    plain = evaluator.plain_model(structure, [images])
    parts = [plain.get_layer(name)(images).numpy().reshape(-1, 6) for name in ("small", "wide")]
    values = np.concatenate(parts)
    np.testing.assert_allclose(plain.get_layer("norm").moving_mean, values.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(plain.get_layer("norm").moving_variance, values.var(0), rtol=1e-4)
    making.assert_near(evaluator.network(structure, [images])(images), plain(images), 1e-5)


def test_normalisation_without_scale_and_offset_ships_as_ones_and_zeros():
    graph = making.shared("plain").graph
    net = PruningNet(graph, options=PruningNetOptions(affine=False))
    images = nets.images(nets.tiny("plain"), 20)
    evaluator, structure = Evaluator(net), net.space.full()
    plain = evaluator.plain_model(structure, [images])
    np.testing.assert_array_equal(plain.get_layer("conv1_bn").gamma, 1)
    np.testing.assert_array_equal(plain.get_layer("conv1_bn").beta, 0)
    making.assert_near(evaluator.network(structure, [images])(images), plain(images), 1e-5)
