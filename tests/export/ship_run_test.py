"""The file is run: who computes it, and whether it agrees with a float file."""

from __future__ import annotations

import numpy as np
import pytest

from tfmeta.errors import UserError
from tfmeta.export.rewrite import rewritten
from tfmeta.export.ship_check import FAIL, OK, WARN
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
    assert finding.level == FAIL and "at least 100.0% is asked for" in finding.text


def test_a_reference_that_is_int8_itself(files):
    finding = agreement(files["int8"], files["int8"], None, min_class_agreement=0.9)
    assert finding.level == FAIL
    assert "Expected a float file as the reference" in finding.text and "computes in int8" in finding.text


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
