"""Operator versions and the oldest runtime, from real files and from hand-made operators."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmeta.export import SCHEMES, flatbuffer
from tfmeta.export.flatbuffer import FlatModel, OperatorInfo, Quantization, TensorInfo
from tfmeta.export.runtime_version import latest, minimum_runtime
from tfmeta.export.tflite import export_tflite


def _tensor(dtype: str, constant: bool = False, scales: int = 1) -> TensorInfo:
    quantization = Quantization((0.1,) * scales, (0,) * scales, 0) if dtype == "INT8" else None
    return TensorInfo("t", (1,), (1,), dtype, constant, quantization)


def _model(*operators: OperatorInfo, declared: str | None = None) -> FlatModel:
    return FlatModel(operators, {}, {}, declared, 100)


def _operator(op: str, version: int, activation="FLOAT32", weights="FLOAT32", scales=1):
    inputs = (_tensor(activation), _tensor(weights, constant=True, scales=scales))
    return OperatorInfo(op, version, inputs, (_tensor(activation),))


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("name", ["plain", "squeeze_excite"])
def test_operators_alone_ask_for_what_the_converter_notes(name, scheme, tiny, noise, tmp_path):
    result = export_tflite(tiny(name), tmp_path / "m", scheme, noise, min_class_agreement=0.0, max_relative_error=0.5)
    contents = result.contents
    assert contents.declared_runtime is not None
    unsigned = FlatModel(contents.operators, {}, {}, None, contents.size_bytes)
    # The converter leaves operators with 16-bit activations at the versions of int8, and notes too old a runtime.
    if scheme != "int16x8":
        assert minimum_runtime(unsigned).version == contents.declared_runtime
    else:
        # FULLY_CONNECTED v7 of 2.3; MEAN v3 of 2.4 in the other one.
        assert minimum_runtime(unsigned).version == {"plain": "2.3.0", "squeeze_excite": "2.4.0"}[name]
    assert result.minimum_runtime.unknown == ()


@pytest.mark.parametrize(
    ("scheme", "versions"),
    [
        # From TFLite's op_version.cc: version 1 is float; int8 made CONV_2D 3, FULLY_CONNECTED 4
        # and the others 2. RESHAPE has one version.
        ("fp32", {"CONV_2D": 1, "ADD": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}),
        (
            "int8",
            {"QUANTIZE": 1, "CONV_2D": 3, "ADD": 2, "RESHAPE": 1, "FULLY_CONNECTED": 4} | {"DEQUANTIZE": 2},
        ),
    ],
)
def test_operator_versions(scheme, versions, tiny, noise, tmp_path):
    path = tmp_path / "m.tflite"
    result = export_tflite(tiny("residual"), path, scheme, noise, min_class_agreement=0.0)
    assert dict(key for key in result.contents.operator_counts()) == versions


def test_dynamic_range_dense_layer_needs_a_new_runtime():
    # The known trap: float activations with int8 weights per channel make FULLY_CONNECTED v12,
    # which runtimes before 2.17 do not have.
    image = keras.Input(batch_shape=(1, 64))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, layers.Dense(64)(image)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    runtime = minimum_runtime(flatbuffer.parse(converter.convert()))
    assert str(runtime) == "2.17.0 (FULLY_CONNECTED v12)"


@pytest.mark.parametrize(
    ("operator", "version"),
    [
        (_operator("CONV_2D", 1), "1.5.0"),
        (_operator("CONV_2D", 6), "2.9.0"),
        # Types count when the declared version was left behind: int8 asks for CONV_2D v3 and
        # DEPTHWISE_CONV_2D v3, both of 1.14; hybrid per channel for CONV_2D v5 of 2.4.
        (_operator("CONV_2D", 1, "INT8", "INT8"), "1.14.0"),
        (_operator("DEPTHWISE_CONV_2D", 1, "INT8", "INT8"), "1.14.0"),
        (_operator("CONV_2D", 1, "FLOAT32", "INT8"), "1.14.0"),
        (_operator("CONV_2D", 1, "FLOAT32", "INT8", scales=4), "2.4.0"),
        (_operator("FULLY_CONNECTED", 1, "FLOAT32", "INT8", scales=4), "2.17.0"),
        (_operator("ADD", 1, "INT16"), "2.4.0"),
    ],
)
def test_runtime_of_one_operator(operator, version):
    assert minimum_runtime(_model(operator)).version == version


def test_types_of_conversions_between_types():
    # QUANTIZE to 16 bits is of 1.15; a DEQUANTIZE of 16-bit float weights is v3, of 1.15 too.
    wide = OperatorInfo("QUANTIZE", 1, (_tensor("FLOAT32"),), (_tensor("INT16"),))
    halves = OperatorInfo("DEQUANTIZE", 1, (_tensor("FLOAT16", constant=True),), (_tensor("FLOAT32"),))
    assert minimum_runtime(_model(wide)).reason == "QUANTIZE v2"
    assert minimum_runtime(_model(halves)).reason == "DEQUANTIZE v3"


def test_dynamic_int8_stays_below_2_17(tmp_path):
    image = keras.Input((4, 4, 4))
    model = keras.Model(image, layers.Dense(64)(layers.Flatten()(image)))
    ramp = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 4, 4, 4)
    result = export_tflite(model, tmp_path / "m", "dynamic_int8", reference_samples=ramp, min_class_agreement=0.0)
    assert str(result.minimum_runtime) == "2.3.0 (FULLY_CONNECTED v9)"


def test_later_of_operators_and_note():
    conv = _operator("CONV_2D", 6)
    assert minimum_runtime(_model(conv, declared="2.3.0")).version == "2.9.0"
    assert minimum_runtime(_model(conv, declared="2.10.0")).version == "2.10.0"


def test_unknown_operators_are_told():
    runtime = minimum_runtime(_model(_operator("CONV_2D", 1), _operator("CONV_2D", 99)))
    assert runtime.unknown == ("CONV_2D v99",)
    assert str(runtime) == "at least 1.5.0; unknown for CONV_2D v99"
    assert str(minimum_runtime(_model(_operator("NEW_OP", 1)))) == "unknown (NEW_OP v1)"


def test_versions_are_compared_by_number():
    assert latest(["2.9.0", "2.17.0", "1.15.0"]) == "2.17.0"
    assert latest([]) is None
