"""Measured costs (latency) as bounds on a closed-form one (MACs), so that proposals are mostly
feasible.

A measured cost is not known before it is measured, but it grows with the MACs on the whole. So the
measurements so far (and predictions, where a search measures only what decides) are fitted by a
curve that never falls, and the point where the curve meets the limit bounds the MACs. The bound
only steers proposals: whether a trial may win is decided by its own measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def isotonic(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns `[N]`: the never-falling sequence nearest to ``values`` `[N]` in least squares.

    Args:
        values: `[N]`.
        weights: `[N]`, how much each counts; all alike where None.
    """
    weights = np.ones(len(values)) if weights is None else weights
    means: list[float] = []
    masses: list[float] = []
    counts: list[int] = []
    for value, weight in zip(values, weights, strict=True):
        means.append(float(value))
        masses.append(float(weight))
        counts.append(1)
        while len(means) > 1 and means[-2] > means[-1]:  # pool adjacent violators
            mass = masses[-2] + masses[-1]
            means[-2:] = [(means[-2] * masses[-2] + means[-1] * masses[-1]) / mass]
            masses[-2:] = [mass]
            counts[-2:] = [counts[-2] + counts[-1]]
    return np.repeat(means, counts)


def largest_cost(costs: np.ndarray, values: np.ndarray, limit: float) -> float:
    """Returns the largest cost at which the fitted value is within ``limit``.

    Between the measured costs `[N]` the fit to ``values`` `[N]` is linear. The answer lies within
    the costs: the smallest one where every fitted value is over the limit, the largest one where
        none is.
    """
    costs, fit = _fit(costs, values)
    within = np.flatnonzero(fit <= limit)
    if not len(within):
        return float(costs[0])
    last = within[-1]
    if last == len(costs) - 1:
        return float(costs[-1])
    share = (limit - fit[last]) / (fit[last + 1] - fit[last])
    return float(costs[last] + share * (costs[last + 1] - costs[last]))


def smallest_cost(costs: np.ndarray, values: np.ndarray, limit: float) -> float:
    """Returns the smallest cost at which the fitted value reaches ``limit``; see `largest_cost`."""
    # Turned around, the smallest cost that reaches a limit is the largest one within it.
    return -largest_cost(-np.asarray(costs, float), -np.asarray(values, float), -limit)


def _fit(costs: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different costs, ascending, and the fit at each."""
    unique, place = np.unique(np.asarray(costs, float), return_inverse=True)
    counts = np.bincount(place)
    means = np.bincount(place, np.asarray(values, float)) / counts
    return unique, isotonic(means, counts)


def targets(lower: float | None, upper: float | None, margin: float) -> Sequence[float | None]:
    """Returns the limits moved inwards by ``margin``, at most to the middle of the window."""
    if lower is not None and upper is not None:
        margin = min(margin, (upper - lower) / 2 / max(abs(upper), abs(lower), 1e-300))
    return (
        None if lower is None else lower + margin * abs(lower),
        None if upper is None else upper - margin * abs(upper),
    )
