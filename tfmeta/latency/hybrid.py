"""Latencies that are predicted first, and measured where they decide."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph.structure import Structure
from tfmeta.latency.features import Work
from tfmeta.latency.objective import Latency
from tfmeta.latency.predictor import FEWEST, Predictor
from tfmeta.latency.table import LatencyTable, Point
from tfmeta.objectives import Estimate, predicted_name

# To be raised when the same measurements give other estimates, or a search measures others by the same estimates.
_METHOD = 3


class Hybrid:
    """The measured latency as an objective that estimates what it is going to measure.

    Asked for a value, it measures. What need not be measured, a search finds by `estimate`. The predictor is fitted to
    the first measurements (a table's, or those that ``begin`` makes) and to those that the search told it of (`learn`),
    in this order: the same measurements give the same predictions, however often the search was stopped in between.

    Args:
        latency: what measures.
        work: what the operators have to do.
        begin: returns the first measurements, when they are needed.
        begun_with: what they are, as plain data, for `identity`.
    """

    name: ClassVar[str] = Latency.name
    unit: ClassVar[str] = Latency.unit
    minimize: ClassVar[bool] = True
    closed_form: ClassVar[bool] = False

    def __init__(
        self, latency: Latency, work: Work, begin: Callable[[], Sequence[Point]], begun_with: dict[str, Any]
    ) -> None:
        self._latency, self._work, self._begin = latency, work, begin
        self._begun_with = begun_with
        self._learned: dict[tuple[int, ...], tuple[float, float]] = {}
        self._predictor: Predictor | None = None

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        """Returns the measured latency of each structure in milliseconds; raises as `Latency` does."""
        return self._latency(structures)

    def prepare(self, structures: Sequence[Structure]) -> None:
        """As `Latency.prepare`."""
        self._latency.prepare(structures)

    def outdated(self, structure: Structure, value: float) -> bool:
        """As `Latency.outdated`."""
        return self._latency.outdated(structure, value)

    def learn(self, structures: Sequence[Structure], values: Sequence[float]) -> None:
        """Predicts from the first measurements and these, and from no others."""
        learned: dict[tuple[int, ...], tuple[float, float]] = {}
        for one, value in zip(structures, values, strict=True):
            known = self._learned.get(one.widths)
            learned[one.widths] = known if known and known[0] == value else (float(value), self._scatter(one))
        if learned != self._learned:
            self._learned, self._predictor = learned, None

    def estimate(self, structures: Sequence[Structure]) -> list[Estimate]:
        """Returns the predicted latency of each structure in milliseconds.

        Raises:
            UserError: there were too few structures to begin with.
        """
        if self._predictor is None:
            known = {**self._first, **self._learned}
            latencies_ms, scatters = np.array(list(known.values())).T
            scatters = np.where(np.isnan(scatters), np.nanmedian(scatters), scatters)
            self._predictor = Predictor.fit(self._work, np.array(list(known)), latencies_ms, scatters)
        means, deviations = self._predictor.predict(np.array([one.widths for one in structures]))
        return [Estimate(float(mean), float(deviation)) for mean, deviation in zip(means, deviations, strict=True)]

    @property
    def baseline_ms(self) -> float:
        """As `Latency.baseline_ms`."""
        return self._latency.baseline_ms

    def _scatter(self, structure: Structure) -> float:
        """The relative standard deviation of a value, NaN where its measurement is not stored."""
        found = self._latency.stored(structure)
        return math.nan if found is None else Point.of(found, held_out=False).scatter

    @property
    def answered(self) -> set[Structure]:
        """The structures whose measured latency it told, or began with."""
        return self._latency.answered

    @property
    def identity(self) -> dict[str, Any]:
        """What values and estimates depend on, as plain data."""
        return {**self._latency.identity, "hybrid": {**self._begun_with, "method": _METHOD}}

    @functools.cached_property
    def _first(self) -> dict[tuple[int, ...], tuple[float, float]]:
        """Widths → milliseconds, and their relative standard deviation."""
        points = self._begin()
        if len(points) < FEWEST:
            raise UserError(
                f"Expected a space of at least {FEWEST} structures to predict in. Received: {len(points)}. "
                "Set --latency=measured."
            )
        # Ratios are of the network, milliseconds of the day on which the baseline was taken.
        return {one.widths: (one.ratio * self.baseline_ms, one.scatter) for one in points}


class PredictedLatency:
    """The latency that a table predicts, as an objective. Nothing is measured, and its name says so.

    Args:
        table: the table.
        digest: the hash of its file, for `identity`.
    """

    name: ClassVar[str] = predicted_name(Latency.name, Latency.unit)
    unit: ClassVar[str] = Latency.unit
    minimize: ClassVar[bool] = True
    closed_form: ClassVar[bool] = False

    def __init__(self, table: LatencyTable, digest: str) -> None:
        self._table = table
        self.identity = {"table": digest}
        self.baseline_ms = table.baseline_ms  # what the full network takes, measured when the table was made

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        """Returns the predicted latency of each structure in milliseconds."""
        return [estimate.mean for estimate in self.expected(structures)]

    def expected(self, structures: Sequence[Structure]) -> list[Estimate]:
        """Returns the predictions with their standard deviations."""
        means, deviations = self._table.predictor.predict(np.array([one.widths for one in structures]))
        return [Estimate(float(mean), float(deviation)) for mean, deviation in zip(means, deviations, strict=True)]
