"""What a report takes from the store, the manifest and the folder of a project."""

from __future__ import annotations

import json

import pytest

from tfmeta.graph.structure import Structure
from tfmeta.report.data import Axis, Latency, Missing, OpTime
from tfmeta.stages.report import ReportOptions, _axes, _file_row, _link, _mixed_rows, _trials
from tfmeta.store import Store
from tfmeta.trial import Trial
from tfmeta.workdir import Workdir

RUN = {
    "objectives": [
        {"name": "accuracy", "unit": "top-1", "minimize": False},
        {"name": "macs", "unit": "MACs", "minimize": True},
        {"name": "watts", "unit": "W", "minimize": True},
    ]
}


def trial(generation, position, widths, values, **changes):
    return Trial(Structure(widths), generation, position, values, **changes)


def test_every_evaluated_structure_of_the_store_is_told():
    with Store() as store:
        for run in ("main", "main:random", "main:uniform", "other"):
            store.begin_run(run, RUN, {})
        store.add_trial("main", trial(-1, 0, (8, 8), {"accuracy": 0.9, "macs": 1.0}))  # a probe
        store.add_trial("main", trial(0, 0, (8, 16), {"accuracy": 0.5, "macs": 20.0, "watts": 3.0}, fitness=0.5))
        store.add_trial("main", trial(0, 1, (16, 16), {"macs": 90.0}, violation=0.5))  # never evaluated
        store.add_trial("main", trial(1, 0, (8, 24), {"accuracy": 0.6, "macs": 30.0}, violation=0.1))
        store.add_trial("main", trial(1, 1, (8, 32), {"accuracy": 0.7, "macs": 40.0}, failed=True))
        store.add_trial("main:random", trial(0, 0, (24, 8), {"accuracy": 0.4, "macs": 50.0}))
        store.add_trial("main:uniform", trial(0, 0, (16, 8), {"accuracy": 0.3, "macs": 60.0}))
        store.add_trial("other", trial(0, 0, (32, 8), {"accuracy": 0.2, "macs": 70.0}))
        found = _trials(store, "main", ())
        axes = _axes(store.run_configuration("main"), found, "mean IoU")
    assert [(one.searcher, one.generation, one.widths, one.feasible) for one in found] == [
        ("search", 0, (8, 16), True),
        ("search", 1, (8, 24), False),
        ("random", 0, (24, 8), True),
    ]
    assert dict(found[0].values) == {"accuracy": 0.5, "macs": 20.0, "watts": 3.0}
    assert axes == (
        Axis("accuracy", "mean IoU, search split", "top-1", False),
        Axis("macs", "MACs", "MACs", True),
        Axis("watts", "watts", "W", True),
    )


def test_a_prediction_that_structures_have_instead_of_a_latency_is_an_axis():
    values = {"accuracy": 0.5, "macs": 1.0, "predicted_latency_ms": 2.0}
    with Store() as store:
        store.begin_run("main", RUN, {})
        store.add_trial("main", trial(0, 0, (8,), values))
        found = _trials(store, "main", ())
    assert _axes(RUN, found, "accuracy")[-1] == Axis("predicted_latency_ms", "latency, predicted", "ms", True)
    assert _axes({}, (), "accuracy") == ()


def test_what_was_measured_when_the_search_was_over_is_told_as_measured():
    def predicted(position, width):
        values = {"accuracy": 0.5, "macs": 1.0, "predicted_latency_ms": 2.0}
        return trial(0, position, (width,), values, estimated=True)

    measured = {"accuracy": 0.5, "macs": 1.0, "predicted_latency_ms": 2.0, "latency": 2.5}
    settled = [
        {"widths": [8], "values": measured, "feasible": True},
        {"widths": [16], "values": {**measured, "latency": 3.5}, "feasible": False},
        {"widths": [24], "values": {**measured, "predicted_latency_ms": 2.2}, "feasible": True},
    ]
    with Store() as store:
        for run in ("main", "main:random"):
            store.begin_run(run, RUN, {})
        for position, width in enumerate((8, 16, 32)):
            store.add_trial("main", predicted(position, width))
        store.add_trial("main", trial(0, 3, (24,), {**measured, "latency": 2.6}))
        store.add_trial("main:random", predicted(0, 24))
        found = _trials(store, "main", settled)
    assert [(one.widths, one.standing, one.values.get("latency")) for one in found] == [
        ((8,), "within", 2.5),
        ((16,), "outside", 3.5),
        ((32,), "predicted", None),
        ((24,), "within", 2.6),  # measured while it was searched: that value counts
        ((24,), "within", 2.5),
    ]
    assert all(one.values["predicted_latency_ms"] == 2.0 for one in found)  # each run's own


