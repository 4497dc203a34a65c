"""The file is run: who computes it, and whether it agrees with a float file."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmeta.errors import UserError
from tfmeta.export import isolated, verify
from tfmeta.export.chatter import quiet
from tfmeta.export.model_metadata import OWN, embedded
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.rewrite import rewritten, set_metadata
from tfmeta.export.ship_check import FAIL, INFO, OK, WARN
from tfmeta.export.ship_run import agreement, delegation, host_delegation, read_samples
from tfmeta.export.tflite import export_tflite


@pytest.fixture(scope="module")
def files(reader, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ship")
    return {
        scheme: export_tflite(reader, folder / f"{scheme}.tflite", scheme, digits[0][:100]).path
        for scheme in ("fp32", "int8", "int16x8")
    }


def test_xnnpack_takes_over_floats_and_int8_but_not_16_bits(files):
    for scheme in ("fp32", "int8"):
        finding = host_delegation(files[scheme], required=True)
        assert finding.level == OK and finding.text.startswith("XNNPACK runs ") and "(100%)" in finding.text
    finding = host_delegation(files["int16x8"])
    assert finding.level == WARN and "XNNPACK runs 0 of" in finding.text and "CONV_2D" in finding.text
    assert host_delegation(files["int16x8"], required=True).level == FAIL


@pytest.mark.parametrize(("required", "level"), [(False, INFO), (True, FAIL)])
def test_a_runtime_that_does_not_tell(files, monkeypatch, required, level):
    monkeypatch.setattr(isolated, "coverage", lambda path: None)
    finding = host_delegation(files["fp32"], required=required)
    assert finding.level == level and "does not tell" in finding.text


def test_partly_delegated():
    finding = delegation("GPU", False, 7, 10, 2)
    assert finding.level == WARN and finding.text == "GPU runs 7 of 10 operators (70%) in 2 pieces"
    assert delegation("GPU", True, None, None, None).text == "GPU runs all of the operators"
    assert delegation("GPU", False, None, None, None, required=True).level == FAIL


def test_a_file_that_does_not_run(files, tmp_path):
    def change(model):
        code = model.operatorCodes[-1]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, "MyOwn"

    path = tmp_path / "m.tflite"
    path.write_bytes(rewritten(files["fp32"].read_bytes(), change))
    finding = host_delegation(path)
    assert finding.level == FAIL and "MyOwn" in finding.text


def test_agreement_with_a_float_file(files, digits):
    finding = agreement(files["int8"], files["fp32"], digits[0][:100], min_class_agreement=0.9)
    assert finding.level == OK and "on 100 images" in finding.text
    finding = agreement(files["int8"], files["fp32"], None, min_class_agreement=0.0)
    # The range is that of calibration, read from the file.
    assert "on 32 random images from 0 to 1 (give samples for real ones)" in finding.text
    # Far outside the range of calibration.
    wild = np.random.default_rng(0).normal(0, 9, (200, 8, 8, 1)).astype(np.float32)
    finding = agreement(files["int8"], files["fp32"], wild, min_class_agreement=1.0)
    assert finding.level == FAIL and "of the answers (at least 100.0%)" in finding.text
    finding = agreement(files["int8"], files["fp32"], digits[0][:100], max_relative_error=1e-6)
    assert finding.level == FAIL and "(at most 1e-06)" in finding.text


def _segmenter(path, sign, *, told):
    """A file that answers with three numbers for each of 8 x 8 pixels, and ``told`` says that they are classes."""
    image = keras.Input((8, 8, 1), batch_size=1, name="image")
    conv = layers.Conv2D(3, 1, name="scores")
    model = keras.Model(image, conv(image))
    conv.set_weights([sign * np.reshape([1.0, 0.5, -1.0], (1, 1, 1, 3)), np.array([0.0, 0.3, 0.4])])
    with quiet():
        data = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    if told:
        data = embedded(data, Preprocessing(8, 8, 1, "resize", (1 / 255, 0.0), ("a", "b", "c"), (8, 8)), "m")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("told", ["file", "reference"])
def test_each_pixel_is_an_answer_where_the_metadata_says_so(told, digits, tmp_path):
    reference = _segmenter(tmp_path / "reference.tflite", 1, told=told == "reference")
    same = _segmenter(tmp_path / "same.tflite", 1, told=told == "file")
    finding = agreement(same, reference, digits[0][:20], min_class_agreement=0.99)
    assert finding.level == OK and finding.text.startswith("same class as the float file on 100.0%")
    other = _segmenter(tmp_path / "other.tflite", -1, told=told == "file")
    assert agreement(other, reference, digits[0][:20]).level == FAIL
    finding = agreement(other, reference, digits[0][:20], min_class_agreement=0.99)
    assert finding.level == FAIL and "of the answers (at least 99.0%)" in finding.text


def test_maps_that_are_not_told_to_be_classes_are_judged_by_their_error(digits, tmp_path):
    reference = _segmenter(tmp_path / "reference.tflite", 1, told=False)
    same, other = (_segmenter(tmp_path / f"{sign}.tflite", sign, told=False) for sign in (1, -1))
    finding = agreement(same, reference, digits[0][:20])
    assert finding.level == OK and finding.text.startswith("relative error 0, largest difference 0")
    finding = agreement(other, reference, digits[0][:20])
    assert finding.level == FAIL and "a relative error of" in finding.text and "(at most 0.2)" in finding.text
    assert agreement(other, reference, digits[0][:20], max_relative_error=10.0).level == OK
    # What was asked for and cannot be told is no success.
    finding = agreement(same, reference, digits[0][:20], min_class_agreement=0.99)
    assert finding.level == FAIL and "neither file says that its answers are scores of classes" in finding.text


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"output": {"shape": []}}', b'{"output": {"shape": [1, "x", 2]}}'])
def test_metadata_of_another_kind(content, files, digits, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(rewritten(files["fp32"].read_bytes(), lambda model: set_metadata(model, OWN, content)))
    finding = agreement(path, files["fp32"], digits[0][:20])
    assert finding.level == FAIL and "Expected the metadata 'tfmeta' as tfmeta writes it" in finding.text


def test_a_reference_that_is_int8_itself(files):
    finding = agreement(files["int8"], files["int8"], None, min_class_agreement=0.9)
    assert finding.level == FAIL
    assert "Expected a float file as the reference" in finding.text and "values or weights in int8" in finding.text


def test_a_reference_with_weights_of_8_bits(files, by_others):
    # One computes in int8, the other in floats; neither is the network as it was trained.
    for recipe in ("dynamic_wi8_afp32", "weight_only_wi8_afp32"):
        finding = agreement(files["fp32"], by_others(recipe), None)
        assert finding.level == FAIL and "values or weights in int8" in finding.text


def _of(function, path, shape, dtype):
    """A file of another origin, with any input."""
    function = tf.function(function, input_signature=[tf.TensorSpec(shape, dtype, name="values")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    with quiet():
        path.write_bytes(converter.convert())
    return path


def test_integers_without_a_scale_stand_for_themselves(tmp_path):
    path = _of(lambda bytes_: tf.cast(bytes_, tf.float32) / 2.0, tmp_path / "m.tflite", (1, 4), tf.uint8)
    given = np.array([[3.0, 200.4, 300.0, -1.0]], np.float32)
    np.testing.assert_array_equal(verify.outputs(path, given), [[1.5, 100.0, 127.5, 0.0]])
    finding = agreement(path, path, None, max_relative_error=1e-6)
    assert finding.level == OK and "32 random images from 0 to 255" in finding.text


def test_numbers_of_things(tmp_path):
    rows = tf.constant([[1.0, 0.0], [0.0, 3.0]])
    path = _of(lambda ids: tf.reduce_sum(tf.gather(rows, ids), 1), tmp_path / "m.tflite", (1, 3), tf.int32)
    np.testing.assert_array_equal(verify.outputs(path, np.array([[0, 1, 1]], np.float32)), [[1.0, 6.0]])
    assert agreement(path, path, None).level == OK
    # LiteRT refuses it, and says why.
    finding = agreement(path, path, np.full((1, 3), 9, np.float32))
    assert finding.level == FAIL and f"LiteRT cannot run {str(path)!r}: " in finding.text and "gather" in finding.text


@pytest.mark.parametrize(
    ("function", "shape", "dtype", "told"),
    [
        (tf.logical_not, (1, 8), tf.bool, "Received: bool"),
        (tf.abs, (1, 8), tf.complex64, "Received: complex64"),
        (tf.abs, (2, 8), tf.float32, "Expected a file for one image at a time, [1, ...] at the input and the output"),
        (tf.abs, (), tf.float32, "Received: [] in "),
        (lambda values: tf.reduce_sum(values, 0), (1, 8), tf.float32, "Received: [8] in "),
    ],
)
def test_ends_that_are_no_images_are_told(function, shape, dtype, told, tmp_path):
    path = _of(function, tmp_path / "m.tflite", shape, dtype)
    finding = agreement(path, path, None)
    assert finding.level == FAIL and told in finding.text


def test_samples_of_another_shape(files):
    finding = agreement(files["int8"], files["fp32"], np.zeros((3, 9, 9, 1), np.float32), min_class_agreement=0.9)
    assert finding.level == FAIL and "Received: [9, 9, 1]" in finding.text


@pytest.mark.parametrize("wrong", [np.zeros((3, 9, 9)), np.zeros((3, 9, 9, 1), np.uint8), "text"])
def test_samples_that_cannot_be_used(wrong, tmp_path):
    path = tmp_path / "samples.npy"
    if isinstance(wrong, str):
        path.write_text(wrong)
    else:
        np.save(path, wrong)
    with pytest.raises(UserError, match=r"samples\.npy"):
        read_samples(path)
