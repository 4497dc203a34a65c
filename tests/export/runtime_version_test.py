"""Operator versions and the oldest runtime, from real files and from hand-made operators."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmeta.export import SCHEMES, flatbuffer
from tfmeta.export.chatter import quiet
from tfmeta.export.flatbuffer import FlatModel, OperatorInfo, Quantization, TensorInfo
from tfmeta.export.runtime_table import ANY_TYPE, BY_TYPE, BY_WEIGHTS, PER_CHANNEL, RIGHT_FROM, RUNTIME_OF
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
    # The converter does not know that runtimes before 2.10 answer wrongly with such a dense layer.
    values = {"int8": "int8", "int8_io": "int8", "int16x8": "int16"}.get(scheme)
    if values is None:
        assert minimum_runtime(unsigned).version == contents.declared_runtime
    else:
        version = {"int8": 4, "int16": 7}[values]
        told = f"2.10.0 (FULLY_CONNECTED v{version}, {values} x int8 per channel)"
        assert str(minimum_runtime(unsigned)) == told
        # It also leaves operators with 16-bit activations at the versions of int8, and notes too old a runtime:
        # CONV_2D v4 is of 2.3, MEAN v3 of 2.4.
        rest = tuple(one for one in contents.operators if one.op != "FULLY_CONNECTED")
        older = {"plain": "2.3.0", "squeeze_excite": "2.4.0"}[name] if values == "int16" else contents.declared_runtime
        assert minimum_runtime(_model(*rest)).version == older
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
        # Versions 4 of 1.14 and 7 of 2.3, but before 2.10 scales of channels are not known there.
        (_operator("FULLY_CONNECTED", 1, "INT8", "INT8"), "1.14.0"),
        (_operator("FULLY_CONNECTED", 1, "INT8", "INT8", scales=4), "2.10.0"),
        (_operator("FULLY_CONNECTED", 1, "INT16", "INT8"), "2.3.0"),
        (_operator("FULLY_CONNECTED", 1, "INT16", "INT8", scales=4), "2.10.0"),
        (_operator("ADD", 1, "INT16"), "2.4.0"),
        # Weights of 4 bits: CONV_2D v7, DEPTHWISE_CONV_2D v7 and FULLY_CONNECTED v10 of 2.11, with 16-bit values v13.
        (_operator("CONV_2D", 1, "INT8", "INT4"), "2.11.0"),
        (_operator("DEPTHWISE_CONV_2D", 1, "INT8", "INT4"), "2.11.0"),
        (_operator("FULLY_CONNECTED", 1, "INT8", "INT4"), "2.11.0"),
        (_operator("FULLY_CONNECTED", 1, "INT16", "INT4"), "2.18.0"),
        (_operator("RESIZE_BILINEAR", 3, "INT16", "INT32"), "2.5.0"),
        (_operator("RESIZE_NEAREST_NEIGHBOR", 3, "INT16", "INT32"), "2.4.0"),
        (_operator("LEAKY_RELU", 1, "INT16", "INT16"), "2.3.0"),
        # The values of these are not their first input.
        (_operator("SPLIT", 1, "INT32", "INT16"), "2.3.0"),
        (_operator("GATHER", 1, "INT32", "INT4"), "2.15.0"),
        # Custom operators that the runtime brings itself.
        (_operator("CUSTOM:TFLite_Detection_PostProcess", 1), "1.10.0"),
    ],
)
def test_runtime_of_one_operator(operator, version):
    assert minimum_runtime(_model(operator)).version == version


@pytest.mark.parametrize(("scale", "version"), [(0.02, 2), (0.01, 3), (0.005, 3)])
def test_a_product_with_a_scale_that_is_not_smaller_than_that_of_its_factors(scale, version):
    # Factors of scale 0.1 each: MUL v3 where 0.1 * 0.1 / scale >= 1.
    one = _tensor("INT8")
    product = dataclasses.replace(one, quantization=Quantization((scale,), (0,), 0))
    operator = OperatorInfo("MUL", 1, (one, one), (product,))
    assert minimum_runtime(_model(operator)).reason == f"MUL v{version}"


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        # litert-quantizer leaves the versions of the float file, all 1, and its note, 1.5.0.
        ("weight_only_wi4_afp32", "2.18.0 (DEQUANTIZE v6)"),
        ("weight_only_wi8_afp32", "2.7.0 (DEQUANTIZE v5)"),
        ("dynamic_wi8_afp32", "2.17.0 (FULLY_CONNECTED v12)"),
        ("static_wi8_ai8", "2.10.0 (FULLY_CONNECTED v4, int8 x int8 per channel)"),
        ("static_wi8_ai16", "2.10.0 (FULLY_CONNECTED v7, int16 x int8 per channel)"),
        (
            "dynamic_wi4_afp32",
            "at least 1.5.0; unknown for CONV_2D v1 (float32 x int4 per channel), "
            "FULLY_CONNECTED v1 (float32 x int4 per channel)",
        ),
    ],
)
def test_files_of_litert_quantizer(recipe, told, by_others):
    contents = flatbuffer.read(by_others(recipe))
    assert contents.declared_runtime == "1.5.0"
    assert str(minimum_runtime(contents)) == told


_OPERATORS = {
    "TILE": lambda x: tf.tile(x, [1, 2, 2, 1]),
    "ARG_MIN": lambda x: tf.argmin(x, -1),
    "TOPK_V2": lambda x: tf.math.top_k(x, 2)[0],
    "UNPACK": lambda x: tf.unstack(x, axis=3),
    "WHERE": lambda x: tf.where(x > 0),
    "FLOOR": tf.floor,
    "REVERSE_V2": lambda x: tf.reverse(x, [1]),
    "BROADCAST_TO": lambda x: tf.broadcast_to(x[:, :1], [1, 4, 4, 4]),
    "ABS": tf.abs,
    "DEPTH_TO_SPACE": lambda x: tf.nn.depth_to_space(x, 2),
    "EXP": tf.exp,
    "GELU": tf.nn.gelu,
    "LOG": lambda x: tf.math.log(tf.nn.relu(x) + 1.0),
    "MIRROR_PAD": lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"),
    "REDUCE_PROD": lambda x: tf.reduce_prod(x, [1]),
    "RSQRT": lambda x: tf.math.rsqrt(tf.nn.relu(x) + 0.1),
    "SPLIT_V": lambda x: tf.split(x, [1, 3], 3),
    "SQRT": lambda x: tf.sqrt(tf.nn.relu(x)),
    "SQUARED_DIFFERENCE": lambda x: tf.math.squared_difference(x, x * 3),
    "SUM": lambda x: tf.reduce_sum(x, [1, 2]),
}


@pytest.mark.parametrize("types", ["float", "int8"])
@pytest.mark.parametrize("op", _OPERATORS)
def test_what_tensorflow_converts_is_known_by_types_alone(op, types):
    function = tf.function(_OPERATORS[op], input_signature=[tf.TensorSpec([1, 4, 4, 4])])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    if types == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: [[np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 4, 4, 4)]]
    with quiet():
        contents = flatbuffer.parse(converter.convert())
    assert op in {operator.op for operator in contents.operators}
    # As if a quantizer had left the versions and the note of a float file; BROADCAST_TO begins with version 2.
    first = [dataclasses.replace(one, version=1 + (one.op == "BROADCAST_TO")) for one in contents.operators]
    found = minimum_runtime(_model(*first))
    assert (found.version, found.unknown) == (contents.declared_runtime, ())


def test_the_tables_fit_each_other():
    from ai_edge_litert import schema_py_generated as schema

    assert all(hasattr(schema.BuiltinOperator, op) for op in RUNTIME_OF if not op.startswith("CUSTOM:"))
    assert not BY_TYPE.keys() & BY_WEIGHTS.keys() and set(ANY_TYPE) <= RUNTIME_OF.keys()
    for op, versions in (BY_TYPE | BY_WEIGHTS).items():
        assert max(versions.values()) <= len(RUNTIME_OF[op].split()), op
    for op, runtimes in RIGHT_FROM.items():
        assert {types.removesuffix(PER_CHANNEL) for types in runtimes} <= BY_WEIGHTS[op].keys()


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
    # An operator that is known, with a type that has no rule; and a version that was taken back.
    assert minimum_runtime(_model(_operator("SUM", 2, "INT16", "INT32"))).unknown == ("SUM v2 (int16)",)
    assert minimum_runtime(_model(_operator("BROADCAST_TO", 1))).unknown == ("BROADCAST_TO v1",)
    assert minimum_runtime(_model(_operator("CONV_2D", 1, "INT16", "INT4"))).unknown == ("CONV_2D v1 (int16 x int4)",)


def test_versions_are_compared_by_number():
    assert latest(["2.9.0", "2.17.0", "1.15.0"]) == "2.17.0"
    assert latest([]) is None
