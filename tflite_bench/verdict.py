"""Can this measurement be trusted? Pure: the times in order give a verdict and its reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tflite_bench import stats
from tflite_bench.types import Verdict

# Fewer runs carry neither a 90th percentile nor an interval of the median worth the name.
MIN_RUNS = 10
# A search tells structures apart that differ by a few per cent; an interval wider than this cannot.
MAX_INTERVAL = 0.05
# On an idle machine p90 lies within 10 % of the median; well beyond that, something else was
# running.
MAX_P90_EXCESS = 0.30
# Clock steps of phones and laptops are 5 % to 15 %: one whole step down is a different operating
# point.
MAX_DRIFT = 0.10
# The beginning is a tenth and the end a quarter of the run: devices heat up early and then stay
# slow, so a longer beginning would already hold the slow part.
_HEAD, _TAIL = 10, 4


def judge(times_ms: npt.ArrayLike, rng: np.random.Generator) -> tuple[Verdict, str]:
    """Returns the verdict and its reason in one sentence.

    Args:
        times_ms: `[n]` times in the order they were measured.
        rng: generator for the bootstrap intervals.
    """
    times = np.asarray(times_ms, np.float64).ravel()
    if len(times) < MIN_RUNS:
        return (
            Verdict.NOISY,
            f"Only {len(times)} runs: at least {MIN_RUNS} are needed to judge a median.",
        )
    median = float(np.median(times))
    low, high = stats.median_interval(times, rng)
    drift = _drift(times, rng)
    if drift.ratio > 1 + MAX_DRIFT and drift.conclusion == stats.SLOWER:
        return Verdict.THROTTLED, (
            f"The end of the run was {drift.ratio - 1:.0%} slower than its beginning: "
            "the device heats up, or something else began to run."
        )
    if drift.ratio < 1 / (1 + MAX_DRIFT) and drift.conclusion == stats.FASTER:
        return (
            Verdict.NOISY,
            f"The end of the run was {1 - drift.ratio:.0%} faster than its beginning: warm up longer.",
        )
    if high - low > MAX_INTERVAL * median:
        return Verdict.NOISY, (
            f"The median is known only to within {(high - low) / median:.0%} of itself: more runs are needed."
        )
    excess = float(np.percentile(times, 90)) / median - 1
    if excess > MAX_P90_EXCESS:
        return Verdict.NOISY, f"One run in ten took {excess:.0%} longer than the median or more."
    return Verdict.OK, (
        f"The median is known to within {(high - low) / median:.1%} of itself and the end ran like the beginning."
    )


def _drift(times: npt.NDArray[np.float64], rng: np.random.Generator) -> stats.Comparison:
    head = times[: max(MIN_RUNS // 2, len(times) // _HEAD)]
    tail = times[-max(MIN_RUNS // 2, len(times) // _TAIL) :]
    return stats.compare([head], [tail], rng)
