"""Structures of a search space that stay within a budget, found in a bounded number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfmeta.errors import BudgetError
from tfmeta.graph.structure import Bound, Structure

if TYPE_CHECKING:
    from tfmeta.graph.space import SearchSpace

_REPAIR_TRIES = 50


def check_reachable(space: SearchSpace, bounds: Sequence[Bound]) -> None:
    """Raises BudgetError, with the reachable extreme, when a bound lies outside the whole space."""
    smallest = np.array([space.smallest().widths])
    full = np.array([space.full().widths])
    for bound in bounds:
        if bound.above(smallest)[0]:
            raise BudgetError(
                f"Budget of {_number(bound.upper)} {bound.unit} for {bound.name} is below the smallest structure, "
                f"which has {_number(bound.cost(smallest)[0])}. Raise the budget, or lower min_ratio or multiple_of."
            )
        if bound.below(full)[0]:
            raise BudgetError(
                f"Lower bound of {_number(bound.lower)} {bound.unit} for {bound.name} is above the largest structure, "
                f"which has {_number(bound.cost(full)[0])}. Lower the bound or take a larger network."
            )


def repair(space: SearchSpace, structure: Structure, bounds: Sequence[Bound], rng: np.random.Generator) -> Structure:
    """Returns a structure within ``bounds``, as near to ``structure`` in proportion as the options allow.

    Too large a structure shrinks all its genes in proportion, too small a one grows in the same way; then genes in
    random order take single steps until every bound holds. Fresh samples replace a start from which that fails.

    Raises:
        BudgetError: a bound lies outside the space, or no structure was found between the bounds.
    """
    check_reachable(space, bounds)
    indices = space.indices(structure)
    for _ in range(_REPAIR_TRIES):
        fitted = _grow(space, _scale(space, indices, bounds), bounds, rng)
        if fitted is not None:
            return space.structure(fitted)
        indices = rng.integers(0, space.num_options)
    texts = [f"{b.name} from {_number(b.lower)} to {_number(b.upper)} {b.unit}" for b in bounds]
    raise BudgetError(
        f"No structure was found within {' and '.join(texts)} in {_REPAIR_TRIES} tries. Widen the bounds or choose a "
        "smaller multiple_of."
    )


def uniform_within(space: SearchSpace, bounds: Sequence[Bound]) -> Structure:
    """Returns the uniform structure that uses up the upper bounds.

    That is the largest width multiplier that fits. Rounding to the options can leave much of the budget unused, so then
    every gene, the narrowest in proportion first, takes one more step where that fits: the control should cost as much
    as what it is compared with.

    Raises:
        BudgetError: even the smallest structure is too large.
    """
    check_reachable(space, bounds)
    options = ladder(space)
    indices = options[np.flatnonzero(_fits(bounds, space.widths(options)))[-1]]
    leaders = np.array([gene.groups[0] for gene in space.genes])
    ratios = space.widths(indices[None])[0][leaders] / np.array(space.sizes)[leaders]
    for gene in np.argsort(ratios, kind="stable"):
        larger = indices + (np.arange(len(indices)) == gene)
        if larger[gene] < space.num_options[gene] and _fits(bounds, space.widths(larger[None]))[0]:
            indices = larger
    return space.structure(indices)


def ladder(space: SearchSpace) -> np.ndarray:
    """Returns the option indices `[P, len(genes)]` of all uniform structures, each once, from narrow to wide."""
    rows = (tuple(space.uniform_indices(ratio).tolist()) for ratio in np.linspace(0, 1, 1001))
    return np.array(list(dict.fromkeys(rows)))


def _fits(bounds: Sequence[Bound], widths: np.ndarray) -> np.ndarray:
    """`[P]` bool: no upper bound is exceeded."""
    fits = np.ones(len(widths), bool)
    for bound in bounds:
        fits &= ~bound.above(widths)
    return fits


def _suffices(bounds: Sequence[Bound], widths: np.ndarray) -> np.ndarray:
    """`[P]` bool: no lower bound is missed."""
    suffices = np.ones(len(widths), bool)
    for bound in bounds:
        suffices &= ~bound.below(widths)
    return suffices


def _scale(space: SearchSpace, indices: np.ndarray, bounds: Sequence[Bound]) -> np.ndarray:
    """The smallest step towards feasibility that keeps the proportions of the genes."""
    steps = np.linspace(0, 1, 65)[:, None]
    down = np.rint(indices * (1 - steps)).astype(int)
    indices = down[np.flatnonzero(_fits(bounds, space.widths(down)))[0]]
    up = np.rint(indices + (space.num_options - 1 - indices) * steps).astype(int)
    widths = space.widths(up)
    fits = _fits(bounds, widths)
    both = fits & _suffices(bounds, widths)
    return up[np.flatnonzero(both)[0]] if both.any() else up[np.flatnonzero(fits)[-1]]


def _grow(
    space: SearchSpace, indices: np.ndarray, bounds: Sequence[Bound], rng: np.random.Generator
) -> np.ndarray | None:
    """Single steps of random genes until no lower bound is missed; None when no step is left."""
    while not _suffices(bounds, space.widths(indices[None]))[0]:
        larger = indices + np.eye(len(indices), dtype=int)
        larger = larger[indices + 1 < space.num_options]
        if not len(larger):
            return None
        larger = larger[_fits(bounds, space.widths(larger))]
        if not len(larger):
            return None
        indices = larger[rng.integers(len(larger))]
    return indices


def _number(value: float | None) -> str:
    return "no limit" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
