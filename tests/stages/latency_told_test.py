"""Which latency table a report shows, whose it says it is, and how it counts measurements."""

import dataclasses
import types

import pytest

from tests.latency.couplings import graph_of
from tests.latency.tables import table
from tfmeta.graph.structure import Structure
from tfmeta.latency.conversion import converter_versions
from tfmeta.report.data import LatencyPoint
from tfmeta.stages.latency_told import counted, how_latency, predictions, table_of, warnings
from tfmeta.store import Store
from tfmeta.trial import Trial

USED = {"file": "latency_table.json", "created": table().created}
NOT_USED = "the table of the work directory, which this search did not use"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """One whose work directory has a table, looked at from elsewhere."""
    folder = tmp_path / "work"
    folder.mkdir()
    table().save(folder / "latency_table.json")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    workdir = types.SimpleNamespace(path=folder, latency_table=folder / "latency_table.json")
    return types.SimpleNamespace(workdir=workdir, graph=graph_of("mixed"))


def measured(device, **changes):
    """The run of a search that measured on ``device``."""
    options = {**table().options.to_json(), **changes}
    identity = {"device": device.fingerprint, "options": options, "converter": converter_versions()}
    return {"depends_on": {"latency": identity}}


def test_the_table_of_the_search_is_found_from_any_folder(project, tmp_path):
    found, whose = table_of(project, {"latency": {"table": USED}}, {})
    assert (found.points, whose) == (table().points, "the table that this search used")
    table().save(tmp_path / "other.json")
    used = {**USED, "file": str(tmp_path / "other.json")}
    assert table_of(project, {"latency": {"table": used}}, {})[1] == whose


def test_another_table_is_not_passed_off_as_that_of_the_search(project):
    for run in ({}, measured(table().device), measured(table().device, num_runs=99)):
        found, whose = table_of(project, {}, run)
        assert (found.points, whose) == (table().points, NOT_USED)
        ((what, how),) = how_latency({}, found, whose)
        assert what == "Predictions of latency" and how.startswith(f"by {NOT_USED}: of {table().device.name} in fp32")
    phone = dataclasses.replace(table().device, name="Pixel 8")
    for run, text in ((measured(phone), "device was "), (measured(table().device, scheme="int8"), "scheme was ")):
        found, why = table_of(project, {}, run)
        assert found is None
        assert why.startswith(f"{NOT_USED} is not shown, for the latencies of the search are of something else: {text}")
        assert how_latency({}, found, why) == (("Predictions of latency", why),)


def test_a_table_that_cannot_be_shown_is_told_and_ends_no_report(project):
    place = project.workdir.latency_table
    place.write_text(place.read_text().replace('"spread": ', '"spread": NaN, "was": '))
    for found, whose in (({}, NOT_USED), ({"latency": {"table": USED}}, "the table that this search used")):
        shown, why = table_of(project, found, {})
        assert shown is None and why.startswith(f"{whose} cannot be shown. ") and "spread is not above 0" in why
    dataclasses.replace(table(), created="2001-02-03 04:05 UTC").save(place)
    shown, why = table_of(project, {"latency": {"table": USED}}, {})
    assert shown is None and why.endswith(f"{place} now holds one of 2001-02-03 04:05 UTC")
    place.unlink()
    assert table_of(project, {}, {}) == (None, "")
    shown, why = table_of(project, {"latency": {"table": USED}}, {})
    assert shown is None and f"There is no latency table at {place}" in why


def test_what_was_predicted_and_measured_when_the_search_was_over_is_plotted_too(tmp_path):
    def values(ms):
        return {"predicted_latency_ms": 2.0, "predicted_latency_std_ms": 0.1, **({} if ms is None else {"latency": ms})}

    store = tmp_path / "store.sqlite"
    with Store(store) as opened:
        opened.begin_run("main", {}, {})
        for position, ms in enumerate((2.1, None, None)):
            trial = Trial(Structure((8 * position + 8,)), 0, position, values(ms), estimated=ms is None)
            opened.add_trial("main", trial)
    project = types.SimpleNamespace(workdir=types.SimpleNamespace(store=store))
    once = {"widths": [16], "values": values(2.2), "feasible": True}
    found = predictions(project, "main", None, [once, once])  # by the search, and by its random control
    assert found == (LatencyPoint(2.0, 0.1, 2.1, "search"), LatencyPoint(2.0, 0.1, 2.2, "search"))


def test_measurements_are_counted_in_words():
    told = counted({"measured": 90, "to_begin_with": 40, "not_measured": 1})
    assert told == (
        "90 structures were measured, 40 of them to begin with, the others as extremes, as controls, because they "
        "may be the best or were predicted to miss the limit by little; 1 other was only predicted"
    )
    told = counted({"measured": 9, "to_begin_with": 0, "not_measured": 2})
    assert told.startswith("9 structures were measured, as extremes, as controls,")
    assert told.endswith("; 2 others were only predicted")


def test_a_table_of_something_else_is_only_told_where_it_is_one():
    assert warnings({"source": "predicted"}) == []
    other = {"other_device": "threads was 1, is 2", "not_compared": "'adb' cannot be reached: Gone."}
    ((_, how),) = how_latency({"latency": {"source": "predicted", **other}}, None, "")
    assert how == (
        "predicted by a table; no structure was measured. The latency table is of another device or other options: "
        "threads was 1, is 2. The device of the latency table was not compared with that of the search: 'adb' cannot "
        "be reached: Gone."
    )
