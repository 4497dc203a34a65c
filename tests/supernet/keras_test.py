"""A PruningNet behaves as any Keras model does: fit, callbacks, checkpoints, mixed precision."""

import keras
import numpy as np
import pytest

from tests import nets
from tests.supernet import making
from tfmeta.graph.precision import in_single_precision
from tfmeta.supernet.evaluation import Evaluator
from tfmeta.training import plain_net

COUNT = 48


@pytest.fixture(scope="module")
def data():
    """Images whose mean tells their class."""
    labels = np.arange(COUNT) % nets.CLASSES
    images = nets.images(nets.tiny("plain"), COUNT) + labels[:, None, None, None]
    return images, labels.astype("int64")


def compiled(name="plain", dtype=None, optimizer=None):
    net = making.pruning_net(nets.tiny(name), dtype=dtype)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    return net


def draws(net):
    return next(int(weight) for weight in net.non_trainable_weights if weight.name == "draws")


def test_fit_evaluate_and_predict_take_plain_arrays(data):
    net = compiled()
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=8, restore_best_weights=True)
    history = net.fit(
        *data,
        batch_size=20,
        epochs=8,
        validation_data=data,
        verbose=0,
        callbacks=[stop, keras.callbacks.TerminateOnNaN()],
    ).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert draws(net) <= 8 * 3  # only training steps draw; the best weights may be those of an earlier step
    outputs = net.predict(data[0], batch_size=COUNT, verbose=0)
    np.testing.assert_array_equal(outputs.argmax(-1) == data[1], net(data[0]).numpy().argmax(-1) == data[1])
    results = net.evaluate(*data, batch_size=COUNT, verbose=0, return_dict=True)
    assert results["accuracy"] == pytest.approx((outputs.argmax(-1) == data[1]).mean())


def test_weights_and_draws_and_optimizer_survive_a_round_trip(data, tmp_path):
    net, other = compiled(), compiled()
    keep = keras.callbacks.ModelCheckpoint(tmp_path / "net.weights.h5", save_weights_only=True)
    net.fit(*data, batch_size=16, epochs=2, verbose=0, callbacks=[keep])
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "net.weights.h5")
    assert draws(other) == draws(net) == 6
    for loaded, saved in zip(
        [*other.weights, *other.optimizer.variables], [*net.weights, *net.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(loaded, saved)
    for each in (net, other):  # and so training goes on alike: same structures, same momentum
        each.fit(*data, batch_size=16, shuffle=False, verbose=0)
    for loaded, saved in zip(other.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_allclose(loaded, saved, rtol=1e-5, atol=1e-6)


def test_backup_and_restore_goes_on_after_the_epoch_it_was_stopped_in(data, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    net = compiled()
    with pytest.raises(InterruptedError):
        net.fit(*data, batch_size=16, epochs=4, verbose=0, callbacks=[backup(), Stop()])
    again = compiled()
    history = again.fit(*data, batch_size=16, epochs=4, verbose=0, callbacks=[backup()])
    assert history.epoch == [2, 3]
    assert draws(again) == 12


def test_checkpoint_of_another_network_is_refused_by_keras(data, tmp_path):
    compiled("concat").save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(ValueError):
        compiled("plain").load_weights(tmp_path / "net.weights.h5")


@pytest.mark.parametrize(("name", "policy"), [("squeeze_excite", "mixed_float16"), ("depthwise", "mixed_bfloat16")])
def test_mixed_precision_computes_in_half_and_answers_in_whole(name, policy, data):
    net = compiled(name, policy)
    half = policy.removeprefix("mixed_")
    assert {layer.compute_dtype for layer in net.layers if not layer.weights} == {half}
    assert {weight.dtype for weight in net.trainable_weights} == {"float32"}
    history = net.fit(*data, batch_size=16, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert isinstance(net.optimizer, keras.optimizers.LossScaleOptimizer) == (half == "float16")
    structure = net.space.smallest()
    outputs = net(data[0], net.widths(structure))
    assert outputs.dtype == "float32"
    # Half precision has 8 bits or more: the plain float32 model of the structure agrees to a few of them.
    evaluator = Evaluator(net)
    plain = evaluator.plain_model(structure, [data[0]])
    assert plain.compute_dtype == "float32"
    making.assert_near(outputs, plain(data[0], training=True), 0.1)
    assert 0 <= evaluator.accuracy(structure, [data[0]], [data]) <= 1


def test_the_global_policy_is_followed_and_overrides_what_the_model_was_built_with(data):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = nets.TINY["squeeze_excite"]()
        half = making.pruning_net(model)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert {layer.compute_dtype for layer in half.layers if not layer.weights} == {"bfloat16"}
    whole = making.pruning_net(model)
    assert {layer.compute_dtype for layer in whole.layers} == {"float32"}
    making.assert_near(plain_net(model)(data[0]), in_single_precision(model)(data[0], training=True), 1e-4)


def test_is_never_compiled_by_xla_unasked():
    # XLA needs sizes that are known when it compiles; those of a PruningNet are drawn in every step.
    net = making.pruning_net(nets.tiny("plain"))
    assert not net.supports_jit
    net.compile("sgd", "mse")
    assert not net.jit_compile
