"""From latencies by channels to the device's step. Pure.

Kernels compute whole tiles of channels, so latency is a staircase: flat between multiples of the tile, with a rise
behind each. A width between two multiples then costs what the next multiple costs, or more where kernels are slow with
a tile that is not full.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

STEPS = (4, 8, 16, 32)
FIRST, LAST = 32, 64
# A layer writes its output channel by channel, which no tile makes flat. So a staircase is one where most of the rise,
# but not all of it, lies behind multiples.
MAX_WITHIN = 1 / 3
# Less than this says nothing: copies of one file differ by up to 0.8 %.
MIN_RISE = 0.05


@dataclasses.dataclass(frozen=True)
class Point:
    """The latency of a layer with so many channels.

    Attributes:
        channels: of its output.
        median_ms: of one inference.
        low_ms, high_ms: 95 % interval of the median.
        num_runs: number of timed inferences.
    """

    channels: int
    median_ms: float
    low_ms: float
    high_ms: float
    num_runs: int


@dataclasses.dataclass(frozen=True)
class Within:
    """How much widths between multiples of a step save against the next multiple, with its 95 % interval.

    As a share of the whole rise from 32 to 64 channels: 0 where a width between costs what the next multiple costs, or
    more; ``1 - 1 / step`` where latency rises with every channel alike.
    """

    share: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Step:
    """What was found.

    Attributes:
        step: the largest of `STEPS` such that widths between its multiples save at most `MAX_WITHIN`, 1 where there is
            none, or None where that cannot be told.
        within: the evidence for each of `STEPS`; empty where latency does not rise.
        reason: in one sentence.
    """

    step: int | None
    within: Mapping[int, Within]
    reason: str


def counts() -> tuple[int, ...]:
    """Returns the numbers of channels that `find_step` needs: on both sides of every multiple of 4 from 32 to 64."""
    edges = range(FIRST, LAST + 1, STEPS[0])
    return tuple(count for edge in edges for count in (edge, edge + 1) if count <= LAST)


def find_step(points: Sequence[Point]) -> Step:
    """Returns the step of a layer's latencies.

    Args:
        points: one for each of `counts`, in any order.

    Raises:
        ValueError: other numbers of channels.
    """
    by_count = {point.channels: point for point in points}
    if tuple(sorted(by_count)) != counts() or len(points) != len(by_count):
        raise ValueError(f"Expected one point for each of {counts()}. Received: {sorted(p.channels for p in points)}.")
    rise, rise_error = _difference(by_count[FIRST], by_count[LAST])
    if rise - rise_error < MIN_RISE * by_count[FIRST].median_ms:
        return Step(
            None,
            {},
            f"Latency rises by {_change(rise, rise_error)} only from {FIRST} to {LAST} channels: too little to step.",
        )
    within = {step: _within(by_count, step, rise) for step in STEPS}
    flat = [step for step in STEPS if within[step].high <= MAX_WITHIN]
    doubtful = [step for step in STEPS if within[step].low < MAX_WITHIN < within[step].high]
    if doubtful and doubtful[-1] > max(flat, default=0):
        step = doubtful[-1]
        share = f"{within[step].low:.0%} to {within[step].high:.0%}"
        return Step(
            None,
            within,
            f"No step found: widths between multiples of {step} may save {share} of the rise. Measure longer, on a "
            "quieter device.",
        )
    if not flat:
        share = f"{within[STEPS[0]].share:.0%}"
        return Step(1, within, f"No staircase: widths between multiples of {STEPS[0]} save {share} of the rise.")
    step = flat[-1]
    share = f"{within[step].share:.0%}"
    return Step(step, within, f"A staircase: widths between multiples of {step} save {share} of the rise.")


def _within(by_count: Mapping[int, Point], step: int, rise: float) -> Within:
    """The most that any place within the treads, the same one in each, saves against the ends of the treads."""
    found = [Within(0.0, 0.0, 0.0)]
    for offset in range(1, step):
        if FIRST + offset in by_count:
            treads = range(FIRST, LAST, step)
            parts = [_difference(by_count[begin + offset], by_count[begin + step]) for begin in treads]
            saved, error = math.fsum(part for part, _ in parts), math.hypot(*(error for _, error in parts))
            found.append(Within(saved / rise, (saved - error) / rise, (saved + error) / rise))
    return Within(*(max(getattr(one, name) for one in found) for name in ("share", "low", "high")))


def _difference(a: Point, b: Point) -> tuple[float, float]:
    """How much longer B takes, in milliseconds, and half of its 95 % interval."""
    return b.median_ms - a.median_ms, math.hypot(*((one.high_ms - one.low_ms) / 2 for one in (a, b)))


def _change(ms: float, error_ms: float) -> str:
    return f"{ms:.3g} ± {error_ms:.2g} ms"
