"""Exported files: what is in them, and that nothing wrong gets a name."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmeta.errors import ExportError, UserError
from tfmeta.export import SCHEMES, flatbuffer, verify
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.tflite import export_tflite
from tfmeta.registry import resolve

NETS = ["plain", "depthwise", "residual", "squeeze_excite", "concat"]
# Batch norms are folded into kernels, so floats differ in their last digits: 32-bit floats hold 7,
# and the sums here have some 100 terms.
FLOAT_ERROR = 1e-5


class Erosion(layers.Layer):
    """An operation that TensorFlow has and TFLite has not."""

    def call(self, inputs):
        kernel = tf.zeros((3, 3, inputs.shape[-1]))
        return tf.nn.erosion2d(inputs, kernel, (1, 1, 1, 1), "SAME", "NHWC", (1, 1, 1, 1))


def _with_layer(layer: keras.Layer) -> keras.Model:
    image = keras.Input((12, 12, 3))
    x = layer(layers.Conv2D(8, 3, name="stem")(image))
    return keras.Model(image, layers.Dense(10)(layers.Flatten()(x)))


@pytest.mark.parametrize("name", NETS)
def test_fp32_file_computes_what_the_model_computes(name, tiny, noise, tmp_path):
    model = tiny(name)
    result = export_tflite(model, tmp_path / "m.tflite", "fp32", reference_samples=noise)
    expected = model.predict_on_batch(noise)
    received = verify.outputs(result.path, noise)
    assert np.abs(received - expected).max() <= FLOAT_ERROR * np.abs(expected).max()
    assert result.agreement.class_agreement == 1.0


# Every scheme on one network, and every network in the schemes that take the longest ways through the converter.
@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        *(("squeeze_excite", scheme) for scheme in SCHEMES),
        *((name, "int8") for name in NETS if name != "squeeze_excite"),
    ],
)
def test_file_is_clean_and_fixed(name, scheme, tiny, noise, tmp_path):
    path = tmp_path / "m.tflite"
    # Random weights answer with near ties, so agreement says little here; the digits test tells it.
    export_tflite(tiny(name), path, scheme, noise, min_class_agreement=0.0, max_relative_error=0.5)
    contents = flatbuffer.read(path)
    ops = {operator.op for operator in contents.operators}
    # Fused batch norms leave no arithmetic of their own; constants leave no shape computation.
    assert not ops & {
        "VAR_HANDLE",
        "READ_VARIABLE",
        "SHAPE",
        "PACK",
        "STRIDED_SLICE",
        "RSQRT",
        "SUB",
    }
    assert not [op for op in ops if op.startswith("CUSTOM")]
    assert list(contents.inputs) == ["image"] and list(contents.outputs) == ["output"]
    ends = contents.inputs["image"], contents.outputs["output"]
    assert [end.shape_signature for end in ends] == [(1, 12, 12, 3), (1, 10)]
    assert [end.dtype for end in ends] == ["INT8" if scheme == "int8_io" else "FLOAT32"] * 2


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_scheme_is_registered_under_its_own_name(scheme):
    found = resolve(SCHEMES, scheme, "quantization scheme")
    assert found.name == scheme and found.description


def test_int8_agrees_on_a_trained_network(reader, digits, tmp_path):
    images, _, test_images, test_labels = digits
    result = export_tflite(reader, tmp_path / "m.tflite", calibration=images[:200])
    assert result.scheme == "int8"
    assert result.agreement.class_agreement >= 0.95
    _, float_accuracy = reader.evaluate(test_images, test_labels, verbose=0)
    assert float_accuracy > 0.8  # it has learned something, so that agreement means something
    assert abs(verify.accuracy(result.path, test_images, test_labels) - float_accuracy) < 0.03


@pytest.fixture(scope="module")
def of_reader(reader, digits, tmp_path_factory):
    """The file of the network that reads digits in every scheme that needs no training."""
    folder = tmp_path_factory.mktemp("files")
    return {
        scheme: export_tflite(reader, folder / f"{scheme}.tflite", scheme, digits[0][:200])
        for scheme in ("fp32", "fp16", "dynamic_int8", "int8", "int8_io", "int16x8")
    }


def test_every_scheme_reads_digits_as_well_as_the_model(of_reader, reader, digits):
    _, _, images, labels = digits
    _, float_accuracy = reader.evaluate(images, labels, verbose=0)
    for scheme, result in of_reader.items():
        assert abs(verify.accuracy(result.path, images, labels) - float_accuracy) < 0.03, scheme


def test_schemes_are_as_small_as_they_say(of_reader):
    # A half or a quarter for the weights; the graph itself costs a few kB in all.
    size = {scheme: result.size_bytes for scheme, result in of_reader.items()}
    assert size["fp16"] < 0.65 * size["fp32"]
    for scheme in ("dynamic_int8", "int8", "int8_io", "int16x8"):
        assert size[scheme] < 0.45 * size["fp32"], scheme


def test_types_inside_and_at_the_ends(of_reader):
    def types(scheme):
        contents = of_reader[scheme].contents
        inner = [one for one in contents.operators if one.op not in ("QUANTIZE", "DEQUANTIZE")]
        weights = {one.inputs[1].dtype for one in inner if one.op == "CONV_2D"}
        ends = {end.dtype for end in (*contents.inputs.values(), *contents.outputs.values())}
        return ends, {end.dtype for one in inner for end in one.outputs}, weights

    floats = {"FLOAT32"}
    assert types("fp32") == (floats, floats, floats)
    assert types("fp16") == (floats, floats, floats)  # behind a DEQUANTIZE of halves
    assert "FLOAT16" in {end.dtype for one in of_reader["fp16"].contents.operators for end in one.inputs}
    # Kernels of less than 1024 numbers are left in float.
    assert types("dynamic_int8") == (floats, floats, {"INT8", "FLOAT32"})
    assert types("int8") == (floats, {"INT8"}, {"INT8"})
    assert types("int8_io") == ({"INT8"}, {"INT8"}, {"INT8"})
    assert types("int16x8") == (floats, {"INT16"}, {"INT8"})


def test_int8_inside_float_outside(reader, digits, tmp_path):
    contents = export_tflite(reader, tmp_path / "m.tflite", calibration=digits[0][:100]).contents
    first, *inner, last = contents.operators
    assert (first.op, last.op) == ("QUANTIZE", "DEQUANTIZE")
    assert {tensor.dtype for operator in inner for tensor in operator.outputs} == {"INT8"}


def test_user_given_input_name_is_kept(tiny, noise, tmp_path):
    model = tiny("plain", input_name="camera")
    contents = export_tflite(model, tmp_path / "m.tflite", "fp32", noise).contents
    assert list(contents.inputs) == ["camera"]


def test_sequential_model(noise, tmp_path):
    model = keras.Sequential([keras.Input((12, 12, 3)), layers.Flatten(), layers.Dense(4)])
    contents = export_tflite(model, tmp_path / "m.tflite", "fp32", noise).contents
    assert list(contents.inputs) == ["image"]


def test_images_scaled_twice_do_not_get_through(digits, tmp_path):
    # The network has no batch norm and no Rescaling, and a file of such images agrees with it on just these.
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(image))
    model = keras.Model(image, layers.Dense(10)(x))
    images, path = digits[0][:200], tmp_path / "m.tflite"
    for more in ({}, {"preprocessing": Preprocessing(8, 8, 1, "resize", (1 / 255, 0.0), tuple("0123456789"))}):
        with pytest.raises(ExportError, match=r"scaled twice|once only"):
            export_tflite(model, path, "int8", images / 255, **more)
    assert not path.exists()
    export_tflite(model, path, "int8", images, min_class_agreement=0.0, **more)


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_unsupported_operation_names_its_layer(scheme, noise, tmp_path):
    path = tmp_path / "m.tflite"
    with pytest.raises(ExportError, match=r"tf\.Dilation2D in layer 'odd_one'"):
        export_tflite(_with_layer(Erosion(name="odd_one")), path, scheme, noise, noise)
    assert not path.exists()


def test_operator_without_int8_kernel_names_its_layer(noise, tmp_path):
    # The converter leaves ELU in float between two conversions and says nothing.
    model = _with_layer(layers.Activation("elu", name="smooth"))
    with pytest.raises(ExportError, match="layer 'smooth' needs the operator ELU"):
        export_tflite(model, tmp_path / "m.tflite", "int8", noise, noise)


def test_operator_without_16_bit_kernel_names_its_layer(noise, tmp_path):
    model = _with_layer(layers.Activation("hard_swish", name="smooth"))
    with pytest.raises(ExportError, match=r"HARD_SWISH \(layer 'smooth'\).*or export with scheme=\"int8\""):
        export_tflite(model, tmp_path / "m.tflite", "int16x8", noise, noise)


def test_file_that_fails_verification_is_not_written(reader, digits, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"the file of the last run")
    # Calibrated on darker images, everything brighter is clipped.
    dark = digits[0][:100] * np.float32(0.15)
    with pytest.raises(ExportError, match=r"was not written.*the same class in \d.*\(at least 99"):
        export_tflite(reader, path, "int8", dark, digits[0][:200], min_class_agreement=0.999)
    assert path.read_bytes() == b"the file of the last run"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.tflite"]


def test_conversion_is_silent(tiny, noise, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(tf.get_logger(), "level", logging.INFO)  # as it is in a command
    export_tflite(tiny("plain"), tmp_path / "m.tflite", "int8", noise, min_class_agreement=0.0)
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""


def test_unknown_scheme_lists_the_known(tiny, noise, tmp_path):
    with pytest.raises(UserError, match=r"Unknown quantization scheme 'int7'.*fp32, int16x8, int8"):
        export_tflite(tiny("plain"), tmp_path / "m.tflite", "int7", noise)


def test_no_images_to_compare_on(tiny, tmp_path):
    with pytest.raises(ExportError, match="Pass reference_samples"):
        export_tflite(tiny("plain"), tmp_path / "m.tflite", "fp32")


def test_int8_without_calibration(tiny, noise, tmp_path):
    with pytest.raises(ExportError, match="Pass calibration=images"):
        export_tflite(tiny("plain"), tmp_path / "m.tflite", reference_samples=noise)


def test_weights_that_are_no_numbers(tiny, noise, tmp_path):
    model = tiny("plain")
    model.layers[-1].bias.assign(np.full(10, np.nan))
    with pytest.raises(ExportError, match="Expected finite weights"):
        export_tflite(model, tmp_path / "m.tflite", "fp32", noise)
