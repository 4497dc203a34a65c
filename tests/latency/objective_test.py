"""The latency objective: what it answers, what it stores, and what it does not measure again."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import re
import sqlite3

import pytest

import tflite_bench
from tests.latency.devices import Counting, Scripted, Weighing
from tflite_bench import DeviceError
from tfmeta.errors import BudgetError, UserError
from tfmeta.graph.space import SearchSpace
from tfmeta.latency import Latency, LatencyOptions, conversion
from tfmeta.latency.building import drawn
from tfmeta.latency.conversion import structure_file
from tfmeta.latency.hybrid import Hybrid
from tfmeta.latency.table import Point
from tfmeta.latency.twin import Twins
from tfmeta.objectives import OBJECTIVES, Constraint, Objective
from tfmeta.registry import resolve
from tfmeta.search import search
from tfmeta.search.random import RandomOptions
from tfmeta.store import Store

STEADY = [1.0, 1.01]
NOISY = [1.0, 1.0, 1.0, 3.0]  # one run in four takes three times as long
# Three measurements of the reference against itself: six loadings.
BASELINE = [STEADY] * 6


def stored(path, structure):
    """What the store at ``path`` holds of a structure, read as anyone could."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        found = [json.loads(row[0]) for row in database.execute("SELECT payload FROM measurements")]
    return next(one for one in found if one.get("widths") == list(structure.widths))


@pytest.fixture
def scripted(graph, converted):
    """Returns a function: script of loadings, options -> (device, objective)."""

    def make(script, store=None, folder=converted, **changes):
        device = Scripted(script)
        options = LatencyOptions(**{"rounds": 5, "num_runs": 40, "min_secs": 0.0, "retries": 0, **changes})
        return device, Latency(graph, device, options, folder, store)

    return make


def test_it_is_the_registered_objective(graph, quick):
    latency = resolve(OBJECTIVES, "latency", "objective")(graph, "host", quick)
    with latency:
        assert isinstance(latency, Objective)
        assert (latency.name, latency.unit, latency.minimize, latency.closed_form) == ("latency", "ms", True, False)


@pytest.mark.parametrize("scheme", ["fp32", "int8"])
def test_the_full_network_takes_longer_than_the_smallest(graph, space, quick, converted, scheme):
    # MACs: 64x64 against 8x8 channels, 60 times as many; the smallest pays mostly overheads.
    with Latency(graph, "host", dataclasses.replace(quick, scheme=scheme), converted) as latency:
        full, smallest = latency([space.full(), space.smallest()])
    assert 0 < smallest < full < math.inf
    assert full / smallest > 1.5


def test_what_is_stored_is_told(scripted, space, tmp_path):
    structure, other = space.uniform(0.5), space.uniform(0.7)
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        _, latency = scripted([*BASELINE, STEADY, STEADY], store)
        with latency:
            latency([structure])
            assert latency.stored(structure) == stored(path, structure)
            assert latency.stored(other) is None


def test_the_store_holds_what_was_measured(graph, space, quick, converted, tmp_path):
    path, structure = tmp_path / "store.sqlite", space.uniform(0.5)
    with Store(path) as store, Latency(graph, "host", quick, converted, store) as latency:
        value, baseline = latency([structure])[0], latency.baseline_ms
    found = stored(path, structure)
    assert found["latency_ms"] == value
    assert found["baseline_ms"] == baseline
    assert value == pytest.approx(found["ratio"] * baseline)
    assert found["median_ms"] == found["measurement"]["median_ms"] > 0
    assert found["p90_ms"] == found["measurement"]["p90_ms"] >= found["median_ms"]
    assert 0 < found["ratio_low"] <= found["ratio_high"]
    assert found["attempts"] == [{"ratio": found["ratio"], "verdict": found["verdict"]}]
    assert found["verdict"] in ("OK", "NOISY", "THROTTLED") and found["reason"]
    assert latency.verdicts == {found["verdict"]: 1}


