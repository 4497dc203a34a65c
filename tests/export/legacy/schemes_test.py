"""Schemes that train, on a network that has learned to read digits: what they promise is in the file."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.projects import CLASSES
from tfmeta import data
from tfmeta.data.options import DataOptions
from tfmeta.errors import ExportError, TrainingError, UserError
from tfmeta.export import SCHEMES, TRAINED_SCHEMES, verify
from tfmeta.export.layer_errors import layer_errors
from tfmeta.export.legacy import kernels, qat
from tfmeta.export.tflite import export_tflite
from tfmeta.export.tuning import TuneOptions
from tfmeta.lazy import keras, tf
from tfmeta.registry import resolve
from tfmeta.training import TrainOptions, train_plain

TRAIN = TrainOptions(epochs=1, batch_size=64, learning_rate=0.01, augment=False, calibration_images=200)
TUNE = TuneOptions(TRAIN, sparsity=0.6, clusters=8)


@pytest.fixture(scope="module")
def splits():
    return data.load("digits", DataOptions())


@pytest.fixture(scope="module")
def reader(splits):
    """A convolution with batch normalisation, one without, and a dense layer."""
    keras.utils.set_random_seed(0)
    image = keras.Input(splits.image_shape, name="image")
    x = keras.layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(keras.layers.Rescaling(1 / 127.5, -1.0)(image))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Conv2D(16, 3, 2, padding="same", activation="relu", name="middle")(x)
    x = keras.layers.Dense(CLASSES, name="logits")(keras.layers.Flatten()(x))
    start = TrainOptions(epochs=8, batch_size=32, augment=False, calibration_images=200)
    return train_plain(keras.Model(image, x, name="reader"), splits, start)


def _kernels(result) -> list[np.ndarray]:
    """The constant kernels in a file, in the order of the operators."""
    interpreter = Interpreter(str(result.path))
    interpreter.allocate_tensors()
    operators = [operator for operator in result.contents.operators if operator.op in ("CONV_2D", "FULLY_CONNECTED")]
    return [interpreter.get_tensor(operator.inputs[1].index) for operator in operators]


@pytest.mark.parametrize("name", sorted(TRAINED_SCHEMES))
def test_scheme_is_registered_under_its_own_name(name):
    scheme = resolve(TRAINED_SCHEMES, name, "scheme")
    assert scheme.name == name and scheme.description and scheme.train is not None


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_others_do_not_train(name):
    assert resolve(SCHEMES, name, "scheme").train is None


def test_zeros_and_clusters_are_kept_through_quantization(reader, splits, tmp_path, monkeypatch):
    scheme = resolve(TRAINED_SCHEMES, "sparse_clustered_qat", "scheme")
    trained = scheme.train(reader, splits, TUNE, tmp_path / "steps")
    assert trained.details["sparsity"] == pytest.approx(0.6, abs=0.02)
    assert trained.details["clusters"] <= TUNE.clusters + 1
    samples, _ = splits.search.sample(100, 0)
    result = export_tflite(trained, tmp_path / "m.tflite", scheme.name, reference_samples=samples)
    assert result.agreement.class_agreement >= 0.98  # the file rounds as the network did in training
    assert verify.split_accuracy(result.path, splits.test) > 0.9
    assert result.training["steps"] == ["sparse", "clustered", "qat"]
    # Against the network before, of which the training has made another one.
    expected = verify.compare(result.path, reader, samples)
    assert result.float_agreement == expected != result.agreement
    first, *kernels_in_file = _kernels(result)
    assert np.mean(first == 0) < 0.2  # the layer that reads the image is left alone
    for kernel in kernels_in_file:
        assert np.mean(kernel == 0) > 0.55
    # One scale for the whole kernel; those of convolutions have one a channel, and so more distinct integers.
    assert len(np.unique(kernels_in_file[-1])) <= TUNE.clusters + 1
    # A second time, everything is found in the folder.
    monkeypatch.setattr(kernels, "fit", None)
    monkeypatch.setattr(qat, "fit", None)
    again = scheme.train(reader, splits, TUNE, tmp_path / "steps")
    np.testing.assert_array_equal(again.model(samples[:4], training=False), trained.model(samples[:4], training=False))


def test_clusters_move_like_the_mean_of_their_weights(reader, splits, monkeypatch):
    seen = []
    clustered = kernels.clustered(reader, splits, TUNE)
    monkeypatch.setattr(qat, "fit", lambda legacy, *args, **options: seen.append(legacy))
    qat.quantized(clustered, splits, TUNE, keep_clusters=True)
    found = [variables for layer in seen[0].layers for *_, variables in getattr(layer, "_weight_vars", ())]
    found = [variables for variables in found if "clst_impl" in variables]
    assert len(found) >= 2
    for variables in found:
        clustering = variables["clst_impl"]
        with tf.GradientTape() as tape:
            weights = clustering.get_clustered_weight(variables["pulling_indices_tf"], variables["ori_weights_vars_tf"])
            total = tf.reduce_sum(weights)
        moved = tape.gradient(total, clustering.cluster_centroids)
        np.testing.assert_allclose(tf.convert_to_tensor(moved), 1.0)  # were it the sum: as many as a cluster has


@pytest.mark.parametrize("name", ["int8_qat", "clustered_qat"])  # the latter's layers are part of several models
def test_the_layer_that_is_off_is_named_after_quantization_aware_training(name, reader, splits, tmp_path):
    trained = resolve(TRAINED_SCHEMES, name, "scheme").train(reader, splits, TUNE)
    samples, _ = splits.search.sample(100, 0)
    path = tmp_path / "m.tflite"
    with pytest.raises(ExportError, match=r"Most of the error comes from layer '(?!quant_)\w+' \(\w+: error"):
        export_tflite(trained, path, name, reference_samples=samples, max_relative_error=1e-7)
    assert not path.exists()
    export_tflite(trained, path, name, reference_samples=samples)
    kernel = trained.model.get_layer("quant_middle").weights[0]
    kernel.assign(-kernel)
    assert layer_errors(path, trained.model, samples)[0].layer == "middle"


def test_two_zeros_in_every_four(reader, splits):
    trained = resolve(TRAINED_SCHEMES, "sparse_2_4", "scheme").train(reader, splits, TUNE)
    for layer in kernels.eligible(trained.model):
        kernel = np.asarray(trained.model.get_layer(layer).kernel)
        rows = kernel.reshape(-1, kernel.shape[-1]).T.reshape(-1, 4)  # TFLite's order: outputs first
        assert np.all(np.sum(rows == 0, axis=1) >= 2), layer
    assert kernels.eligible(reader) == ("middle", "logits")


def test_a_scheme_that_trains_takes_what_it_trained(reader, splits, tmp_path):
    samples, _ = splits.search.sample(100, 0)
    with pytest.raises(ExportError, match=r"Expected what its train\(\) gives for the scheme 'sparse'"):
        export_tflite(reader, tmp_path / "m.tflite", "sparse", samples)


def test_a_schedule_that_did_not_end_is_refused(reader, splits, monkeypatch):
    monkeypatch.setattr(kernels, "fit", lambda *args, **options: None)
    with pytest.raises(ExportError, match=r"Expected kernels with 60% zeros. Received: 0\.0%"):
        kernels.sparse(reader, splits, TUNE)


def test_a_layer_that_tfmot_leaves_alone_is_named(reader, splits):
    # TFMOT clusters nothing, and says nothing, where a kernel has fewer weights than clusters.
    image = keras.Input(splits.image_shape, name="image")
    x = keras.layers.Conv2D(1, 1, name="small")(keras.layers.Conv2D(2, 1)(image))
    model = keras.Model(image, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(x)))
    with pytest.raises(ExportError, match=r"kernel of layer 'small' clustered\. Received: Conv2D"):
        kernels.clustered(model, splits, TUNE)


def test_a_network_without_such_kernels_is_refused(splits):
    image = keras.Input(splits.image_shape, name="image")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(CLASSES, 3)(image)))
    with pytest.raises(ExportError, match="whose only kernels are depthwise or read the image"):
        kernels.sparse(model, splits, TUNE)


def test_loss_that_is_no_number_is_told(reader, splits):
    wild = TuneOptions(TrainOptions(epochs=1, batch_size=64, learning_rate=1e30, warmup=0, augment=False))
    with pytest.raises(TrainingError, match=r"the loss is nan.*--tune_learning_rate"):
        kernels.sparse(reader, splits, wild)


@pytest.mark.parametrize("options", [{"sparsity": 0}, {"sparsity": 1.0}, {"clusters": 1}, {"clusters": 300}])
def test_options_out_of_range(options):
    with pytest.raises(UserError, match=f"{next(iter(options))}.*received"):
        TuneOptions(**options)
