"""From all trials of a run to its result, or to the error that tells why there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmeta.errors import BudgetError, UserError
from tfmeta.graph.structure import Bound
from tfmeta.search.pareto import pareto_front
from tfmeta.search.problem import Problem
from tfmeta.search.types import SearchResult, rank
from tfmeta.trial import Trial


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Returns the eligible trial with the best fitness, the earliest of equals, or None."""
    return min((trial for trial in trials if trial.eligible), key=rank, default=None)


def check_not_all_failed(trials: Sequence[Trial]) -> None:
    """Raises UserError when there are trials and every one failed."""
    if trials and all(trial.failed for trial in trials):
        raise UserError(
            f"All {len(trials)} evaluated structures failed, the first with: {trials[0].note}. "
            "Check that the net is "
            "trained and the objective works on one structure; then start a new run."
        )


def result_of(problem: Problem, trials: Sequence[Trial], bounds: Sequence[Bound], note: str) -> SearchResult:
    """Returns the result of a finished run.

    Raises:
        BudgetError: no trial met the constraints.
        UserError: those that met them failed.
    """
    check_not_all_failed(trials)
    best = best_of(trials)
    if best is None:
        raise _nothing_feasible(problem, trials)
    return SearchResult(best, tuple(trials), pareto_of(problem, trials), tuple(bounds), note=note)


def pareto_of(problem: Problem, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Returns the eligible trials that no other dominates in `Problem.columns`, best first."""
    columns = problem.columns
    eligible = sorted((trial for trial in trials if trial.eligible), key=rank)
    if not eligible:
        return ()
    values = np.array([[trial.values[column.name] for column in columns] for trial in eligible])
    front = pareto_front(values, [column.minimize for column in columns])
    return tuple(trial for trial, kept in zip(eligible, front, strict=True) if kept)


def _nothing_feasible(problem: Problem, trials: Sequence[Trial]) -> UserError:
    sound = [trial for trial in trials if not trial.failed]
    if any(trial.feasible for trial in sound) or not sound:
        return UserError("No structure was evaluated. Expected generations >= 1.")
    closest = min(sound, key=rank)
    return BudgetError(
        f"None of {len(trials)} evaluated structures met the constraints. The closest had "
        f"{problem.missed(closest.values)} (widths {closest.structure.widths}). Relax the constraint or "
        "allow more generations."
    )