def test_a_device_that_slows_down_does_not_change_the_value(scripted, space):
    # The reference takes 1 ms at first; later the device is three times slower, and the structure half as long.
    slow, half = [3.0, 3.03], [1.5, 1.515]
    _, latency = scripted([*BASELINE, half, slow])
    with latency:
        assert latency([space.uniform(0.5)]) == pytest.approx([0.5025])  # 0.5 x the median of 1 and 1.01


@pytest.mark.parametrize(("slower", "verdict"), [(1.0, "OK"), (1.2, "OK"), (1.4, "THROTTLED")])
def test_a_reference_that_is_slower_than_its_baseline_is_throttled(scripted, space, tmp_path, slower, verdict):
    pair = [[slower / 2, slower / 2 * 1.01], [slower, slower * 1.01]]
    with Store(tmp_path / "store.sqlite") as store:
        device, latency = scripted([*BASELINE, *pair * 2], store, retries=1)
        assert latency([space.uniform(0.5)]) == pytest.approx([0.5025])
    found = stored(tmp_path / "store.sqlite", space.uniform(0.5))
    assert [one["verdict"] for one in found["attempts"]] == [verdict] * (1 if verdict == "OK" else 2)
    assert device.loads == 6 + 2 * len(found["attempts"])
    if verdict != "OK":
        assert found["reason"] == (
            "The reference takes 1.407 ms (40 runs), at the start it took 1.005 ms: the device is 40% slower."
        )


def test_measurements_are_kept_by_file_device_and_options(graph, space, tmp_path, converted, monkeypatch):
    # What a stored measurement is found by: nothing else may change what it is worth.
    path, options = tmp_path / "store.sqlite", {"rounds": 5, "num_runs": 40, "min_secs": 0.0, "retries": 0}

    def loads(device=None, graph=graph, **changes):
        device = device or Scripted(itertools.repeat(STEADY))
        with Store(path) as store:
            Latency(graph, device, LatencyOptions(**{**options, **changes}), converted, store)([space.smallest()])
        return device.loads

    assert loads() == 8
    assert loads() == 0
    for change in ({"threads": 2}, {"pin": "big"}, {"delegate": "gpu"}, {"scheme": "int8"}, {"warmup_secs": 0.2}):
        assert loads(**change) == 8, change
        assert loads(**change) == 0, change
    other = Scripted(itertools.repeat(STEADY))
    other.info = lambda: dataclasses.replace(Counting().info(), mode="fixed-performance")
    assert loads(other) == 8
    monkeypatch.setattr("tfmeta.latency.conversion.metadata.version", lambda package: "99.0")
    conversion.converter_versions.cache_clear()
    try:
        assert loads() == 8
    finally:
        conversion.converter_versions.cache_clear()


def test_a_structure_has_one_file_byte_by_byte(graph, space):
    for scheme in ("fp32", "int8"):
        first, second = (Twins(graph, scheme).file(space.uniform(0.5)) for _ in range(2))
        assert first == second
    with Latency(graph, Scripted([*BASELINE, STEADY, STEADY]), LatencyOptions(retries=0)) as latency:
        payload = latency._job(latency._file(space.smallest()), None)(latency._device)
    digest = hashlib.sha256(Twins(graph, "fp32").file(space.smallest())).hexdigest()
    assert payload["measurement"]["model_sha256"] == digest


def test_nothing_is_measured_twice(graph, space, quick, converted, tmp_path):
    device, structures = Counting(), [space.full(), space.smallest()]
    with Store(tmp_path / "store.sqlite") as store:
        first = Latency(graph, device, quick, converted, store)
        values = first(structures)
        loads = device.loads
        assert loads == 6 + 2 * len(structures)
        assert first(structures) == values
        assert Latency(graph, device, quick, tmp_path / "other", store)(structures) == values
        assert device.loads == loads
        assert not (tmp_path / "other").exists()  # nor converted
        assert not device.closed  # it was given open
        longer = dataclasses.replace(quick, num_runs=20)
        Latency(graph, device, longer, converted, store)([space.smallest()])
        assert device.loads == loads + 8  # other options: also a baseline of their own


