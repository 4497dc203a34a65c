"""The front of a search in which some values were only estimated: what may belong to it gets values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfmeta.objectives import Estimate, Objective
from tfmeta.search.problem import Problem
from tfmeta.search.types import rank
from tfmeta.trial import Trial


def settle(problem: Problem, trials: Sequence[Trial]) -> list[Trial]:
    """Returns the trials, with values instead of estimates where no other is better whatever these values may be.

    Nothing is stored: what is costly, objectives remember themselves.
    """
    found = list(trials)
    places = [place for place, trial in enumerate(found) if trial.estimated and trial.feasible and not trial.failed]
    places.sort(key=lambda place: rank(found[place]))
    likely = [found[place].structure for place in places if not _is_dominated(problem, found[place], found)]
    problem.prepare(likely, thorough=True)
    for place in places:
        if not _is_dominated(problem, found[place], found):
            found[place] = problem.complete(found[place])
    return found


def _is_dominated(problem: Problem, trial: Trial, rivals: Sequence[Trial]) -> bool:
    ours = np.array([_at_best(trial.values, column) for column in problem.columns])
    theirs = [[_at_best(one.values, column) for column in problem.columns] for one in rivals if one.eligible]
    costs = np.reshape(theirs, (-1, len(ours)))
    return bool(((costs <= ours).all(1) & (costs < ours).any(1)).any())


def _at_best(values: Mapping[str, float], objective: Objective) -> float:
    """A value, or the best one that its estimate leaves possible, turned so that less is better."""
    sign = 1.0 if objective.minimize else -1.0
    if objective.name in values:
        return sign * values[objective.name]
    estimate = Estimate.of(values, objective.name, objective.unit)
    return sign * estimate.mean - estimate.reach
