"""Predicts the latency of structures from few measurements, and says how sure it is.

A prediction has two parts:

* each kind of operator takes a time for each of `features.AMOUNTS`: multiply-adds, those in whole tiles of channels,
  and elements; these times are not negative, and fitted to the relative error;
* each single operator deviates from its kind. The deviations are small a priori (a Gaussian around 0, in proportion
  to the operator's time), so that few measurements suffice, and their posterior tells the uncertainty.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tfmeta.errors import UserError
from tfmeta.latency.features import AMOUNTS, Work, share_by_kind

# Tried for how far an operator deviates from its kind, and for the noise of a measurement, both relative.
_DEVIATIONS = (0.01, 0.03, 0.1, 0.3, 1.0)
_NOISES = (0.003, 0.01, 0.02, 0.04, 0.08)
FEWEST = 10
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Predictor:
    """A fitted predictor.

    Attributes:
        work: the work of the network's operators.
        rates: milliseconds for a unit of each column of `share_by_kind`, then a constant.
        mean: deviation of each operator's kinds of work, `[num_operators * len(AMOUNTS)]`.
        covariance: of the deviations.
        spread: how far operators deviate from their kind a priori, relative.
        noise: relative standard deviation of a single measurement.
        caution: factor of all standard deviations that are told: at least 1, and as much more as held-out measurements
            missed their predictions by.
    """

    work: Work
    rates: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    spread: float
    noise: float
    caution: float = 1.0

    @classmethod
    def fit(cls, work: Work, widths: np.ndarray, latencies_ms: np.ndarray) -> Self:
        """Returns a predictor of measurements.

        Args:
            work: the work of the network's operators.
            widths: `[N, num_searchable]` int, the structures measured.
            latencies_ms: `[N]` above 0.

        Raises:
            UserError: too few measurements, or a latency that is not above 0.
        """
        latencies_ms = np.asarray(latencies_ms, float)
        if len(widths) < FEWEST or len(widths) != len(latencies_ms) or not (latencies_ms > 0).all():
            raise UserError(
                f"Expected at least {FEWEST} structures with one latency above 0 each. Received: {len(widths)} "
                f"structures and {len(latencies_ms)} latencies. Measure more."
            )
        fitted = cls._fit(work, widths, latencies_ms)
        misses = []
        for fold in range(_FOLDS):
            out = np.arange(len(widths)) % _FOLDS == fold
            mean, deviation = cls._fit(work, widths[~out], latencies_ms[~out]).predict(widths[out])
            misses += ((latencies_ms[out] - mean) / deviation).tolist()
        return dataclasses.replace(fitted, caution=max(1.0, float(np.sqrt(np.mean(np.square(misses))))))

    @classmethod
    def _fit(cls, work: Work, widths: np.ndarray, latencies_ms: np.ndarray) -> Self:
        amounts = work.of(widths)
        columns = _columns(work.kinds, amounts)
        rates = _relative_nnls(columns, latencies_ms)
        expected = columns @ rates
        relative = latencies_ms / expected - 1
        features = _features(work.kinds, amounts, rates, expected)
        spread, noise = max(
            itertools.product(_DEVIATIONS, _NOISES),
            key=lambda pair: _evidence(features * pair[0], relative, pair[1]),
        )
        return cls._posterior(work, widths, latencies_ms, rates, spread, noise)

    @classmethod
    def _posterior(
        cls,
        work: Work,
        widths: np.ndarray,
        latencies_ms: np.ndarray,
        rates: np.ndarray,
        spread: float,
        noise: float,
        caution: float = 1.0,
    ) -> Self:
        amounts = work.of(widths)
        expected = _columns(work.kinds, amounts) @ rates
        features = _features(work.kinds, amounts, rates, expected)
        relative = latencies_ms / expected - 1
        scaled = features * spread
        gram = scaled @ scaled.T + noise**2 * np.eye(len(relative))
        gain = np.linalg.solve(gram, scaled).T * spread
        covariance = spread**2 * np.eye(features.shape[1]) - gain @ scaled * spread
        return cls(work, rates, gain @ relative, covariance, spread, noise, caution)

    def predict(self, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns `[P]` latencies in milliseconds, and `[P]` standard deviations of a measurement from them."""
        amounts = self.work.of(widths)
        expected = _columns(self.work.kinds, amounts) @ self.rates
        features = _features(self.work.kinds, amounts, self.rates, expected)
        variance = np.einsum("pf,fg,pg->p", features, self.covariance, features) + self.noise**2
        return expected * (1 + features @ self.mean), self.caution * expected * np.sqrt(np.maximum(variance, 0.0))

    def parts(self, widths: np.ndarray) -> np.ndarray:
        """Returns `[P, num_operators + 1]`: the milliseconds of each operator, then what no operator explains.

        Their sum is the latency that `predict` tells.
        """
        amounts = self.work.of(widths)
        expected = _columns(self.work.kinds, amounts) @ self.rates
        features = _features(self.work.kinds, amounts, self.rates, expected) * (1 + self.mean)
        by_operator = features.reshape(*amounts.shape).sum(2) * expected[:, None]
        return np.column_stack([by_operator, np.full(len(widths), self.rates[-1])])

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs beside the work and the measurements, as plain data."""
        return {"rates": self.rates.tolist(), "spread": self.spread, "noise": self.noise, "caution": self.caution}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], work: Work, widths: np.ndarray, latencies_ms: np.ndarray) -> Self:
        """Returns the predictor that `to_json` described; the measurements are those it was fitted to.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        rates = np.array(data["rates"], float)
        if rates.shape != (len(set(work.kinds)) * len(AMOUNTS) + 1,) or not np.isfinite(rates).all():
            raise ValueError("its rates do not fit its operators")
        spread, noise, caution = (float(data[name]) for name in ("spread", "noise", "caution"))
        return cls._posterior(work, widths, latencies_ms, rates, spread, noise, caution)


def _columns(kinds: Sequence[str], amounts: np.ndarray) -> np.ndarray:
    return np.column_stack([share_by_kind(kinds, amounts), np.ones(len(amounts))])


def _features(kinds: Sequence[str], amounts: np.ndarray, rates: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Expected time of each operator's kinds of work, as a part of the whole, `[P, num_operators * len(AMOUNTS)]`."""
    order = sorted(set(kinds))
    by_operator = rates[:-1].reshape(len(order), -1)[[order.index(kind) for kind in kinds]]
    return (amounts * by_operator).reshape(len(amounts), -1) / expected[:, None]


def _relative_nnls(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LinearRegression

    scale = np.maximum(np.abs(columns).max(0), 1e-30)
    form: Any = LinearRegression(positive=True, fit_intercept=False)
    form.fit(columns / scale / values[:, None], np.ones(len(values)))
    return np.asarray(form.coef_ / scale)


def _evidence(features: np.ndarray, values: np.ndarray, noise: float) -> float:
    """Log of the marginal likelihood, up to a constant."""
    root = np.linalg.cholesky(features @ features.T + noise**2 * np.eye(len(values)))
    white = np.linalg.solve(root, values)
    return float(-0.5 * white @ white - np.log(np.diag(root)).sum())
