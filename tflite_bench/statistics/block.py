"""One block of uninterrupted inferences: what is known of their times."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Block:
    """The times of one block.

    A device that times the inferences itself knows every one of them. ``benchmark_model`` tells
    their statistics only.

    Attributes:
        count: number of inferences, at least 1.
        first_ms, last_ms: the first and the last one.
        min_ms, p5_ms, median_ms, p95_ms, max_ms: over all; for ``benchmark_model`` the percentile p of n
            inferences is the one at place ``floor(n * p / 100)`` of the sorted times.
        mean_ms, std_ms: over all.
        times_ms: the single times in order, or empty.
    """

    count: int
    first_ms: float
    last_ms: float
    min_ms: float
    p5_ms: float
    median_ms: float
    p95_ms: float
    max_ms: float
    mean_ms: float
    std_ms: float
    times_ms: tuple[float, ...] = dataclasses.field(default=(), repr=False)

    @classmethod
    def of_times(cls, times_ms: Sequence[float]) -> Block:
        """Returns the block of single times in milliseconds, at least one."""
        times = np.asarray(times_ms, np.float64)
        p5, median, p95 = np.percentile(times, [5, 50, 95])
        return cls(
            count=len(times),
            first_ms=float(times[0]),
            last_ms=float(times[-1]),
            min_ms=float(times.min()),
            p5_ms=float(p5),
            median_ms=float(median),
            p95_ms=float(p95),
            max_ms=float(times.max()),
            mean_ms=float(times.mean()),
            std_ms=float(times.std()),
            times_ms=tuple(times.tolist()),
        )
