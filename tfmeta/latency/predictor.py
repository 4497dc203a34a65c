"""Predicts the latency of structures from few measurements, and says how sure it is.

A prediction has two parts:

* each kind of operator takes a time for each of `features.AMOUNTS`: multiply-adds, those in whole tiles of channels,
  and elements; these times are not negative, and fitted to the relative error;
* each single operator deviates from its kind, and each kind from the time that was fitted. Deviations are Gaussian
  around 0 a priori, in proportion to the time: those of operators small, so that few measurements suffice, those of
  kinds as large as the time itself. Their posterior tells the uncertainty of both.

What measurements scatter by is known from their own intervals. What they are off beyond that, no deviation explains:
that part (the misfit) is in every deviation that is told, the scatter of a measurement is not. So where measuring is
noisy, a prediction from many measurements is surer than one measurement.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tfmeta.errors import UserError
from tfmeta.latency.features import AMOUNTS, Work, share_by_kind

# Tried for how far an operator deviates from its kind, and for what nothing explains, both relative.
_SPREADS = (0.01, 0.03, 0.1, 0.3, 1.0)
_MISFITS = (0.003, 0.01, 0.02, 0.04, 0.08)
# How far a kind's time may be from the fitted one: so far that the measurements alone tell.
_KIND_SPREAD = 1.0
_USUAL_MISFIT = 0.02  # so that measurements which scatter less than that count alike in the fit of rates
_LEAST_SHARE = 0.003  # of the latency, that any kind's work may take whatever was fitted
FEWEST = 10
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Predictor:
    """A fitted predictor.

    Attributes:
        work: the work of the network's operators.
        rates: milliseconds for a unit of each column of `share_by_kind`, then a constant.
        scales: likewise, of how large the deviations of kinds are.
        mean: the deviations: of each operator's kinds of work, of the kinds, of the constant.
        covariance: of the deviations.
        spread: how far operators deviate from their kind a priori, relative.
        misfit: relative standard deviation of what neither the deviations nor the scatter of measurements explain.
        caution: factor of all standard deviations that are told: at least 1, and as much more as held-out measurements
            missed their predictions by.
    """

    work: Work
    rates: np.ndarray
    scales: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    spread: float
    misfit: float
    caution: float = 1.0

    @classmethod
    def fit(cls, work: Work, widths: np.ndarray, latencies_ms: np.ndarray, scatter: np.ndarray | None = None) -> Self:
        """Returns a predictor of latencies.

        Args:
            work: the work of the network's operators.
            widths: `[N, num_searchable]` int, the structures measured.
            latencies_ms: `[N]` finite, above 0.
            scatter: `[N]` relative standard deviation of each measurement; None takes them for exact.

        Raises:
            UserError: too few measurements, a latency that is no number above 0, or a scatter that is none from 0 on.
        """
        latencies_ms = np.asarray(latencies_ms, float)
        sound = np.isfinite(latencies_ms) & (latencies_ms > 0)
        if len(widths) < FEWEST or len(widths) != len(latencies_ms) or not sound.all():
            raise UserError(
                f"Expected at least {FEWEST} structures with one latency above 0 each. Received: {len(widths)} "
                f"structures and {len(latencies_ms)} latencies. Measure more."
            )
        scatter = np.zeros(len(widths)) if scatter is None else np.asarray(scatter, float)
        if scatter.shape != latencies_ms.shape or not (np.isfinite(scatter) & (scatter >= 0)).all():
            raise UserError(
                f"Expected one scatter of 0 or more for each of {len(widths)} latencies. Received: {scatter}."
            )
        amounts = work.of(widths)
        fitted = cls._fit(work, amounts, latencies_ms, scatter)
        misses = []
        for fold in range(_FOLDS):
            out = np.arange(len(widths)) % _FOLDS == fold
            mean, deviation = cls._fit(work, amounts[~out], latencies_ms[~out], scatter[~out])._predict(amounts[out])
            misses += ((latencies_ms[out] - mean) / np.hypot(deviation, scatter[out] * mean)).tolist()
        return dataclasses.replace(fitted, caution=max(1.0, float(np.sqrt(np.mean(np.square(misses))))))

    @classmethod
    def _fit(cls, work: Work, amounts: np.ndarray, latencies_ms: np.ndarray, scatter: np.ndarray) -> Self:
        rates = _relative_nnls(_columns(work, amounts), latencies_ms, 1 / np.hypot(scatter, _USUAL_MISFIT))
        expected, features = _design(work, amounts, rates, _scales(work, amounts, latencies_ms, rates))
        relative = latencies_ms / expected - 1
        grams = {spread: (features * _prior(work, spread) ** 2) @ features.T for spread in _SPREADS}
        pairs = np.array(list(itertools.product(_SPREADS, _MISFITS)))
        evidence = np.array([_evidence(grams[one], relative, scatter**2 + misfit**2) for one, misfit in pairs])
        likely = np.exp(evidence - evidence.max())
        # Averages over what the measurements leave possible: the likeliest pair alone is too sure where they are noisy.
        spread, misfit = np.sqrt(likely @ pairs**2 / likely.sum()).tolist()
        return cls._posterior(work, amounts, latencies_ms, scatter, rates, spread, misfit)

    @classmethod
    def _posterior(
        cls,
        work: Work,
        amounts: np.ndarray,
        latencies_ms: np.ndarray,
        scatter: np.ndarray,
        rates: np.ndarray,
        spread: float,
        misfit: float,
        caution: float = 1.0,
    ) -> Self:
        scales = _scales(work, amounts, latencies_ms, rates)
        expected, features = _design(work, amounts, rates, scales)
        prior = _prior(work, spread)
        scaled = features * prior
        gram = scaled @ scaled.T + np.diag(scatter**2 + misfit**2)
        gain = np.linalg.solve(gram, scaled).T * prior[:, None]
        covariance = np.diag(prior**2) - gain @ (scaled * prior)
        return cls(work, rates, scales, gain @ (latencies_ms / expected - 1), covariance, spread, misfit, caution)

    def predict(self, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns `[P]` latencies in milliseconds, and their `[P]` standard deviations.

        The deviations are of the latency itself: a measurement scatters by its own noise besides.
        """
        return self._predict(self.work.of(widths))

    def _predict(self, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        expected, features = _design(self.work, amounts, self.rates, self.scales)
        variance = np.einsum("pf,fg,pg->p", features, self.covariance, features, optimize=True) + self.misfit**2
        return expected * (1 + features @ self.mean), self.caution * expected * np.sqrt(np.maximum(variance, 0.0))

    def parts(self, widths: np.ndarray) -> np.ndarray:
        """Returns `[P, num_operators + 1]`: the milliseconds of each operator, then what no operator explains.

        Their sum is the latency that `predict` tells. One that takes next to nothing may come out below 0.
        """
        amounts = self.work.of(widths)
        rates, scales = (_by_operator(self.work, one) for one in (self.rates, self.scales))
        of_operators, of_kinds = self.mean[: rates.size].reshape(rates.shape), self.mean[rates.size : -1]
        order = of_kinds.reshape(-1, len(AMOUNTS))[_places(self.work)]
        operators = (amounts * (rates * (1 + of_operators) + scales * order)).sum(2)
        rest = self.rates[-1] + self.scales[-1] * self.mean[-1]
        return np.column_stack([operators, np.full(len(widths), rest)])

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs beside the work and the measurements, as plain data."""
        return {"rates": self.rates.tolist(), "spread": self.spread, "misfit": self.misfit, "caution": self.caution}

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], work: Work, widths: np.ndarray, latencies_ms: np.ndarray, scatter: np.ndarray
    ) -> Self:
        """Returns the predictor that `to_json` described; the measurements are those it was fitted to.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        rates = np.array(data["rates"], float)
        if rates.shape != (len(set(work.kinds)) * len(AMOUNTS) + 1,) or not np.isfinite(rates).all():
            raise ValueError("its rates do not fit its operators")
        spread, misfit, caution = (float(data[name]) for name in ("spread", "misfit", "caution"))
        return cls._posterior(work, work.of(widths), latencies_ms, scatter, rates, spread, misfit, caution)


# Below, amounts are what `Work.of` tells of P structures, `[P, num_operators, len(AMOUNTS)]`.


def _columns(work: Work, amounts: np.ndarray) -> np.ndarray:
    return np.column_stack([share_by_kind(work.kinds, amounts), np.ones(len(amounts))])


def _places(work: Work) -> list[int]:
    """The place of each operator's kind in the order of `share_by_kind`."""
    order = sorted(set(work.kinds))
    return [order.index(kind) for kind in work.kinds]


def _by_operator(work: Work, rates: np.ndarray) -> np.ndarray:
    """The rates of each operator's kind, `[num_operators, len(AMOUNTS)]`."""
    return np.asarray(rates[:-1].reshape(-1, len(AMOUNTS))[_places(work)])


def _design(work: Work, amounts: np.ndarray, rates: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the expected milliseconds `[P]`, and what deviations add to them, relative, `[P, num_deviations]`.

    Deviations are those of each operator's kinds of work, then those of the kinds, then that of the constant.
    """
    columns = _columns(work, amounts)
    expected = columns @ rates
    single = (amounts * _by_operator(work, rates)).reshape(len(amounts), -1)
    return expected, np.column_stack([single, columns * scales]) / expected[:, None]


def _scales(work: Work, amounts: np.ndarray, latencies_ms: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """How large deviations of kinds are: as the rates, or what a small part of the latency would be.

    Most rates come out as 0 where several columns tell about the same; that is no knowledge that they are.
    """
    share = (_columns(work, amounts) / latencies_ms[:, None]).mean(0)
    return np.maximum(rates, np.divide(_LEAST_SHARE, share, out=np.zeros_like(share), where=share > 0))


def _prior(work: Work, spread: float) -> np.ndarray:
    """Standard deviations of the deviations."""
    singles, kinds = (len(one) * len(AMOUNTS) for one in (work.kinds, set(work.kinds)))
    return np.concatenate([np.full(singles, spread), np.full(kinds + 1, _KIND_SPREAD)])


def _relative_nnls(columns: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LinearRegression

    scale = np.maximum(np.abs(columns).max(0), 1e-30)
    form: Any = LinearRegression(positive=True, fit_intercept=False)
    form.fit(columns / scale / values[:, None] * weights[:, None], weights)
    return np.asarray(form.coef_ / scale)


def _evidence(gram: np.ndarray, values: np.ndarray, variance: np.ndarray) -> float:
    """Log of the marginal likelihood, up to a constant; ``gram`` and ``variance`` add up to the covariance."""
    root = np.linalg.cholesky(gram + np.diag(variance))
    white = np.linalg.solve(root, values)
    return float(-0.5 * white @ white - np.log(np.diag(root)).sum())
