"""Reading .tflite files: scales, names, and files that are damaged."""

from __future__ import annotations

import pytest

from tfmeta.errors import ExportError
from tfmeta.export import flatbuffer
from tfmeta.export.tflite import export_tflite


@pytest.fixture(scope="module")
def int8_file(reader, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "m.tflite"
    return export_tflite(reader, path, calibration=digits[0][:100]).path


def test_convolution_weights_have_a_scale_a_channel(int8_file):
    contents = flatbuffer.read(int8_file)
    conv = next(operator for operator in contents.operators if operator.op == "CONV_2D")
    image, kernel, bias = conv.inputs
    assert kernel.constant and kernel.quantization.per_channel
    assert len(kernel.quantization.scale) == kernel.shape[0] == 16
    assert not image.constant and not image.quantization.per_channel
    # Digits lie in 0 to 1, and int8 has 255 steps.
    assert image.quantization.scale == pytest.approx((1 / 255,), rel=1e-3)
    assert bias.dtype == "INT32"


def test_size_is_that_of_the_file(int8_file):
    assert flatbuffer.read(int8_file).size_bytes == int8_file.stat().st_size


def test_missing_file(tmp_path):
    with pytest.raises(ExportError, match=r"Cannot read the \.tflite file"):
        flatbuffer.read(tmp_path / "none.tflite")


def test_other_file(tmp_path):
    (tmp_path / "m.tflite").write_text("{}")
    with pytest.raises(ExportError, match="Expected a TFLite model"):
        flatbuffer.read(tmp_path / "m.tflite")


def test_cut_file(int8_file, tmp_path):
    (tmp_path / "cut.tflite").write_bytes(int8_file.read_bytes()[:200])
    with pytest.raises(ExportError, match="damaged"):
        flatbuffer.read(tmp_path / "cut.tflite")
