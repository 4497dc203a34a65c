"""How far predicted latencies are off the measured ones, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Error:
    """How far predictions of structures that the predictor never saw are off.

    Attributes:
        structures: how many were predicted.
        mape: mean absolute error relative to the measured latency.
        worst: the largest one.
        tau: Kendall's tau: 1 where predictions order all pairs as measurements do, 0 where they tell nothing.
        within: share of the measurements within two standard deviations, of the prediction and of the measurement
            together.
    """

    structures: int
    mape: float
    worst: float
    tau: float
    within: float

    @classmethod
    def between(cls, measured: np.ndarray, predicted: np.ndarray, deviations: np.ndarray) -> Self:
        """Returns the error of `[N]` predictions, N at least 2.

        Args:
            measured: milliseconds.
            predicted: milliseconds.
            deviations: standard deviations of the difference, in milliseconds.
        """
        relative = np.abs(predicted / measured - 1)
        within = float((np.abs(predicted - measured) <= 2 * deviations).mean())
        tau = kendall_tau(predicted, measured)
        return cls(len(measured), float(relative.mean()), float(relative.max()), tau, within)


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the share of pairs that `[N]` and `[N]` order alike, minus that of pairs they order differently."""
    pairs = np.triu_indices(len(first), 1)
    signs = np.sign(np.subtract.outer(first, first)) * np.sign(np.subtract.outer(second, second))
    return float(signs[pairs].mean())