def test_a_kept_file_is_not_converted_again(scripted, space, tmp_path):
    made = []
    for _ in range(2):  # without a store: measured again
        device, latency = scripted([*BASELINE, STEADY, STEADY], folder=tmp_path)
        latency([space.smallest()])
        assert device.loads == 8
        made.append({path.name: path.stat().st_ino for path in tmp_path.iterdir()})
    assert made[0] == made[1]
    assert len(made[0]) == 3  # the full network, the structure and the template of its file


@pytest.mark.parametrize(
    ("bad", "retries", "attempts", "verdict"),
    [(0, 2, 1, "OK"), (1, 2, 2, "OK"), (5, 2, 3, "NOISY"), (5, 0, 1, "NOISY")],
)
def test_a_noisy_measurement_is_repeated_a_bounded_number_of_times(
    space, scripted, capsys, tmp_path, bad, retries, attempts, verdict
):
    script = [*BASELINE, *[NOISY, STEADY] * bad, *[STEADY, STEADY] * 5]
    with Store(tmp_path / "store.sqlite") as store:
        device, latency = scripted(script, store, retries=retries)
        latency([space.smallest()])
    found = stored(tmp_path / "store.sqlite", space.smallest())
    assert device.loads == 6 + 2 * attempts
    assert [one["verdict"] for one in found["attempts"]] == ["NOISY"] * (attempts - 1) + [verdict]
    assert latency.verdicts == {verdict: 1}
    told = capsys.readouterr().err
    assert (f"latency: NOISY after {attempts} attempt" in told) == (verdict == "NOISY")


def test_a_noisy_reference_makes_the_measurement_noisy(space, scripted):
    _, latency = scripted([*BASELINE, STEADY, NOISY])
    latency([space.smallest()])
    assert latency.verdicts == {"NOISY": 1}


def test_a_file_of_the_user_can_be_the_reference(graph, space, quick, converted, tmp_path):
    path = tmp_path / "mine.tflite"
    path.write_bytes(structure_file(graph, space.smallest(), "fp32"))
    with Latency(graph, "host", quick, reference=path) as latency, Latency(graph, "host", quick, converted) as other:
        assert latency.baseline_ms < other.baseline_ms
        assert latency.identity != other.identity
    with pytest.raises(UserError, match=r"Cannot read the reference model .*none\.tflite: No such file"):
        Latency(graph, "host", quick, reference=tmp_path / "none.tflite")


class Width:
    """An objective that costs nothing."""

    name, unit, minimize, closed_form = "width", "channels", False, False

    def __call__(self, structures):
        return [float(sum(s.widths)) for s in structures]


@pytest.fixture(scope="module")
def coarse(graph):
    """Two structures only."""
    return SearchSpace.from_graph(graph, multiple_of=32)


def searched(graph, space, latency, store, run, upper):
    return search(
        graph=graph,
        space=space,
        searcher="random",
        options=RandomOptions(population=2),
        objectives=[Width(), latency],
        constraints=[Constraint("latency", upper=upper)],
        store=store,
        run=run,
        generations=2,
        depends_on=latency.identity,
    )


def test_a_second_search_over_the_same_store_measures_nothing(graph, coarse, quick, converted, tmp_path):
    device = Weighing()
    with Store(tmp_path / "store.sqlite") as store:
        latency = Latency(graph, device, quick, converted, store)
        first = searched(graph, coarse, latency, store, "a", 3 * latency.baseline_ms)
    loads = device.loads
    assert loads == 6 + 2 * 2  # baseline and both structures
    assert {trial.structure for trial in first.trials} == {coarse.full(), coarse.smallest()}
    with Store(tmp_path / "store.sqlite") as store:
        for run in ("a", "b"):  # resumed, and anew
            again = Latency(graph, device, quick, converted, store)
            assert searched(graph, coarse, again, store, run, 3 * latency.baseline_ms).trials == first.trials
    assert device.loads == loads


