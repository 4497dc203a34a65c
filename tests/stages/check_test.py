"""The check on a device that times the file, and tells or does not tell what a delegate took over."""

import dataclasses

import pytest

import tflite_bench
from tests import nets
from tests.latency.devices import Counting
from tflite_bench.types import Delegation
from tfmeta.errors import UserError
from tfmeta.latency import measure
from tfmeta.latency.options import LatencyOptions, Place
from tfmeta.stages import check as stage
from tfmeta.stages.check import CheckOptions, check

QUICK = LatencyOptions(rounds=2, num_runs=10, min_secs=0.0, warmup_secs=0.0, retries=0)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    (path,) = nets.written(tmp_path_factory.mktemp("files"), "fp32")
    return path


def found(path, options):
    return {finding.check: finding for finding in check(path, options).findings}


def test_a_device_times_the_file(path):
    findings = found(path, CheckOptions(place=Place(Counting()), latency=QUICK))
    assert findings["latency"].level == "info" and "median" in findings["latency"].text
    assert findings["delegate"].level == "warn" and "does not tell" in findings["delegate"].text


@pytest.mark.parametrize(("required", "level"), [(False, "warn"), (True, "fail")])
def test_a_device_that_tells_what_its_delegate_took_over(path, monkeypatch, required, level):
    def told(*arguments):
        (latency,) = measure.measure_files(*arguments)
        measurement = dataclasses.replace(latency.measurement, delegation=Delegation("gpu", False, 1, 2, 1))
        return [dataclasses.replace(latency, measurement=measurement)]

    monkeypatch.setattr(stage, "measure_files", told)
    options = CheckOptions(place=Place(Counting()), latency=QUICK, full_delegation=required)
    assert found(path, options)["delegate"].level == level
    assert found(path, options)["delegate"].text == "gpu runs 1 of 2 operators (50%) in 1 piece"


def test_a_device_that_does_not_tell_what_is_required(path):
    options = CheckOptions(place=Place(Counting()), latency=QUICK, full_delegation=True)
    assert found(path, options)["delegate"].level == "fail"


@pytest.mark.parametrize(
    ("error", "name"), [(tflite_bench.ModelFileError, "runs"), (tflite_bench.DeviceHungError, "device")]
)
def test_a_file_that_the_device_cannot_run(path, monkeypatch, error, name):
    def refused(*arguments):
        raise error("The phone cannot run m.tflite: op FlexErf is missing.")

    monkeypatch.setattr(stage, "measure_files", refused)
    findings = found(path, CheckOptions(place=Place(Counting()), latency=QUICK))
    assert findings[name].level == "fail" and "FlexErf" in findings[name].text
    assert "size" in findings and "latency" not in findings


def test_no_device_runs_nothing(path):
    assert not {"latency", "delegate", "host"} & found(path, CheckOptions(place=Place("none"))).keys()


def test_agreement_out_of_range():
    with pytest.raises(UserError, match=r"between 0 and 1\. Received: 90"):
        CheckOptions(reference="r.tflite", min_class_agreement=90)
    with pytest.raises(UserError, match=r"relative error above 0.*Received: 0"):
        CheckOptions(reference="r.tflite", max_relative_error=0)


@pytest.mark.parametrize(
    "options",
    [{"samples": "s.npy"}, {"min_class_agreement": 0.9}, {"max_relative_error": 0.1}],
    ids=lambda one: str(*one),
)
def test_what_is_asked_without_a_reference(options):
    with pytest.raises(UserError, match=r"Expected a float \.tflite file as the reference"):
        CheckOptions(**options)


def test_delegation_that_is_required_where_nothing_runs():
    with pytest.raises(UserError, match=r'Received: "none", where nothing runs'):
        CheckOptions(place=Place("none"), full_delegation=True)
