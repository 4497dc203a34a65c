"""Where latency is measured: what of it binds a search, and how a report tells it."""

from __future__ import annotations

import json

import pytest

from tfmeta import tasks
from tfmeta.latency import DeviceOptions
from tfmeta.latency.options import Place
from tfmeta.stages.export import ExportOptions
from tfmeta.stages.report import _device, _how, _latency_label
from tfmeta.stages.search import SearchOptions, _claimed


@pytest.mark.parametrize("kind", [SearchOptions, ExportOptions])
def test_how_long_to_wait_for_a_phone_binds_nothing(kind):
    def claimed(**changes):
        return json.loads(json.dumps(kind(place=Place("adb:S1", DeviceOptions(**changes))).to_json()))

    assert claimed() == claimed(
        lost_secs=1.0, cool_secs=2.0, adb="/usr/bin/adb", benchmark_model=("/a",), hang_secs=9.0
    )
    assert claimed() != claimed(fixed_performance=True)
    assert claimed()["place"] == {"device": "adb:S1", "fixed_performance": False}


@pytest.mark.parametrize(
    ("begun", "now", "finished", "claimed"),
    [
        (None, "adb:S1", False, "adb:S1"),
        ("adb:S1", "adb:S1", False, "adb:S1"),
        ("adb:S1", "adb:S2", False, "adb:S1"),  # the same phone by another name, or one of its model: the store checks
        ("adb", "adb:S1,S2,S3", False, "adb"),
        ("adb:S1", "adb:S2", True, "adb:S2"),  # nothing is measured any more, so nothing checks: refused
        ("host", "adb:S1", False, "adb:S1"),
    ],
)
def test_a_search_goes_on_with_any_device_of_the_kind_it_began_on(begun, now, finished, claimed):
    stored = None if begun is None else {"place": {"device": begun, "fixed_performance": False}, "seed": 0}
    options = SearchOptions(place=Place(now))
    assert _claimed(options, stored, finished=finished)["place"]["device"] == claimed


@pytest.mark.parametrize("begun", [{}, {"place": "host"}, {"place": {}}, {"device": "host"}, 3])
def test_a_section_of_another_version_is_left_to_the_comparison(begun):
    assert _claimed(SearchOptions(), begun, finished=False)["place"]["device"] == "host"


def measured(verdict="OK", **device):
    info = {"kind": "adb", "name": "Pixel 8", "arch": "arm64-v8a", "os_version": "Android 15", "cores": 8}
    info |= {"runtime": "benchmark_model", "runtime_version": "abc123", "mode": "", "serial": "S1", **device}
    options = {"threads": 2, "pin": "big", "delegate": "xnnpack"}
    return {
        "file": "searched-int8.tflite",
        "scheme": "int8",
        "latency": {
            "median_ms": 1.0,
            "p90_ms": 1.1,
            "verdict": verdict,
            "reason": "The thermal status rose from none to light.",
            "measurement": {"device": info, "options": options},
        },
    }


def test_the_report_names_device_and_options():
    file = measured(mode="fixed-performance")
    assert _latency_label([{"latency": None}, file]) == "Pixel 8, 2 threads"
    assert _latency_label([measured(kind="host", name="Some CPU")]) == "host, 2 threads"
    assert _latency_label([{"latency": None}]) == "not measured"
    assert _device(file["latency"]["measurement"]) == (
        "Pixel 8 (arm64-v8a, 8 cores, Android 15), benchmark_model abc123, 2 threads, cores: big, delegate: xnnpack, "
        "fixed-performance"
    )


def test_the_report_gives_the_reason_of_every_verdict_that_is_not_ok():
    class Splits:
        search = type("Split", (), {"size": 100})
        task = tasks.of(())

    project = type("Project", (), {"splits": Splits})
    found = {"evaluations": 4, "missing": {}, "note": ""}
    manifest = {"files": [measured(), measured("THROTTLED", serial="S2"), {"latency": None}], "refused": []}
    how = dict(_how(project, found, {}, manifest))
    assert how["Latency"].endswith("on " + _device(measured()["latency"]["measurement"]))  # once: both are alike
    assert how["Latency of searched-int8.tflite: THROTTLED"] == "The thermal status rose from none to light."