def test_an_impossible_budget_tells_the_smallest_latency(graph, coarse, quick, converted):
    with Store() as store, Latency(graph, "host", quick, converted, store) as latency:
        smallest = latency([coarse.smallest()])[0]
        with pytest.raises(BudgetError, match=re.escape(f"the smallest structure has {smallest:.6g} ms")):
            searched(graph, coarse, latency, store, None, upper=smallest / 10)


THROTTLED = [1.0] * 8 + [2.0] * 1000  # twice as slow after a few inferences


def test_a_throttled_reference_is_no_baseline(scripted, space, tmp_path):
    with Store(tmp_path / "store.sqlite") as store:
        _, latency = scripted([THROTTLED] * 6, store)
        with latency, pytest.raises(tflite_bench.DeviceError, match=r"THROTTLED: .* Let the device cool down"):
            latency([space.full()])
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite")) as database:
        assert list(database.execute("SELECT payload FROM measurements")) == []
    _, latency = scripted([THROTTLED, THROTTLED, *[STEADY] * 4])
    with latency:
        assert latency.baseline_ms == pytest.approx(1.005)


def _predicting(latency):
    """Begins with points that tell nothing but the middle."""
    widths = [one.widths for one in drawn(SearchSpace.from_graph(latency.graph, multiple_of=1), 20, seed=0)]
    return Hybrid(latency, latency.work, lambda: [Point(one, 0.5, 0.5, 0.5, "OK", False) for one in widths], {})


@pytest.mark.parametrize("objective", [lambda latency: latency, _predicting], ids=["measured", "hybrid"])
def test_what_stayed_throttled_is_measured_again_when_a_search_is_resumed(graph, coarse, scripted, objective):
    cool, hot = [[0.5, 0.505], STEADY], [[0.8] * 8 + [1.6] * 1000, STEADY]
    with Store() as store:
        _, latency = scripted([*BASELINE, *cool, *cool], store)
        undisturbed = searched(graph, coarse, objective(latency), store, "a", upper=9.0).trials
    with Store() as store:
        _, latency = scripted([*BASELINE, *cool, *hot], store)
        assert searched(graph, coarse, objective(latency), store, "a", upper=9.0).trials != undisturbed
        assert set(latency.verdicts) == {"OK", "THROTTLED"}
        for loads, script in ((2, hot), (2, cool), (0, [])):  # once each time, until it is OK
            device, latency = scripted(script, store)
            trials = searched(graph, coarse, objective(latency), store, "a", upper=9.0).trials
            assert device.loads == loads
        expected = [(one.structure, one.values["latency"], one.fitness) for one in undisturbed]
        assert [(one.structure, one.values["latency"], one.fitness) for one in trials] == expected
        stored = [one for one in store.trials("a") if one.generation >= 0 and not one.estimated]
        assert stored and set(stored) <= set(trials)


def test_a_reference_that_became_much_faster_is_told(scripted, space):
    _, latency = scripted([*BASELINE, STEADY, [0.5, 0.505]])
    with latency:
        latency([space.full()])
        assert dict(latency.verdicts) == {"NOISY": 1}


def test_a_device_that_changes_in_between_is_told_and_nothing_is_stored(graph, space):
    device = Scripted(itertools.repeat(STEADY))
    with Store() as store, Latency(graph, device, LatencyOptions(retries=0), store=store) as latency:
        latency([space.smallest()])
        plain = device.info()
        device.info = lambda: dataclasses.replace(plain, mode="fixed-performance")
        with pytest.raises(DeviceError, match="The device changed while it was used"):
            latency([space.full()])
        device.info = lambda: plain
        assert latency([space.full()])
