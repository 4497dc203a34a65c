"""The controls that a search is held against."""

import numpy as np
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


def test_random_control_draws_other_structures_than_the_search_began_with():
    with Store() as store:
        result = small(store=store)
        drawn = {trial.structure for trial in store.trials("random")}
    first = {trial.structure for trial in result.trials if trial.generation == 0}
    # 10 of 8^6 structures each: one in common by chance has a probability below 1e-3.
    assert not first & drawn


def test_uniform_control_uses_up_the_budget():
    # Uniform width w costs 3 w + 5 w^2: 32 -> 5216 fits into 6000, 40 -> 8120 does not. One more step of the first
    # group costs 3 * 8 + 8 * 32 = 280, then one of the second 8 * (40 + 32) = 576, too much, as are the 512 of the
    # next three; the last one's 8 * 32 = 256 fit: 5752.
    assert small().controls["uniform"].structure.widths == (40, 32, 32, 32, 32, 40)


class _KindToUniform(toy.Latency):
    """A device on which uniform structures are a fifth faster than others of the same MACs."""

    def __call__(self, structures):
        values = toy.Macs()(structures) / 1000
        return [v * (0.8 if len(set(s.widths)) == 1 else 1.0) for v, s in zip(values, structures, strict=True)]


@pytest.mark.parametrize("limit", [3.0, 5.0, 6.5, 9.0])
def test_uniform_control_is_as_wide_as_its_own_measurement_allows(limit):
    result = small(
        objectives=[toy.Accuracy(), _KindToUniform(), toy.Macs()], constraints=[Constraint("latency", upper=limit)]
    )
    fitting = [s for s in toy.space().uniform_ladder() if _KindToUniform()([s])[0] <= limit]
    assert result.controls["uniform"].structure == fitting[-1]


def test_uniform_control_is_evaluated_below_a_lower_limit():
    window = Constraint("macs", lower=5800, upper=6000)
    uniform = small(constraints=[window]).controls["uniform"]
    assert uniform.values["macs"] == 5752
    assert not uniform.feasible
    assert "accuracy" in uniform.values


class _NoAnswer(toy.Accuracy):
    """Has no value for the structure that the uniform control is."""

    def __call__(self, structures):
        values = super().__call__(structures)
        return [np.nan if s.widths == (40, 32, 32, 32, 32, 40) else v for v, s in zip(values, structures, strict=True)]


def test_a_control_that_finds_nothing_is_missing_with_its_reason():
    result = small(objectives=[_NoAnswer(), toy.Latency(), toy.Macs()])
    assert set(result.controls) == {"random"}
    assert result.missing == {
        "uniform": "The uniform structure could not be evaluated: accuracy is not a finite number."
    }


@pytest.mark.parametrize("run", [None, "half"])
def test_controls_are_runs_of_the_same_store_and_are_resumed(tmp_path, run):
    first = small(store=tmp_path / "s.sqlite", run=run)
    assert small(store=tmp_path / "s.sqlite", run=run) == first
    with Store(tmp_path / "s.sqlite") as store:
        expected = ("genetic", "random", "uniform") if run is None else ("half", "half:random", "half:uniform")
        assert store.runs == expected


def test_controls_do_not_change_the_search():
    assert small(controls=()).trials == small().trials
