"""From the trials so far to the bounds of the next proposals; and what is measured before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmeta.errors import BudgetError
from tfmeta.graph.structure import Bound, Structure
from tfmeta.objectives import Constraint, Objective
from tfmeta.search import proxy
from tfmeta.search.problem import Problem, told_value
from tfmeta.trial import Trial

# Between the smallest and the full structure: latency is far from linear in MACs, since small nets
# pay overheads.
_PROBE_RATIOS = (0.25, 0.5, 0.75)
# With probes alone the curve is rough, so the first proposals keep this share away from a measured
# limit.
_FIRST_MARGIN = 0.1


def probes(problem: Problem) -> list[Structure]:
    """Returns the structures to measure first; none without measured constraints."""
    if not problem.measured:
        return []
    space = problem.space
    between = [space.uniform(ratio) for ratio in _PROBE_RATIOS]
    return list(dict.fromkeys([space.smallest(), space.full(), *between]))


def check_measured(problem: Problem, trial: Trial) -> None:
    """Refuses a measured limit that the probed smallest or full structure shows to be out of reach.

    Raises:
        BudgetError: the smallest structure costs more than the upper limit, or the full one less
            than the lower.
    """
    for constraint, objective in problem.measured:
        value = trial.values[objective.name]
        smallest = trial.structure == problem.space.smallest()
        if smallest and constraint.upper is not None and value > constraint.upper:
            raise BudgetError(
                f"Budget of {constraint.upper:.6g} {objective.unit} for {objective.name} cannot "
                "be met: the smallest "
                f"structure has {value:.6g} {objective.unit}. Raise the budget, or lower "
                "min_ratio or "
                "multiple_of."
            )
        full = trial.structure == problem.space.full()
        if full and constraint.lower is not None and value < constraint.lower:
            raise BudgetError(
                f"Lower bound of {constraint.lower:.6g} {objective.unit} for {objective.name} "
                "cannot be met: the full "
                f"structure has {value:.6g} {objective.unit}. Lower the bound or take a "
                "larger network."
            )


def bounds(problem: Problem, known: Sequence[Trial]) -> tuple[Bound, ...]:
    """Returns the bounds for the next proposals.

    These are the closed-form constraints, and for each measured one the bound on MACs that
    the values of ``known`` suggest, measured or estimated.
    """
    if not problem.measured:
        return problem.bounds
    only_probes = all(trial.generation < 0 for trial in known)
    margin = _FIRST_MARGIN if only_probes else 0.0
    stand_ins = tuple(_stand_in(problem, pair, known, margin) for pair in problem.measured)
    try:
        # A generator of its own: whether the bounds go together must not move the searcher's.
        problem.space.repair(problem.space.full(), problem.bounds + stand_ins, np.random.default_rng(0))
    except BudgetError:
        return problem.bounds  # the stand-ins are estimates, so they give way
    return problem.bounds + stand_ins


def _stand_in(
    problem: Problem,
    limited: tuple[Constraint, Objective],
    known: Sequence[Trial],
    margin: float,
) -> Bound:
    constraint, objective = limited
    if problem.macs is None:
        raise ValueError("A problem with measured constraints needs `macs`; use Problem.create.")
    told = [(trial.structure.widths, told_value(trial.values, objective)) for trial in known]
    pairs = [(widths, found[1]) for widths, found in told if found is not None]
    costs = problem.macs.cost(np.array([widths for widths, _ in pairs]))
    values = np.array([value for _, value in pairs])
    lower, upper = proxy.targets(constraint.lower, constraint.upper, margin)
    return Bound(
        f"{problem.macs.name}, which stand for {objective.name},",
        problem.macs.unit,
        problem.macs.cost,
        None if lower is None else proxy.smallest_cost(costs, values, lower),
        None if upper is None else proxy.largest_cost(costs, values, upper),
    )
