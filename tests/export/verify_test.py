"""Outputs and accuracy of a file, and the verdict on its agreement with the model."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta import tasks
from tfmeta.errors import ExportError
from tfmeta.export import ALL_SCHEMES, litert, verify
from tfmeta.export.interface import Tolerance
from tfmeta.export.tflite import export_tflite
from tfmeta.export.verify import Agreement
from tfmeta.registry import resolve

INT8 = resolve(ALL_SCHEMES, "int8", "scheme")


@pytest.fixture(scope="module")
def int8_file(reader, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "m.tflite"
    return export_tflite(reader, path, calibration=digits[0][:100]).path


def test_outputs_do_not_depend_on_the_number_of_workers(int8_file, digits):
    one, three = (verify.outputs(int8_file, digits[2], workers=workers) for workers in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_accuracy_is_the_mean_of_right_answers(int8_file, digits):
    images, labels = digits[2], digits[3]
    right = verify.outputs(int8_file, images).argmax(axis=1) == labels
    assert verify.accuracy(int8_file, images, labels) == right.mean()


def test_split_accuracy_is_accuracy_in_batches(int8_file, digits):
    class Split:
        size = len(digits[3])
        image_shape, label_shape = digits[2].shape[1:], ()

        def batches(self, batch_size):
            del batch_size  # a small one, so that there are several
            return tf.data.Dataset.from_tensor_slices((digits[2], digits[3])).batch(150)

    expected = verify.accuracy(int8_file, digits[2], digits[3])
    assert verify.split_accuracy(int8_file, Split()) == pytest.approx(expected, abs=1e-12)


def test_integer_ends_are_quantized_with_the_scales_of_the_file(reader, digits, tmp_path):
    images = digits[0][:100]
    converter = tf.lite.TFLiteConverter.from_keras_model(
        keras.Model(image := keras.Input(batch_shape=(1, 8, 8, 1)), reader(image))
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "int8.tflite").write_bytes(converter.convert())
    answers = verify.outputs(tmp_path / "int8.tflite", images)
    same = answers.argmax(axis=1) == reader.predict_on_batch(images).argmax(axis=1)
    assert answers.dtype == np.float32 and same.mean() > 0.95


def test_agreement_of_known_outputs():
    # Two samples, three classes. Differences 0, 0, 1 and 0, 2, 0: largest 2, mean 3 / 6 = 0.5,
    # relative 2 / 4 = 0.5. The second sample changes from class 1 (4 > 3) to class 2 (3 > 2).
    expected = np.array([[3.5, 0.0, 0.0], [0.0, 4.0, 3.0]], np.float32)
    received = np.array([[3.5, 0.0, 1.0], [0.0, 2.0, 3.0]], np.float32)
    assert verify.agreement(expected, received) == Agreement(2, 0.5, 2.0, 0.5, 0.5)


@pytest.mark.parametrize(("shape", "label_shape"), [((25, 4), ()), ((25, 6, 5, 4), (6, 5)), ((25, 6, 5, 4), ())])
def test_agreement_batch_by_batch_is_that_of_all_at_once(shape, label_shape):
    rng = np.random.default_rng(0)
    expected = rng.normal(size=shape).astype(np.float32)
    received = expected + rng.normal(0, 0.3, shape).astype(np.float32)
    error = np.abs(expected - received)
    same = np.mean(expected.argmax(-1) == received.argmax(-1)) if len(shape) == 2 + len(label_shape) else None
    parts = [slice(0, 10), slice(10, 20), slice(20, 25)]
    found = verify.agreement_of(((expected[part], received[part]) for part in parts), label_shape)
    assert found.num_samples == 25
    assert found.class_agreement == (None if same is None else pytest.approx(same, abs=1e-15)) and same != 1.0
    assert found.max_abs_error == error.max()
    assert found.mean_abs_error == pytest.approx(error.mean(dtype=np.float64), rel=1e-12)
    assert found.max_relative_error == float(error.max()) / float(np.abs(expected).max())


def test_what_is_no_number_in_an_early_batch_is_not_lost():
    bad, good = np.array([[np.nan, 1.0]], np.float32), np.ones((1, 2), np.float32)
    assert np.isnan(verify.agreement_of([(good, bad), (good, good)]).max_relative_error)
    assert np.isnan(verify.agreement_of([(good, bad), (good, good)]).mean_abs_error)


def test_nothing_to_compare():
    with pytest.raises(ExportError, match=r"Expected samples to compare .* Received: none\."):
        verify.agreement_of([])


def test_compare_and_accuracy_take_a_few_images_at_a_time(reader, digits, int8_file, monkeypatch):
    images, labels = digits[2][:100], digits[3][:100]
    whole = verify.agreement(np.asarray(reader(images, training=False)), verify.outputs(int8_file, images))
    accuracy = verify.accuracy(int8_file, images, labels)
    seen = []
    run = litert.Pool.run
    monkeypatch.setattr(litert.Pool, "run", lambda pool, batch: (seen.append(len(batch)), run(pool, batch))[1])
    monkeypatch.setattr(tasks, "at_a_time", lambda *shapes: 40)
    found = verify.compare(int8_file, reader, images)
    assert seen == [40, 40, 20]
    assert found.class_agreement == whole.class_agreement
    assert found.max_abs_error == pytest.approx(whole.max_abs_error, abs=1e-4)
    assert found.mean_abs_error == pytest.approx(whole.mean_abs_error, abs=1e-5)
    assert verify.accuracy(int8_file, images, labels) == accuracy


def test_interpreters_are_one_a_core_and_at_most_16(monkeypatch):
    for cores, expected in ((None, 1), (4, 4), (96, 16)):
        monkeypatch.setattr(litert.os, "cpu_count", lambda cores=cores: cores)
        assert litert.num_workers() == expected


def test_a_pool_with_more_interpreters_than_images(int8_file, digits):
    pool = litert.Pool(int8_file, 3)
    for count in (2, 7, 1):  # the same interpreters each time
        np.testing.assert_array_equal(pool.run(digits[2][:count]), verify.outputs(int8_file, digits[2][:count]))


def test_outputs_of_another_shape():
    with pytest.raises(ExportError, match=r"outputs \[2, 3\].*Received: \[2, 4\]"):
        verify.agreement(np.zeros((2, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("agreement", "tolerance", "message"),
    [
        (Agreement(50, 0.8, 1, 1, 1), Tolerance(0.9), r"50 samples: the same class in 80\.0% of the answers"),
        (Agreement(50, 1.0, 1, 1, 0.1), Tolerance(0.9, 1e-3), r"relative error of 0\.1 \(at most"),
        # One output has no classes, so the error alone decides, also where none was asked for.
        (Agreement(50, None, 1, 1, 0.5), Tolerance(0.9), r"relative error of 0\.5 \(at most 0\.2"),
        (Agreement(50, 1.0, 1, 1, float("nan")), Tolerance(0.9, 1e-3), "relative error of nan"),
    ],
)
def test_agreement_outside_the_tolerance(agreement, tolerance, message):
    with pytest.raises(ExportError, match=message):
        verify.require(agreement, tolerance, INT8)


def test_agreement_within_the_tolerance():
    verify.require(Agreement(50, 0.9, 1.0, 1.0, 0.3), Tolerance(0.9), INT8)


@pytest.mark.parametrize("name", sorted(ALL_SCHEMES))
def test_what_to_try_fits_the_scheme(name):
    scheme = resolve(ALL_SCHEMES, name, "scheme")
    with pytest.raises(ExportError) as refused:
        verify.require(Agreement(50, 0.1, 1.0, 1.0, 0.3), Tolerance(0.9), scheme)
    advice = str(refused.value).partition(" Try ")[2]
    offered = re.findall(r'scheme="(\w+)"', advice)
    assert offered == list(scheme.finer)
    assert set(offered) <= ALL_SCHEMES.keys() - {name}
    assert offered or name == "fp32"
    # Who learned the ranges in training has no use for calibration images, and who did not train none for epochs.
    assert ("calibration images" in advice) == scheme.needs_calibration
    assert ("--tune_epochs" in advice) == (scheme.train is not None)


def test_what_loses_least_is_offered_first():
    finer = {name: resolve(ALL_SCHEMES, name, "scheme").finer for name in ALL_SCHEMES}
    assert finer["int8"] == ("int8_qat", "int16x8", "fp16")
    assert finer["sparse_clustered"] == ("sparse_clustered_qat", "int16x8", "fp16")
    assert finer["sparse_2_4"] == finer["int8_qat"] == ("int16x8", "fp16")


@pytest.mark.parametrize("values", [(90.0, None), (0.9, 0.0)])
def test_tolerance_out_of_range(values):
    with pytest.raises(ExportError, match="Received: "):
        Tolerance(*values)


def test_images_of_another_shape(int8_file):
    with pytest.raises(ExportError, match=r"shape \[8, 8, 1\].*Received: \[9, 8, 1\]"):
        verify.outputs(int8_file, np.zeros((3, 9, 8, 1), np.float32))


def test_labels_of_another_number(int8_file, digits):
    with pytest.raises(ExportError, match="397 images, 3 labels"):
        verify.accuracy(int8_file, digits[2], digits[3][:3])


def test_file_that_is_no_model(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"not a model at all, but long enough")
    with pytest.raises(ExportError, match="LiteRT cannot load"):
        verify.outputs(tmp_path / "m.tflite", np.zeros((1, 8, 8, 1), np.float32))
