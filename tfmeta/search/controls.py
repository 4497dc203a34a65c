"""What a search is held against: equally many random structures, and uniform widths."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph.structure import Bound, Structure
from tfmeta.search.loop import Run, generator
from tfmeta.search.problem import Problem
from tfmeta.search.random import Random, RandomOptions
from tfmeta.search.types import SearchResult
from tfmeta.trial import Trial

CONTROLS = ("random", "uniform")

# A uniform structure that measured over a limit gives way to one with this share of its MACs, at
# most so many times.
_SHRINK = 0.93
_SHRINK_TRIES = 12


def add_controls(
    result: SearchResult,
    run: Run,
    names: Sequence[str],
    generations: int,
    seed: int,
    prefix: str | None = None,
) -> SearchResult:
    """Returns ``result`` with the controls in ``names`` evaluated, in the same store.

    Their runs are named after them, behind ``prefix`` where there is one.

    Raises:
        UserError: an unknown control.
    """
    unknown = set(names) - set(CONTROLS)
    if unknown:
        raise UserError(f"Unknown control {min(unknown)!r}. Expected some of: {', '.join(CONTROLS)}.")
    controls: dict[str, Trial] = {}
    for name in dict.fromkeys(names):
        place = name if prefix is None else f"{prefix}-{name}"
        if name == "random":
            controls[name] = _random(dataclasses.replace(run, name=place), generations, seed)
        else:
            trial = _uniform(dataclasses.replace(run, name=place), result.bounds)
            if trial is not None:
                controls[name] = trial
    return dataclasses.replace(result, controls=controls)


def _random(run: Run, generations: int, seed: int) -> Trial:
    options = RandomOptions(population=run.searcher.batch)
    # A stream of its own: with the search's, the control would begin with the structures that the search began with.
    control = Random(run.problem.space, generator(seed, stream=1), options)
    configuration = {**run.configuration, "seed": seed}
    return dataclasses.replace(run, searcher=control, configuration=configuration).execute(generations).best


def _uniform(run: Run, bounds: Sequence[Bound]) -> Trial | None:
    """The largest uniform structure within every upper limit, even if it misses a lower one."""
    problem, store = run.problem, run.store
    identity: Mapping[str, object] = {**problem.to_json(), **run.configuration}
    store.begin_run(run.name, identity, {})
    stored = {trial.structure: trial for trial in store.trials(run.name)}
    limits = list(bounds)
    for position in range(_SHRINK_TRIES):
        structure = problem.space.uniform_within(limits)
        trial = stored.get(structure)
        if trial is None:
            trial = problem.evaluate(structure, 0, len(stored), thorough=not problem.measured)
            store.add_trial(run.name, trial)
            stored[structure] = trial
        if not _too_large(problem, trial):
            return trial if trial.fitness is not None else None
        if structure == problem.space.smallest() or position == _SHRINK_TRIES - 1:
            return None
        limits = [*bounds, _smaller(problem, structure)]
    return None


def _too_large(problem: Problem, trial: Trial) -> bool:
    return any(
        constraint.upper is not None and trial.values[objective.name] > constraint.upper
        for constraint, objective in problem.measured
        if objective.name in trial.values
    )


def _smaller(problem: Problem, structure: Structure) -> Bound:
    if problem.macs is None:
        raise ValueError("A problem with measured constraints needs `macs`; use Problem.create.")
    cost = problem.macs.cost(np.array([structure.widths]))[0]
    smallest = problem.macs.cost(np.array([problem.space.smallest().widths]))[0]
    upper = max(_SHRINK * float(cost), float(smallest))
    return Bound(problem.macs.name, problem.macs.unit, problem.macs.cost, upper=upper)
