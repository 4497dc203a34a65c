"""Where latency is measured: what of it binds a search, and how a report tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tfmeta import tasks
from tfmeta.latency import DeviceOptions
from tfmeta.latency.options import Place
from tfmeta.stages.export import ExportOptions
from tfmeta.stages.how_made import device_told, how_made, latency_label, options_told
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
    info |= {
        "runtime": "benchmark_model",
        "runtime_version": "abc123",
        "mode": "",
        "serial": "S1",
        "fingerprint": "adb-1",
        **device,
    }
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
    assert latency_label([{"latency": None}, file]) == "Pixel 8, 2 threads"
    assert latency_label([measured(kind="host", name="Some CPU")]) == "host, 2 threads"
    assert latency_label([{"latency": None}]) == "not measured"
    assert device_told(file["latency"]["measurement"]) == (
        "Pixel 8 (arm64-v8a, 8 cores, Android 15), benchmark_model abc123, 2 threads, cores: big, delegate: xnnpack, "
        "fixed-performance, fingerprint adb-1"
    )


class Splits:
    search = test = train = type("Split", (), {"size": 100})
    task = tasks.of(())


def how(config=None, manifest=None, front=None, mixed=(), run=None, folder=Path("none")):
    """What a report of a search of 4 structures tells, what to how; its files lie in the folder, in one a kind."""
    nothing = {"files": [], "refused": []}
    workdir = type("Workdir", (), {"config": config or {}, "export": staticmethod(lambda name, kind: folder / kind)})
    options = type("Options", (), {"seed": 5})
    project = type("Project", (), {"splits": Splits, "workdir": workdir, "options": options})
    found = {"evaluations": 4, "missing": {}, "note": ""}
    return dict(how_made(project, "main", "scratch", found, run or {}, manifest or nothing, front or nothing, mixed))


def test_the_report_gives_the_reason_of_every_verdict_that_is_not_ok():
    unmeasured = {"file": "full-fp32.tflite", "latency": None}
    told = how(manifest={"files": [measured(), measured("THROTTLED"), unmeasured], "refused": []})
    assert told["Latency"].endswith("on " + device_told(measured()["latency"]["measurement"]))  # once: both are alike
    assert told["Latency of searched-int8.tflite: THROTTLED"] == "The thermal status rose from none to light."


def test_the_report_tells_seeds_counts_options_and_commands():
    config = {
        "search main": {
            "searcher": "genetic",
            "seed": 3,
            "place": {"device": "adb"},
            "latency": {"scheme": "int8", "num_runs": 50, "min_secs": 0.3},
        },
        "search other": {"seed": 9},
        "retrain main scratch": {"distill": False, "init": "scratch", "train": {"epochs": 2, "seed": 7}},
        "pareto main": {"epochs": 4},
        "export main pareto": {"schemes": ["int8"]},
    }
    front = {"files": [measured()], "refused": [], "command": "tfmeta export --pareto"}
    run = {"depends_on": {"latency": {"device": "adb-1"}}}
    told = how(config, front=front, mixed=[{"options": {"judge_images": 1000}}], run=run)
    assert told["Latency of a structure in the search"].endswith(
        "on adb, fingerprint adb-1, at least 50 inferences and 0.3 s"
    )
    assert told["Evaluations"].endswith("searcher genetic, seed 3")
    assert "2 epochs on 100 images, init scratch, seed 7." in told["Accuracy after retraining"]
    assert told["Accuracy with generated weights"].endswith("seed of the PruningNet: 5")
    assert told["Files of the front"].endswith("trained for 4 epochs from their generated weights")
    assert told["Files of the front: written by"] == "tfmeta export --pareto"
    assert "100 images of the search split" in told["Mixed precision"]
    assert options_told(config, "main", "scratch")[0] == (
        "search main",
        "searcher genetic, seed 3, place.device adb, latency.scheme int8, latency.num_runs 50, latency.min_secs 0.3",
    )
    assert [stage for stage, _ in options_told(config, "main", "scratch")] == [
        "search main",
        "retrain main scratch",
        "pareto main",
        "export main pareto",
    ]


def test_the_report_tells_which_files_are_no_longer_there(tmp_path):
    files = {"files": [{**measured(), "file": name} for name in ("a.tflite", "b.tflite", "c.tflite")], "refused": []}
    for there in ("scratch/b.tflite", "pareto/a.tflite", "pareto/b.tflite", "pareto/c.tflite"):
        (tmp_path / there).parent.mkdir(exist_ok=True)
        (tmp_path / there).touch()
    told = how(manifest=files, front=files, folder=tmp_path)
    assert told["Files: no longer there"] == "a.tflite, c.tflite"
    assert "Files of the front: no longer there" not in told


def test_the_report_tells_how_operators_were_timed_or_why_not():
    def file(operators):
        return {**measured(), "latency": {**measured()["latency"], "operators": operators}}

    manifest = {
        "files": [file({"num_runs": 50, "by_type": []}), file({"num_runs": 1200, "by_type": []})],
        "refused": [],
    }
    assert "averages over 50 to 1,200 inferences" in how(manifest=manifest)["Time of each operator"]
    manifest = {"files": [file({"reason": "It does not tell."})] * 2, "refused": []}
    told = how(manifest=manifest)
    assert told["No times of operators"] == "It does not tell." and "Time of each operator" not in told
    assert not {"No times of operators", "Time of each operator"} & set(
        how(manifest={"files": [measured()], "refused": []})
    )
