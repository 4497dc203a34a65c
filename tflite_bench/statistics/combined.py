"""Several blocks as one sample: exact where single times are known, else as near as their statistics allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tflite_bench.statistics.block import Block

Floats = npt.NDArray[np.float64]

# More stand-ins than this tell nothing more about a block of which five percentiles are known.
_MOST = 1000
# With a bend of 64 nine tenths of a stretch lie within 0.1 % of its height above its lower end.
_MOST_BEND = 64.0
_HALVINGS = 30


@dataclasses.dataclass(frozen=True)
class Combined:
    """Statistics over all inferences of several blocks; see `Measurement`."""

    count: int
    median_ms: float
    p5_ms: float
    p90_ms: float
    p95_ms: float
    min_ms: float
    max_ms: float
    mean_ms: float
    std_ms: float


def combine(blocks: Sequence[Block]) -> Combined:
    """Returns the statistics over all inferences of ``blocks``, at least one.

    Count, extremes, mean and standard deviation follow from the blocks' own without loss. Median and percentiles are
    those of the single times where every block has them. Elsewhere the median is that of the blocks' medians, and the
    percentiles are those of the blocks' `times_of` together.
    """
    counts = np.array([block.count for block in blocks], np.float64)
    means = np.array([block.mean_ms for block in blocks])
    stds = np.array([block.std_ms for block in blocks])
    mean = float(np.average(means, weights=counts))
    # The variance of a mixture: that within its parts and that between their means.
    variance = float(np.average(stds**2 + (means - mean) ** 2, weights=counts))
    times = [times_of(block) for block in blocks]
    if all(block.times_ms for block in blocks):
        together = np.concatenate(times)
        median, p5, p90, p95 = np.percentile(together, [50, 5, 90, 95])
    else:
        median = np.median([block.median_ms for block in blocks])
        p5, p90, p95 = _percentiles(times, counts, (5, 90, 95))
    return Combined(
        count=int(counts.sum()),
        median_ms=float(median),
        p5_ms=float(p5),
        p90_ms=float(max(p90, median)),  # blocks of unlike counts may have their medians above most of their times
        p95_ms=float(max(p95, median)),
        min_ms=min(block.min_ms for block in blocks),
        max_ms=max(block.max_ms for block in blocks),
        mean_ms=mean,
        std_ms=variance**0.5,
    )


def times_of(block: Block) -> Floats:
    """Returns the single times of ``block``, or stand-ins for them in rising order: `[n]`, at most 1000.

    What ``benchmark_model`` tells are the times at five places of the sorted list, and their mean. Between two of
    those places the stand-ins rise in a line. Above the median they rise late, as far as the mean asks for: a few slow
    inferences make the largest time large, and those below it are hardly any slower for that.
    """
    if block.times_ms:
        return np.asarray(block.times_ms, np.float64)
    last = block.count - 1
    known = {
        0: block.min_ms,
        block.count * 5 // 100: block.p5_ms,
        block.count // 2: block.median_ms,
        block.count * 95 // 100: block.p95_ms,
        last: block.max_ms,
    }
    places = np.array(sorted(known), np.float64)
    heights = np.array([known[int(place)] for place in places])
    wanted = np.linspace(0, last, min(block.count, _MOST))
    if len(places) == 1:
        return np.full(len(wanted), heights[0])
    left = np.clip(np.searchsorted(places, wanted, side="right") - 1, 0, len(places) - 2)
    share = (wanted - places[left]) / (places[left + 1] - places[left])
    upper = places[left] >= block.count // 2

    def bent(bend: float) -> Floats:
        risen = np.where(upper, share**bend, share)
        return np.asarray(heights[left] + risen * (heights[left + 1] - heights[left]), np.float64)

    low, high = 1.0, _MOST_BEND
    if bent(low).mean() <= block.mean_ms:
        return bent(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if bent(middle).mean() > block.mean_ms else (low, middle)
    return bent(high)


def _percentiles(times: Sequence[Floats], counts: Floats, wanted: Sequence[float]) -> Floats:
    """Percentiles of the mixture in which every block weighs as much as it has inferences."""
    weights = np.concatenate([np.full(len(some), count / len(some)) for some, count in zip(times, counts, strict=True)])
    together = np.concatenate(times)
    order = np.argsort(together, kind="stable")
    # Each time stands in the middle of its share.
    places = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    return np.interp(np.asarray(wanted) / 100, places, together[order])
