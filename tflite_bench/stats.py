"""Statistics of latencies: summaries, bootstrap intervals, and "is B faster than A".

Everything is a pure function of arrays and a random generator. `R` is the number of resamples, `K`
of blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 4000  # The interval's ends then move by about 2 % of its width from seed to seed.

# Two copies of one file, loaded side by side, differ by up to 0.8 % for as long as they are loaded
# (measured): it is where their memory happens to lie. Less than this says nothing about the models.
MIN_EFFECT = 0.01

FASTER = "faster"
SLOWER = "slower"
NO_DIFFERENCE = "no significant difference"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What the times of B say about B against A.

    Attributes:
        ratio: B's time over A's; below 1, B is faster.
        low, high: 95 % bootstrap interval of the ratio.
        conclusion: `FASTER` or `SLOWER` (said of B) when the whole interval is more than
            `MIN_EFFECT` away from 1, else `NO_DIFFERENCE`.
    """

    ratio: float
    low: float
    high: float
    conclusion: str


def bootstrap_medians(samples: npt.ArrayLike, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """Returns the medians of resamples drawn with replacement from ``samples``: `[R]`.

    The middle order statistic of n uniform numbers is Beta distributed, so its place in the sorted
    samples is drawn directly. That is the same distribution as drawing n indices a time, at a cost
    that does not grow with n.

    Args:
        samples: `[n]`, at least one.
        rng: the generator, advanced by the call.
        resamples: R.
    """
    ordered = np.sort(np.asarray(samples, np.float64).ravel())
    count = len(ordered)
    if count == 0:
        raise ValueError("Expected at least one sample. Received none.")
    middle = (count + 1) // 2
    lower = rng.beta(middle, count - middle + 1, resamples)
    upper = lower
    if count % 2 == 0:
        # Given the lower middle one, the next order statistic is the least of the uniform numbers
        # above it.
        upper = 1 - (1 - lower) * rng.random(resamples) ** (1 / (count - middle))
    places = np.minimum((np.stack([lower, upper]) * count).astype(np.int64), count - 1)
    medians: Floats = ordered[places].mean(axis=0)
    return medians


def median_interval(samples: npt.ArrayLike, rng: np.random.Generator) -> tuple[float, float]:
    """Returns the ends of the 95 % bootstrap interval of the median of ``samples``: `[n]`.

    It tells how well this run pins down its own median. Change from one run to the next is not in
    it: to rank two models use `compare` on interleaved blocks.
    """
    return _interval(bootstrap_medians(samples, rng))


def compare(
    a_blocks: Sequence[npt.ArrayLike],
    b_blocks: Sequence[npt.ArrayLike],
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Returns B's time over A's with its interval.

    Block k of A and block k of B ran next to each other, so their ratio is free of what changed
    slowly in between. The ratio reported is the median of the K block ratios. Its interval comes
    from drawing blocks with replacement and, within each, samples: runs next to each other are
    alike, and an interval that took them for independent would call noise a difference. With fewer
    than about 5 blocks it is too narrow.

    Args:
        a_blocks: K arrays of times, of any lengths; a flat list of times is one block: ``[times]``.
        b_blocks: the same of B, also K.
        rng: the generator; without one, a fixed seed, so that the same times give the same answer.

    Raises:
        ValueError: no blocks, another number of them in A than in B, or a time that is not above 0.
    """
    if not a_blocks or len(a_blocks) != len(b_blocks):
        raise ValueError(
            f"Expected as many blocks of A as of B, at least one. Received: {len(a_blocks)} and {len(b_blocks)}."
        )
    rng = np.random.default_rng(0) if rng is None else rng
    a_logs = [_logs(block) for block in a_blocks]
    b_logs = [_logs(block) for block in b_blocks]
    pairs = list(zip(a_logs, b_logs, strict=True))
    observed = float(np.median([np.median(b) - np.median(a) for a, b in pairs]))
    within = np.stack([bootstrap_medians(b, rng) - bootstrap_medians(a, rng) for a, b in pairs])  # [K, R]
    chosen = rng.integers(len(pairs), size=within.shape)
    low, high = _interval(np.median(np.take_along_axis(within, chosen, axis=0), axis=0))
    least = np.log1p(MIN_EFFECT)
    conclusion = FASTER if high < -least else SLOWER if low > least else NO_DIFFERENCE
    return Comparison(float(np.exp(observed)), float(np.exp(low)), float(np.exp(high)), conclusion)


def _logs(block: npt.ArrayLike) -> Floats:
    times = np.asarray(block, np.float64).ravel()
    if len(times) == 0 or not np.all(np.isfinite(times)) or times.min() <= 0:
        raise ValueError("Expected every block to hold times above 0. Received an empty block or another number.")
    return np.log(times)


def _interval(draws: Floats) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)
