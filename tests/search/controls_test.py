"""The controls that a search is held against."""

import pytest

from tests.search import toy
from tfmeta.objectives import Constraint
from tfmeta.search import search
from tfmeta.search.genetic import GeneticOptions
from tfmeta.store import Store

SMALL = GeneticOptions(population=10, parents=4, mutations=5, crossovers=5)


def small(**changes):
    settings = {
        "space": toy.space(),
        "objectives": [toy.Accuracy(), toy.Latency(), toy.Macs()],
        "constraints": [Constraint("macs", upper=6000)],
        "options": SMALL,
        "generations": 3,
        "controls": ("random", "uniform"),
    }
    return search(**{**settings, **changes})


def test_random_control_is_the_random_search_of_as_many_structures():
    with Store() as store:
        result = small(store=store)
        trials = store.trials("random")
    assert len(trials) == len(result.trials) == 30
    assert result.controls["random"].fitness == max(trial.fitness for trial in trials)


def test_uniform_control_is_the_widest_uniform_structure_in_the_budget():
    # Uniform width w: 3 w + 5 w^2. 32 -> 5216 fits into 6000, 40 -> 8120 does not.
    assert small().controls["uniform"].structure == toy.space().uniform(32 / 64)


def test_uniform_control_keeps_a_measured_limit_by_its_own_measurement():
    constraint = Constraint("latency", upper=6.0)
    uniform = small(constraints=[constraint]).controls["uniform"]
    assert uniform.values["latency"] <= 6
    assert uniform.fitness is not None
    latencies = {r: toy.Latency()([toy.space().uniform(r)])[0] for r in (3 / 8, 4 / 8, 5 / 8)}
    widest = max(r for r, ms in latencies.items() if ms <= 6)
    assert uniform.structure.widths[0] <= 64 * widest


def test_uniform_control_is_evaluated_below_a_lower_limit():
    window = Constraint("macs", lower=5500, upper=6000)
    uniform = small(constraints=[window]).controls["uniform"]
    assert uniform.values["macs"] == 5216
    assert not uniform.feasible
    assert "accuracy" in uniform.values


@pytest.mark.parametrize("run", [None, "half"])
def test_controls_are_runs_of_the_same_store_and_are_resumed(tmp_path, run):
    first = small(store=tmp_path / "s.sqlite", run=run)
    assert small(store=tmp_path / "s.sqlite", run=run) == first
    with Store(tmp_path / "s.sqlite") as store:
        expected = ("genetic", "random", "uniform") if run is None else ("half", "half-random", "half-uniform")
        assert store.runs == expected


def test_controls_do_not_change_the_search():
    assert small(controls=()).trials == small().trials
