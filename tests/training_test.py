"""Training: the same twice, the same when killed in between, clear errors, and plain models that learn."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import nets
from tests.supernet import digits, making
from tfmeta import training
from tfmeta.distillation import Distillation
from tfmeta.errors import GraphError, TrainingError, UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.supernet.pruning_net import PruningNet
from tfmeta.training import TrainOptions

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def uninterrupted():
    """A net trained for three epochs in one go, with a checkpoint that no one needs."""
    net = digits.net()
    training.fit(net, digits.splits(), digits.OPTIONS)
    return net


def assert_same_training(net, other):
    """Training on this machine repeats itself bit by bit: no tolerance."""
    for weight, same in zip(net.weights, other.weights, strict=True):
        if weight.name != "epochs":
            np.testing.assert_array_equal(weight, same, err_msg=weight.path)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(uninterrupted):
    again = digits.net()
    training.fit(again, digits.splits(), digits.OPTIONS)
    assert_same_training(again, uninterrupted)
    other = digits.net()
    training.fit(other, digits.splits(), dataclasses.replace(digits.OPTIONS, epochs=1, seed=1))
    assert np.abs(other.get_weights()[0] - again.get_weights()[0]).max() > 0


def test_killed_in_the_middle_of_an_epoch_it_ends_as_if_it_had_not_been(uninterrupted, tmp_path):
    path = tmp_path / "net.weights.h5"
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.supernet.killed_training", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout.readline() == "stuck\n"
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    net = digits.net()
    training.fit(net, digits.splits(), digits.OPTIONS, checkpoint=path)
    assert_same_training(net, uninterrupted)
    # What is done is not done again.
    done = path.read_bytes()
    training.fit(digits.net(), digits.splits(), digits.OPTIONS, checkpoint=path)
    assert path.read_bytes() == done


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The checkpoint of one epoch."""
    path = tmp_path_factory.mktemp("training") / "net.weights.h5"
    training.fit(digits.net(), digits.splits(), dataclasses.replace(digits.OPTIONS, epochs=1), checkpoint=path)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"not a checkpoint",
        lambda data: b"\0" * len(data),
        lambda data: data[:64] + bytes(2048) + data[2112:],
    ],
    ids=["half", "all but one byte", "empty", "text", "zeros", "hole"],
)
def test_a_damaged_checkpoint_is_an_error_that_names_it(damage, checkpoint, tmp_path):
    path = tmp_path / "broken.weights.h5"
    path.write_bytes(damage(checkpoint.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(TrainingError, match=r"broken\.weights\.h5 is damaged or belongs to another network.*Delete it"):
        training.fit(digits.net(), digits.splits(), digits.OPTIONS, checkpoint=path)
    assert path.read_bytes() == before


def test_the_checkpoint_of_another_network_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "other.weights.h5"
    making.pruning_net(nets.tiny("residual")).save_weights(path)
    with pytest.raises(TrainingError, match=r"other\.weights\.h5 is damaged or belongs to another network"):
        training.fit(digits.net(), digits.splits(), digits.OPTIONS, checkpoint=path)


def test_a_checkpoint_without_its_momentum_is_not_gone_on_with(checkpoint, tmp_path):
    path = tmp_path / "net.weights.h5"
    path.write_bytes(checkpoint.read_bytes())
    with pytest.raises(TrainingError, match=r"net\.weights\.h5 .*could not be loaded.*SGD"):
        training.fit(digits.net(), digits.splits(), dataclasses.replace(digits.OPTIONS, momentum=0.0), checkpoint=path)


def test_a_loss_that_is_no_number_names_the_step_and_leaves_the_checkpoint(checkpoint, tmp_path):
    path = tmp_path / "net.weights.h5"
    path.write_bytes(checkpoint.read_bytes())
    hot = dataclasses.replace(digits.OPTIONS, learning_rate=1e30, epochs=2)
    step = 2 * digits.splits().train.steps(hot.batch_size)
    with pytest.raises(TrainingError, match=rf"The loss is (nan|inf) at step {step}\. Lower the learning rate"):
        training.fit(digits.net(), digits.splits(), hot, checkpoint=path)
    assert path.read_bytes() == checkpoint.read_bytes()


def test_resumes_in_mixed_precision(tmp_path):
    path = tmp_path / "net.weights.h5"
    layers = [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(8, "relu"), keras.layers.Dense(10)]
    graph = ChannelGraph.from_model(keras.Sequential(layers))
    for epochs in (1, 2):
        net = PruningNet(graph, dtype="mixed_float16")
        training.fit(net, digits.splits(), dataclasses.replace(digits.OPTIONS, epochs=epochs), checkpoint=path)
        drawn = {weight.name: int(weight) for weight in net.non_trainable_weights}["draws"]
        # Steps that overflow count as well, though they change no weight.
        assert drawn == epochs * digits.splits().train.steps(digits.OPTIONS.batch_size)
    assert all(np.isfinite(weight).all() for weight in net.get_weights())


# Plain models


def test_a_plain_model_learns_and_comes_back_plain(tmp_path):
    splits = digits.splits()
    model = digits.model()
    before = model.get_weights()
    options = dataclasses.replace(digits.OPTIONS, epochs=6, batch_size=64)
    trained = training.train_plain(model, splits, options, logs=tmp_path / "logs")
    accuracy = training.evaluate(trained, splits.search)
    assert accuracy > 0.93
    for weight, same in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)  # the model that was given is left alone
    assert [type(layer) for layer in trained.layers] == [type(layer) for layer in model.layers]
    assert {type(layer).__module__.split(".")[0] for layer in trained.layers} == {"keras"}
    trained.save(tmp_path / "trained.keras")
    loaded = keras.models.load_model(tmp_path / "trained.keras", safe_mode=True)
    assert training.evaluate(loaded, splits.search, batch_size=33) == accuracy
    assert list((tmp_path / "logs").rglob("events*"))


def test_a_plain_model_starts_from_the_weights_that_it_has():
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(image)
    model = keras.Model(image, keras.layers.Dense(10, name="logits")(keras.layers.Flatten()(x)))
    images, _ = digits.splits().train.sample(20, 0)
    options = dataclasses.replace(digits.OPTIONS, epochs=1, learning_rate=1e-12)
    trained = training.train_plain(model, digits.splits(), options)
    making.assert_near(trained(images), model(images), 1e-5)


def test_a_model_that_gives_probabilities_learns_too():
    image = keras.Input((16, 16, 1))
    x = keras.layers.Rescaling(1 / 255)(image)
    model = keras.Model(image, keras.layers.Dense(10, "softmax", name="top")(keras.layers.Flatten()(x)))
    options = dataclasses.replace(digits.OPTIONS, epochs=4, batch_size=64)
    # The teacher is the model itself, as logits: nothing it says is wrong, so learning goes on.
    teacher = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    teacher.set_weights([np.zeros((256, 10)), np.zeros(10)])
    trained = training.train_plain(model, digits.splits(), options, teacher=teacher)
    np.testing.assert_allclose(np.sum(trained(digits.splits().search.sample(5, 0)[0]), -1), 1, rtol=1e-5)
    assert training.evaluate(trained, digits.splits().search) > 0.8


def test_a_layer_with_a_constraint_is_refused_by_name():
    image = keras.Input((16, 16, 1))
    x = keras.layers.Dense(10, kernel_constraint="max_norm", name="strict")(keras.layers.Flatten()(image))
    net = training.plain_net(keras.Model(image, x))  # which only computes
    with pytest.raises(GraphError, match=r"'strict'.*kernel_constraint"):
        training.fit(net, digits.splits(), digits.OPTIONS)


# The loss


def test_distillation_mixes_both_losses_as_the_formula_says():
    # Teacher (ln 3, 0) * 2 at temperature 2: softmax (3/4, 1/4). Student (0, 0): softmax (1/2, 1/2).
    # Cross-entropy of the two is ln 2; times temperature squared, 4 ln 2. Hard loss 1, weight 1/4: 3/4 + ln 2.
    distillation = Distillation(lambda images: images, weight=0.25, temperature=2.0)
    loss = distillation.loss(tf.constant([[2 * np.log(3), 0.0]], tf.float32), tf.zeros((1, 2)), tf.constant(1.0))
    np.testing.assert_allclose(loss, 0.75 + np.log(2), rtol=1e-6)


def test_distillation_does_not_teach_the_teacher_and_is_for_training_alone():
    teacher = tf.Variable([[1.0, -1.0]])
    student = tf.Variable([[0.0, 0.0]])
    distillation = Distillation(lambda images: teacher * images, weight=1.0, temperature=1.0)
    with tf.GradientTape() as tape:
        loss = distillation.loss(tf.ones((1, 1)), student, tf.constant(0.0))
    gradient, none = tape.gradient(loss, [student, teacher])
    assert none is None
    # Cross-entropy's gradient: what the student says less what the teacher says.
    np.testing.assert_allclose(gradient, 0.5 - tf.nn.softmax([[1.0, -1.0]]), rtol=1e-6)

    net = making.pruning_net(nets.tiny("plain"))
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels, outputs = np.zeros((2, 8, 8, 3), "float32"), np.zeros(2), np.zeros((2, 4), "float32")
    hard = float(net.compute_loss(images, labels, outputs))
    net.distil(Distillation(lambda images: tf.zeros((2, 4)), weight=0.5, temperature=3.0))
    np.testing.assert_allclose(hard, np.log(4), rtol=1e-6)
    np.testing.assert_allclose(net.compute_loss(images, labels, outputs), (1 + 9) / 2 * np.log(4), rtol=1e-6)
    np.testing.assert_allclose(net.compute_loss(images, labels, outputs, training=False), hard)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"warmup": 1.5},
        {"label_smoothing": -0.1},
        {"weight_decay": -1.0},
    ],
)
def test_options_out_of_range_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=rf"Expected {name} .*received {value}"):
        TrainOptions(**wrong)


@keras.saving.register_keras_serializable("tests.training")
class _Seen(keras.layers.Layer):
    """Tells how it was called."""

    def call(self, images):
        self.eager = getattr(self, "eager", False) or (
            tf.executing_eagerly() and not isinstance(images, keras.KerasTensor)
        )
        return images


def test_answers_are_those_of_the_model_a_few_at_a_time_and_never_eager():
    seen, image = _Seen(), keras.Input((224, 224, 1))
    middle = seen(image)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3, strides=9)(middle))
    model = keras.Model(image, [pooled, keras.layers.Dense(3)(pooled)])
    images = np.random.default_rng(0).random((25, 224, 224, 1), np.float32)
    found = list(training.answers(model, images))
    assert [[len(output) for output in batch] for batch in found] == [[20, 20], [5, 5]]
    assert not seen.eager
    for output, expected in zip(zip(*found, strict=True), model(images, training=False), strict=True):
        np.testing.assert_allclose(np.concatenate(output), expected, atol=1e-5)
    assert seen.eager
