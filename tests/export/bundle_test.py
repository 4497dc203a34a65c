"""The manifest: verified files only, and every number in its place."""

from __future__ import annotations

import pytest

from tfmeta import files
from tfmeta.errors import ExportError
from tfmeta.export import bundle
from tfmeta.export.bundle import Shipped
from tfmeta.export.tflite import export_tflite


@pytest.fixture
def result(reader, digits, tmp_path):
    return export_tflite(reader, tmp_path / "searched-int8.tflite", calibration=digits[0][:100])


def test_manifest_has_the_numbers_of_a_file(result, tmp_path):
    shipped = Shipped("searched", result, 0.93, 397, {"median_ms": 0.2}, widths=(16, 32))
    written = bundle.write_manifest(tmp_path / "manifest.json", [shipped], command="tfmeta export")
    manifest = bundle.read_manifest(tmp_path / "manifest.json")
    assert manifest["command"] == "tfmeta export"
    assert set(manifest["versions"]) >= {"tfmeta", "tensorflow", "keras", "python"}
    (entry,) = manifest["files"]
    assert entry["file"] == "searched-int8.tflite"
    assert entry["sha256"] == files.sha256(result.path) == written["files"][0]["sha256"]
    assert entry["size_bytes"] == result.path.stat().st_size
    assert entry["test_accuracy"] == 0.93 and entry["test_images"] == 397
    assert entry["latency"] == {"median_ms": 0.2} and entry["widths"] == [16, 32]
    assert entry["agreement"]["top1_agreement"] == result.agreement.top1_agreement
    assert entry["inputs"]["image"] == {
        "tensor": "serving_default_image:0",
        "shape": [1, 8, 8, 1],
        "dtype": "float32",
        "quantization": None,
    }
    # 1.14 brought both the int8 kernels and QUANTIZE.
    assert entry["minimum_runtime"]["version"] == "1.14.0"
    # Two convolutions, each with one scale a channel.
    conv = {"op": "CONV_2D", "version": 3, "count": 2, "weights": "per channel"}
    assert conv in entry["operators"]


def test_what_was_not_measured_is_null(result, tmp_path):
    bundle.write_manifest(tmp_path / "manifest.json", [Shipped("full", result)], command="")
    (entry,) = bundle.read_manifest(tmp_path / "manifest.json")["files"]
    assert entry["latency"] is None and entry["test_accuracy"] is None and entry["widths"] is None


@pytest.mark.parametrize("change", ["remove", "edit"])
def test_file_that_is_not_the_verified_one_is_not_listed(change, result, tmp_path):
    if change == "remove":
        result.path.unlink()
    else:
        result.path.write_bytes(b"other")
    with pytest.raises(ExportError, match="as it was verified"):
        bundle.write_manifest(tmp_path / "manifest.json", [Shipped("full", result)], command="")
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(("text", "message"), [(None, "No manifest"), ("{", "not valid JSON"), ("[]", "with 'files'")])
def test_manifest_that_cannot_be_read(text, message, tmp_path):
    path = tmp_path / "manifest.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ExportError, match=message):
        bundle.read_manifest(path)
