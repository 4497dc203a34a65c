"""The Pareto front of a table of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pareto_front(values: np.ndarray, minimize: Sequence[bool] | np.ndarray) -> np.ndarray:
    """Returns `[N]` bool: the rows that no other row dominates.

    A row dominates another when it is at least as good in every column and better in one, so of
    equal rows all stay.

    Args:
        values: `[N, M]`, a row a candidate; without NaN.
        minimize: `[M]`, whether smaller is better in the column.
    """
    costs = np.where(np.asarray(minimize, bool), 1.0, -1.0) * np.asarray(values, float)
    front = np.empty(len(costs), bool)
    for row, cost in enumerate(costs):  # one row at a time: N x N x M would not fit for many trials
        front[row] = not is_dominated(cost, costs)
    return front


def is_dominated(cost: np.ndarray, costs: np.ndarray) -> bool:
    """Returns whether a row of ``costs`` `[N, M]` is in no column above ``cost`` `[M]`, and in one below it."""
    return bool(np.any(np.all(costs <= cost, axis=1) & np.any(costs < cost, axis=1)))
