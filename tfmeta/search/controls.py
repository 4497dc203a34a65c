"""What a search is held against: equally many random structures, and uniform widths."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from tfmeta.errors import BudgetError, UserError
from tfmeta.graph.structure import Structure
from tfmeta.search.loop import Run, generator
from tfmeta.search.problem import Problem
from tfmeta.search.random import Random, RandomOptions
from tfmeta.search.types import SearchResult
from tfmeta.trial import Trial

CONTROLS = ("random", "uniform")


def add_controls(
    result: SearchResult,
    run: Run,
    names: Sequence[str],
    generations: int,
    seed: int,
    prefix: str | None = None,
) -> SearchResult:
    """Returns ``result`` with the controls in ``names`` evaluated, in the same store.

    Their runs are named after them, behind ``prefix`` where there is one. A control that finds no structure within the
    budget does not undo the search: `SearchResult.missing` tells why it is not there.

    Raises:
        UserError: an unknown control.
    """
    unknown = set(names) - set(CONTROLS)
    if unknown:
        raise UserError(f"Unknown control {min(unknown)!r}. Expected some of: {', '.join(CONTROLS)}.")
    controls: dict[str, Trial] = {}
    settled = result.settled
    missing: dict[str, str] = {}
    for name in dict.fromkeys(names):
        # No name of a search holds a colon, so no search can be taken for another one's control.
        own = dataclasses.replace(run, name=name if prefix is None else f"{prefix}:{name}")
        try:
            if name == "random":
                found = _random(own, generations, seed)
                controls[name], settled = found.best, settled + found.settled
            else:
                controls[name] = _uniform(own)
        except BudgetError as error:
            missing[name] = str(error)
    return dataclasses.replace(result, controls=controls, missing=missing, settled=settled)


def _random(run: Run, generations: int, seed: int) -> SearchResult:
    options = RandomOptions(population=run.searcher.batch)
    # A stream of its own: with the search's, the control would begin with the structures that the search began with.
    control = Random(run.problem.space, generator(seed, stream=1), options)
    configuration = {**run.configuration, "seed": seed}
    return dataclasses.replace(run, searcher=control, configuration=configuration).execute(generations)


def _uniform(run: Run) -> Trial:
    """The widest uniform structure within every upper limit, even if it misses a lower one.

    Measured limits are met by measuring: uniform structures from narrow to wide cost more and more, so the widest that
    fits is found by halving.
    """
    problem, store = run.problem, run.store
    identity: Mapping[str, object] = {**problem.to_json(), **run.configuration}
    store.begin_run(run.name, identity, {})
    found = store.trials(run.name)
    if any(problem.outdated(trial) for trial in found):
        found = [problem.again(t, thorough=True) if problem.outdated(t) else t for t in found]
        store.revise(run.name, 1, found, {})
    stored = {trial.structure: trial for trial in found}

    def evaluated(structure: Structure) -> Trial:
        if structure not in stored:
            trial = problem.evaluate(structure, 0, len(stored), thorough=True)
            store.add_trial(run.name, trial)
            stored[structure] = trial
        return stored[structure]

    widest = problem.space.uniform_within(problem.bounds)
    best = evaluated(widest)
    if problem.measured and _too_large(problem, best):
        best = _widest_that_measures_within(problem, widest, evaluated)
    if best.fitness is None:
        raise BudgetError(f"The uniform structure could not be evaluated: {best.note}.")
    return best


def _widest_that_measures_within(problem: Problem, widest: Structure, evaluated: Callable[[Structure], Trial]) -> Trial:
    ladder = [structure for structure in problem.space.uniform_ladder() if _within(structure, widest)]
    best = evaluated(ladder[0])
    if _too_large(problem, best):
        raise BudgetError("Even the narrowest uniform structure is above the limit.")
    low, high = 0, len(ladder)  # ladder[low] fits, ladder[high] does not
    while high - low > 1:
        middle = (low + high) // 2
        trial = evaluated(ladder[middle])
        if _too_large(problem, trial):
            high = middle
        else:
            low, best = middle, trial
    return best


def _within(structure: Structure, widest: Structure) -> bool:
    return all(width <= limit for width, limit in zip(structure.widths, widest.widths, strict=True))


def _too_large(problem: Problem, trial: Trial) -> bool:
    return any(
        constraint.upper is not None and trial.values[objective.name] > constraint.upper
        for constraint, objective in problem.measured
        if objective.name in trial.values
    )