FILE = {
    "file": "searched-int8.tflite",
    "model": "searched",
    "scheme": "int8",
    "sha256": "ab" * 32,
    "size_bytes": 1000,
    "minimum_runtime": {"version": "1.14.0"},
    "agreement": {"class_agreement": 0.99},
    "test_accuracy": 0.9,
    "latency": {"median_ms": 1.0, "p90_ms": 1.5, "verdict": "NOISY", "measurement": {"num_runs": 321}},
}


def operators(told):
    return _file_row({**FILE, "latency": {**FILE["latency"], "operators": told}}, "export/main").operators


def test_a_file_of_the_manifest():
    row = _file_row(FILE, "../export/main")
    assert (row.path, row.sha256) == ("../export/main/searched-int8.tflite", "ab" * 32)
    assert row.latency == Latency(1.0, 1.5, "NOISY", 321)
    measurement = {"num_runs": 321, "init_ms": 2.0, "first_inference_ms": 3.0, "peak_memory_mb": None}
    row = _file_row({**FILE, "latency": {**FILE["latency"], "measurement": measurement}}, "../export/main")
    assert row.latency == Latency(1.0, 1.5, "NOISY", 321, 2.0, 3.0)
    assert row.operators == Missing("not measured")  # of an earlier version
    assert (row.agreement, row.float_agreement) == (0.99, Missing("not recorded"))  # likewise
    assert _file_row({**FILE, "float_agreement": {"class_agreement": 0.9}}, "x").float_agreement == 0.9
    no_classes = {**FILE, "float_agreement": {"class_agreement": None}}
    assert _file_row(no_classes, "x").float_agreement == Missing("no classifier")
    assert operators({"reason": "It does not tell."}) == Missing("It does not tell.")
    # The shares are printed digits, and may add up to more than all.
    by_type = [{"type": "CONV_2D", "count": 2, "avg_ms": 0.5, "share": 1.0001}]
    assert operators({"by_type": by_type, "num_runs": 50}) == (OpTime("CONV_2D", 2, 0.5, 1.0),)
    assert _file_row({**FILE, "latency": None}, "x").operators == Missing("not measured")


@pytest.mark.parametrize(
    ("name", "init", "link"),
    [
        ("main", "scratch", "export/main"),
        ("main", "generated", "../../export/main+generated"),
        ("fast", "scratch", "../../export/fast"),
    ],
)
def test_links_lead_from_the_report_to_the_files(name, init, link, tmp_path):
    with Workdir(tmp_path) as workdir:
        project = type("Project", (), {"workdir": workdir})
        found = _link(project, ReportOptions(init, name), init)
        assert found == link
        assert (workdir.report(name, init) / found).resolve() == workdir.export(name, init).resolve()


def test_files_of_mixed_precision():
    file = {"size_bytes": 10, "search_accuracy": 0.8, "test_accuracy": 0.7, "median_ms": 1.0, "ratio": 0.5}
    files = [{**file, "kept": kept, "verdict": "OK"} for kept in (None, 0, 1)]
    made = {"options": {"row": "full", "kept": "int16"}, "files": files, "chosen": 0, "written": True}
    for other in ({"written": False}, {"written": False, "chosen": None}):
        assert not any(row.chosen for row in _mixed_rows({**made, **other})), "marked is what was written"
    rows = _mixed_rows(json.loads(json.dumps(made)))
    assert [(row.kept, row.chosen) for row in rows] == [(None, False), (0, True), (1, False)]
    assert {(row.network, row.kind) for row in rows} == {("full", "int16")}
