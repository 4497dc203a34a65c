"""The front of a search in which some values were only estimated: what may belong to it gets values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfmeta.objectives import Estimate, Objective
from tfmeta.search.pareto import is_dominated
from tfmeta.search.problem import Problem
from tfmeta.search.types import rank
from tfmeta.trial import Trial

# Begun at once, for devices that work side by side: each value that is found may put others out of the question.
_AHEAD = 8


def settle(problem: Problem, trials: Sequence[Trial]) -> list[Trial]:
    """Returns the trials, with values instead of estimates where no other is better whatever these values may be.

    Nothing is stored: what is costly, objectives remember themselves.
    """
    found = list(trials)
    places = [place for place, trial in enumerate(found) if trial.estimated and trial.feasible and not trial.failed]
    places.sort(key=lambda place: rank(found[place]))
    hopes = {place: _at_best(problem, found[place]) for place in places}
    known = np.reshape([_at_best(problem, trial) for trial in found if trial.eligible], (-1, len(problem.columns)))
    while places := [place for place in places if not is_dominated(hopes[place], known)]:
        problem.prepare([found[place].structure for place in places[:_AHEAD]], thorough=True)
        for place in places[:_AHEAD]:
            if not is_dominated(hopes[place], known):
                found[place] = problem.complete(found[place])
                if found[place].eligible:
                    known = np.vstack([known, _at_best(problem, found[place])])
        del places[:_AHEAD]
    return found


def _at_best(problem: Problem, trial: Trial) -> np.ndarray:
    return np.array([_value_at_best(trial.values, objective) for objective in problem.columns])


def _value_at_best(values: Mapping[str, float], objective: Objective) -> float:
    """A value, or the best one that its estimate leaves possible, turned so that less is better."""
    sign = 1.0 if objective.minimize else -1.0
    if objective.name in values:
        return sign * values[objective.name]
    estimate = Estimate.of(values, objective.name, objective.unit)
    return sign * estimate.mean - estimate.reach
