"""Constraints on what is known only after measuring it."""

import math

import numpy as np
import pytest

from tests.search import toy
from tfmeta.errors import BudgetError, UserError
from tfmeta.objectives import Constraint
from tfmeta.search import search
from tfmeta.search.genetic import GeneticOptions
from tfmeta.store import Store

# Latency of the toy: 1.3 ms for the smallest structure, 21.7 ms for the full one, each +- 5 %.
SMALL = GeneticOptions(population=20, parents=5, mutations=10, crossovers=10)


def small(**changes):
    settings = {
        "space": toy.space(),
        "objectives": [toy.Accuracy(), toy.Latency(), toy.Macs()],
        "constraints": [Constraint("latency", upper=5.0)],
        "options": SMALL,
        "generations": 5,
    }
    return search(**{**settings, **changes})


@pytest.mark.parametrize(
    "constraint",
    [
        Constraint("latency", upper=2.0),
        Constraint("latency", upper=5.0),
        Constraint("latency", lower=12.0),
        Constraint("latency", lower=8.0, upper=9.0),
    ],
    ids=str,
)
def test_most_proposals_measure_feasible_and_only_such_may_win(constraint):
    result = small(constraints=[constraint])
    assert constraint.violation(result.best.values["latency"]) == 0
    assert all(trial.feasible for trial in result.pareto)
    first = [trial.feasible for trial in result.trials if trial.generation == 0]
    # Uniform samples would nearly all miss: their latency is 5 to 11 ms. Half is the promise of
    # "mostly"; the narrow window is about as wide as the noise, so that it is hit at all is enough.
    wide = constraint.lower is None or constraint.upper is None
    assert np.mean(first) > (0.5 if wide else 0.2)
    assert np.mean([trial.feasible for trial in result.trials]) > (0.5 if wide else 0.2)


def test_accuracy_is_not_evaluated_for_what_measured_infeasible():
    asked = []

    def score(structure):
        asked.append(structure)
        return toy.Accuracy()([structure])[0]

    result = small(objectives=[toy.Given(score, name="accuracy"), toy.Latency(), toy.Macs()])
    skipped = [trial for trial in result.trials if not trial.feasible]
    assert skipped
    assert set(asked) == {trial.structure for trial in result.trials if trial.feasible}
    for trial in skipped:
        assert "accuracy" not in trial.values
        assert trial.fitness is None and not trial.failed
        assert trial.violation == pytest.approx(trial.values["latency"] / 5 - 1)
        assert trial.note.startswith("accuracy skipped: latency of 5.")
        assert trial.note.endswith("ms is above 5 ms")


def test_probes_are_stored_before_the_first_generation_and_are_no_trials():
    with Store() as store:
        result = small(store=store)
        probes = [t for t in store.trials("genetic") if t.generation < 0]
    space = toy.space()
    assert [t.structure for t in probes[:2]] == [space.smallest(), space.full()]
    assert all(t.values.keys() == {"latency"} for t in probes)
    assert all(t.generation >= 0 for t in result.trials)


@pytest.mark.parametrize(
    ("constraint", "text", "measured"),
    [
        (Constraint("latency", upper=1.0), "Budget of 1 ms for latency cannot be met", 0),
        (Constraint("latency", lower=99.0), "Lower bound of 99 ms for latency cannot be met", -1),
    ],
)
def test_an_impossible_measured_budget_tells_the_measured_extreme(constraint, text, measured):
    space = toy.space()
    extreme = [space.smallest(), space.full()][measured]
    value = toy.Latency()([extreme])[0]
    kind = "full" if measured else "smallest"
    asked = []
    objectives = [toy.Given(lambda s: asked.append(s) or 0.0), toy.Latency(), toy.Macs()]
    with pytest.raises(BudgetError, match=f"{text}: the {kind} structure has {value:.6g} ms"):
        small(constraints=[constraint], objectives=objectives)
    assert asked == []  # an impossible budget costs no accuracy evaluation


def test_nothing_feasible_is_an_error_with_the_closest():
    # A jump from 1 to 7 ms right behind the smallest structure, and a window between the two.
    smallest = toy.space().smallest()
    latency = toy.Given(lambda s: 1.0 if s == smallest else 7.0 + toy.Macs()([s])[0] / 1e6, "latency", "ms", True)
    objectives = [toy.Accuracy(), latency, toy.Macs()]
    with pytest.raises(BudgetError, match=r"None of \d+ evaluated .* closest had latency of 7\.\d+ ms is"):
        small(objectives=objectives, constraints=[Constraint("latency", lower=2.0, upper=5.0)])


def test_a_cost_that_cannot_be_measured_is_an_error():
    latency = toy.Given(lambda s: math.nan, "latency", "ms", minimize=True)
    with pytest.raises(UserError, match=r"latency of the structure .* is not a finite number"):
        small(objectives=[toy.Accuracy(), latency, toy.Macs()])


def test_a_measured_constraint_needs_macs_to_steer_by():
    with pytest.raises(UserError, match="'macs' needs a channel graph"):
        small(objectives=[toy.Accuracy(), toy.Latency()])
    counted = toy.Given(lambda s: 1.0, "macs", "MACs", minimize=True)
    with pytest.raises(UserError, match="needs an objective 'macs' that is closed-form"):
        small(objectives=[toy.Accuracy(), toy.Latency(), counted])


def test_a_lower_limit_on_accuracy_ranks_but_does_not_steer():
    result = small(
        objectives=[toy.Latency(), toy.Accuracy(), toy.Macs()],
        constraints=[Constraint("accuracy", lower=70.0)],
    )
    assert result.best.values["accuracy"] >= 70
    feasible = [t for t in result.trials if t.feasible]
    assert result.best.values["latency"] == min(t.values["latency"] for t in feasible)


def test_measured_and_closed_form_limits_hold_together():
    limits = [Constraint("latency", upper=6.0), Constraint("macs", lower=3000, upper=5500)]
    result = small(constraints=limits)
    macs = [t.values["macs"] for t in result.trials]
    assert min(macs) >= 3000
    assert max(macs) <= 5500
    assert result.best.values["latency"] <= 6
