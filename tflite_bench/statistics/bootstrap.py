"""Statistics of latencies: bootstrap intervals, and "is B faster than A".

Everything is a pure function of blocks and a random generator. A block is a `Block`, or an array of its times.
`R` is the number of resamples, `K` of blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

# NumPy would import it on first use, in the middle of a measurement, and lose a Ctrl-C that falls into that.
import numpy.random
import numpy.typing as npt

from tflite_bench.statistics.block import Block
from tflite_bench.statistics.combined import Floats, times_of

CONFIDENCE = 0.95
RESAMPLES = 4000  # The interval's ends then move by about 2 % of its width from seed to seed.

# Two copies of one file, loaded side by side, differ by up to 0.8 % for as long as they are loaded
# (measured): it is where their memory happens to lie. Less than this says nothing about the models.
MIN_EFFECT = 0.01

FASTER = "faster"
SLOWER = "slower"
NO_DIFFERENCE = "no significant difference"
TOO_FEW = "too few rounds to tell"
# An interval from fewer blocks is far too narrow: with one block each, two runs of one model "differ" in most cases.
MIN_BLOCKS = 5


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What the times of B say about B against A.

    Attributes:
        ratio: B's time over A's; below 1, B is faster.
        low, high: 95 % bootstrap interval of the ratio.
        conclusion: `FASTER` or `SLOWER` (said of B) when the whole interval is more than
            `MIN_EFFECT` away from 1, else `NO_DIFFERENCE`; `TOO_FEW` with fewer than `MIN_BLOCKS` blocks.
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


def median_interval(blocks: Sequence[npt.ArrayLike | Block], rng: np.random.Generator) -> tuple[float, float]:
    """Returns the ends of the 95 % bootstrap interval of the median.

    It tells how well this run pins down its own median: blocks are drawn with replacement and, within each, samples.
    Change from one run to the next is not in it: to rank two models use `compare` on interleaved blocks. With fewer
    than about 5 blocks it is too narrow where blocks differ.

    Args:
        blocks: K blocks, at least one; a flat list of times is one block: ``[times]``.
        rng: the generator, advanced by the call.
    """
    if len(blocks) == 0:
        raise ValueError("Expected at least one sample. Received none.")
    return _interval(_drawn(np.stack([bootstrap_medians(_times(block), rng) for block in blocks]), rng))


def compare(
    a_blocks: Sequence[npt.ArrayLike | Block],
    b_blocks: Sequence[npt.ArrayLike | Block],
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Returns B's time over A's with its interval.

    Block k of A and block k of B ran next to each other, so their ratio is free of what changed
    slowly in between. The ratio reported is the median of the K block ratios. Its interval comes
    from drawing blocks with replacement and, within each, samples: runs next to each other are
    alike, and an interval that took them for independent would call noise a difference. With fewer
    than `MIN_BLOCKS` blocks it is too narrow, and nothing is concluded.

    Args:
        a_blocks: K blocks, of any lengths; a flat list of times is one block: ``[times]``. Where only a block's
            statistics are known, `combined.times_of` stands in for its samples.
        b_blocks: the same of B, also K.
        rng: the generator; without one, a fixed seed, so that the same times give the same answer.

    Raises:
        ValueError: no blocks, another number of them in A than in B, or a time that is not above 0.
    """
    found = contrast(a_blocks, b_blocks, rng)
    return found if len(a_blocks) >= MIN_BLOCKS else dataclasses.replace(found, conclusion=TOO_FEW)


def contrast(
    a_blocks: Sequence[npt.ArrayLike | Block],
    b_blocks: Sequence[npt.ArrayLike | Block],
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Returns what `compare` returns, with a conclusion also from few blocks: of parts of one and the same run."""
    if not a_blocks or len(a_blocks) != len(b_blocks):
        raise ValueError(
            f"Expected as many blocks of A as of B, at least one. Received: {len(a_blocks)} and {len(b_blocks)}."
        )
    rng = np.random.default_rng(0) if rng is None else rng
    pairs = [(_checked(a), _checked(b)) for a, b in zip(a_blocks, b_blocks, strict=True)]
    observed = float(np.median([np.log(_median(b) / _median(a)) for a, b in zip(a_blocks, b_blocks, strict=True)]))
    within = np.stack([bootstrap_medians(b, rng) - bootstrap_medians(a, rng) for a, b in pairs])  # [K, R]
    low, high = _interval(_drawn(within, rng))
    least = np.log1p(MIN_EFFECT)
    conclusion = FASTER if high < -least else SLOWER if low > least else NO_DIFFERENCE
    return Comparison(float(np.exp(observed)), float(np.exp(low)), float(np.exp(high)), conclusion)


def _drawn(within: Floats, rng: np.random.Generator) -> Floats:
    """Medians `[R]` over as many blocks, drawn with replacement, as there are: of draws within each, `[K, R]`."""
    if len(within) == 1:
        return within[0]
    chosen = rng.integers(len(within), size=within.shape)
    return np.asarray(np.median(np.take_along_axis(within, chosen, axis=0), axis=0), np.float64)


def _times(block: npt.ArrayLike | Block) -> Floats:
    return times_of(block) if isinstance(block, Block) else np.asarray(block, np.float64).ravel()


def _median(block: npt.ArrayLike | Block) -> float:
    return block.median_ms if isinstance(block, Block) else float(np.median(np.asarray(block, np.float64)))


def _checked(block: npt.ArrayLike | Block) -> Floats:
    """The logarithms of a block's times."""
    times = _times(block)
    if len(times) == 0 or not np.all(np.isfinite(times)) or times.min() <= 0:
        raise ValueError("Expected every block to hold times above 0. Received an empty block or another number.")
    return np.log(times)


def _interval(draws: Floats) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)
