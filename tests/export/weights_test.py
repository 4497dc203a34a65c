"""How weights are stored, in files of tfmeta and of others, and where an operator gets them unpacked."""

from __future__ import annotations

import pytest

from tfmeta.export import flatbuffer
from tfmeta.export.flatbuffer import OperatorInfo, Quantization, TensorInfo
from tfmeta.export.ship_check import ship_check
from tfmeta.export.tflite import export_tflite
from tfmeta.export.weights import weights_of


def _tensor(name: str, dtype: str, constant: bool = False, scales: int = 0) -> TensorInfo:
    quantization = Quantization((0.1,) * scales, (0,) * scales, 0) if scales else None
    return TensorInfo(name, (4,), (4,), dtype, constant, quantization)


@pytest.mark.parametrize(
    ("scheme", "stored"),
    [("fp32", "float32"), ("fp16", "float16"), ("dynamic_int8", "int8 per tensor"), ("int8", "int8 per channel")],
)
def test_files_of_tfmeta(scheme, stored, tiny, noise, tmp_path):
    path = tmp_path / "m.tflite"
    contents = export_tflite(tiny("plain"), path, scheme, noise, min_class_agreement=0.0).contents
    assert weights_of(contents.operators)["FULLY_CONNECTED"] == (stored,)


def test_files_that_hold_weights_behind_dequantize(by_others):
    # litert-quantizer has no rule for depthwise convolutions in 4 bits.
    path = by_others("weight_only_wi4_afp32")
    assert weights_of(flatbuffer.read(path).operators) == {
        "CONV_2D": ("int4 per channel",),
        "DEPTHWISE_CONV_2D": ("float32",),
        "FULLY_CONNECTED": ("int4 per channel",),
    }
    (finding,) = (one for one in ship_check(path).findings if one.check == "weights")
    assert finding.text == "float32: DEPTHWISE_CONV_2D; int4 per channel: CONV_2D, FULLY_CONNECTED"


def test_sparse_weights_are_unpacked_twice():
    stored, dense, wide = _tensor("s", "FLOAT16", constant=True), _tensor("d", "FLOAT16"), _tensor("w", "FLOAT32")
    image, bias = _tensor("i", "FLOAT32"), _tensor("b", "FLOAT32", constant=True)
    operators = [
        OperatorInfo("DENSIFY", 1, (stored,), (dense,)),
        OperatorInfo("DEQUANTIZE", 3, (dense,), (wide,)),
        OperatorInfo("CONV_2D", 1, (image, wide, bias), (_tensor("o", "FLOAT32"),)),
    ]
    assert weights_of(operators) == {"CONV_2D": ("float16",)}


def test_what_is_computed_or_tells_a_shape_is_no_weight():
    image, floats = _tensor("i", "INT8", scales=1), _tensor("f", "FLOAT32")
    operators = [
        OperatorInfo("DEQUANTIZE", 2, (image,), (floats,)),
        OperatorInfo("RESHAPE", 1, (floats, _tensor("s", "INT32", constant=True)), (_tensor("o", "FLOAT32"),)),
    ]
    assert weights_of(operators) == {}


def test_a_circle_in_a_damaged_file_ends():
    one = _tensor("t", "FLOAT32")
    assert weights_of([OperatorInfo("DEQUANTIZE", 1, (one,), (one,)), OperatorInfo("ADD", 1, (one,), ())]) == {}
