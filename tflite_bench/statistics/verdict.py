"""Can this measurement be trusted? Pure: the blocks in order, and what the device told, give a verdict and its reason.

Blocks may hold their single times or statistics only. For the latter, `combined.times_of` stands in for the times, and
the first and the last inference tell which end of a block was the slow one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tflite_bench.conditions import Conditions
from tflite_bench.limits import Limits
from tflite_bench.statistics import bootstrap
from tflite_bench.statistics.block import Block
from tflite_bench.statistics.combined import Combined, combine, times_of
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
# In a long run even a tenth holds the slow part of a device that slows down after a few inferences. So few say less,
# hence they have to differ by more.
_EARLY_RUNS = (5, 20)
_EARLY_DRIFT = 0.25
# A bootstrap over fewer blocks than this is too narrow to convict.
_MIN_BLOCKS = bootstrap.MIN_BLOCKS
# Limits of the clock are whole steps; this is below the smallest.
_LESS_CLOCK = 0.97
# From "moderate" on, Android lowers clocks.
_MODERATE = 2
# Of 20 steady measurements about one may be called throttled, which two tests share: of five blocks, the order in
# which two pairs are alike has 1 chance in 30.
_SLOPE_SIGNIFICANCE, _STEP_SIGNIFICANCE = 0.035, 0.02
_SHUFFLES = 1000
_FEW_BLOCKS = 6  # their orders can all be tried


def judge(
    blocks: Sequence[Block],
    rng: np.random.Generator,
    *,
    warmup: Block | None = None,
    before: Conditions | None = None,
    after: Conditions | None = None,
    limits: Limits | None = None,
    stale_reason: str = "",
) -> tuple[Verdict, str]:
    """Returns the verdict and its reason in one sentence.

    Args:
        blocks: in the order they were measured, at least one.
        rng: generator for the bootstrap intervals.
        warmup: what ran before the first block, where it is known.
        before, after: the device's state, where it tells.
        limits: what state is accepted; the defaults of `Limits` when None.
        stale_reason: why what was timed may not be what was asked for, or empty.
    """
    if stale_reason:
        return Verdict.STALE, stale_reason
    limits = limits or Limits()
    hotter = _hotter(before, after, limits) or _hot(before, after, limits)
    if hotter:
        return Verdict.THROTTLED, hotter
    whole = combine(blocks)
    if whole.count < MIN_RUNS:
        return Verdict.NOISY, f"Only {whole.count} runs: at least {MIN_RUNS} are needed to judge a median."
    colder = "" if warmup is None else slower_than(warmup.p5_ms, warmup.min_ms, whole)
    if colder:
        return Verdict.THROTTLED, colder
    slower, shown = _slower(blocks, whole, rng)
    if shown:
        return Verdict.THROTTLED, f"{slower}: the device heats up, or something else began to run."
    if slower:
        return Verdict.NOISY, f"{slower}, but its {len(blocks)} blocks differ in no order: more runs are needed."
    drift = _drift(blocks, max(MIN_RUNS // 2, whole.count // _HEAD), whole.count, rng)
    if drift is not None and drift.ratio < 1 / (1 + MAX_DRIFT) and drift.conclusion == bootstrap.FASTER:
        return (
            Verdict.NOISY,
            f"The end of the run was {1 - drift.ratio:.0%} faster than its beginning: warm up longer.",
        )
    low, high = bootstrap.median_interval(blocks, rng)
    width = (high - low) / whole.median_ms
    if width > MAX_INTERVAL:
        return Verdict.NOISY, f"The median is known only to within {width:.0%} of itself: more runs are needed."
    excess = whole.p90_ms / whole.median_ms - 1
    if excess > MAX_P90_EXCESS:
        return Verdict.NOISY, f"One run in ten took {excess:.0%} longer than the median or more."
    return Verdict.OK, f"The median is known to within {width:.1%} of itself and the end ran like the beginning."


def slower_than(fast_ms: float, least_ms: float, whole: Combined) -> str:
    """Returns in what way the runs are slower than the device has been with the same model, or "".

    The first inferences after loading are slower than later ones, never faster. So a model that was much faster then
    was timed on a device that had become slow meanwhile.

    Args:
        fast_ms: what 19 of 20 inferences took more than before, in milliseconds.
        least_ms: the fastest one before; it alone tells where the device became slow after a few inferences.
        whole: the runs.
    """
    # Where some of the timed runs are as fast, it is the spread that is wide; that is judged otherwise.
    shifted = whole.median_ms > fast_ms * (1 + _EARLY_DRIFT) and whole.p5_ms > fast_ms * (1 + MAX_DRIFT)
    if not shifted and whole.min_ms <= least_ms * (1 + _EARLY_DRIFT):
        return ""
    return (
        f"It took {fast_ms if shifted else least_ms:.4g} ms when it was loaded, {whole.median_ms:.4g} ms when timed "
        f"({whole.count} runs): the device heats up, or something else began to run."
    )


def _hotter(before: Conditions | None, after: Conditions | None, limits: Limits) -> str:
    """What the device told of itself, where it throttled in between; or nothing."""
    if before is None or after is None:
        return ""
    known = before.thermal_status is not None and after.thermal_status is not None
    if known and (after.thermal_status or 0) > (before.thermal_status or 0):
        return f"The thermal status rose from {before.thermal_word} to {after.thermal_word}."
    for core in limits.switched_off(before, after):
        return f"The system switched core {core} off, which the model was pinned to."
    known_mhz = dict(before.clock_limits_mhz)
    for core, now in after.clock_limits_mhz:
        was = known_mhz.get(core, now)  # a core that was switched off tells nothing
        if now < was * _LESS_CLOCK:
            return f"The system lowered the clock limit of core {core} from {was} to {now} MHz."
    return ""


def _hot(before: Conditions | None, after: Conditions | None, limits: Limits) -> str:
    """How the device was throttled all the time, or nothing."""
    most = min(limits.max_thermal_status, _MODERATE - 1)
    if after is not None and after.thermal_status is not None and after.thermal_status > most:
        return f"The thermal status is {after.thermal_word}: let the device cool down."
    for now in (before, after):
        if now is None:
            continue
        for core, limit, top in limits.lowered(now):
            return (
                f"The system held core {core} at {limit} of its {top} MHz, less than {limits.min_clock_share:.0%}: "
                "let the device cool down, or give --min_clock_share=0 where it never allows more."
            )
    return ""


def _slower(blocks: Sequence[Block], whole: Combined, rng: np.random.Generator) -> tuple[str, bool]:
    """How the run became slower, or nothing; and whether that cannot be the blocks' common scatter."""
    found = ""
    sizes = [(max(MIN_RUNS // 2, whole.count // _HEAD), MAX_DRIFT), *((size, _EARLY_DRIFT) for size in _EARLY_RUNS)]
    for size, limit in sizes:
        if size > whole.count // 2:  # beginning and end would be the same runs
            continue
        drift = _drift(blocks, size, whole.count, rng)
        if drift is not None and drift.ratio > 1 + limit and drift.conclusion == bootstrap.SLOWER:
            found = f"The end of the run was {drift.ratio - 1:.0%} slower than its beginning"
            if len(blocks) < _MIN_BLOCKS or _rises_within(blocks[0], size, limit) or _rises(blocks, rng):
                return found, True
    if len(blocks) >= _MIN_BLOCKS:
        each = bootstrap.contrast(
            [_quarter(block, 0) for block in blocks], [_quarter(block, -1) for block in blocks], rng
        )
        if each.ratio > 1 + _EARLY_DRIFT and each.conclusion == bootstrap.SLOWER:
            return f"The end of each block was {each.ratio - 1:.0%} slower than its beginning", True
    first_ms, last_ms = blocks[0].first_ms, blocks[-1].last_ms
    if not all(block.times_ms for block in blocks) and _ends_apart(first_ms, last_ms, whole):
        within = first_ms * (1 + _EARLY_DRIFT) < blocks[0].median_ms
        if len(blocks) < _MIN_BLOCKS or within or _rises(blocks, rng):
            return f"The last run was {last_ms / first_ms - 1:.0%} slower than the first", True
    return found, False


def _rises_within(block: Block, size: int, limit: float) -> bool:
    """Whether a block is slower from ``size`` runs on; False where that is not known."""
    times = times_of(block)
    return (
        bool(block.times_ms)
        and 2 * size <= len(times)
        and float(np.median(times[size:]) / np.median(times[:size])) > 1 + limit
    )


def _rises(blocks: Sequence[Block], rng: np.random.Generator) -> bool:
    """Whether the order of the blocks matters: processes differ by some per cent from one to the next anyway.

    Two tests. A steady rise is told by the slope, against that of the same blocks in random orders. A step is told by
    the best split into two parts of their own level; it may come after the first block already, which random orders
    cannot tell, so it is held against as many normal levels in a row.
    """
    levels = np.log([block.median_ms for block in blocks])
    if float(np.ptp(levels)) == 0:
        return False
    places = np.arange(len(levels)) - (len(levels) - 1) / 2
    if len(levels) <= _FEW_BLOCKS:
        orders = np.array(list(itertools.permutations(levels)))
    else:
        orders = rng.permuted(np.tile(levels, (_SHUFFLES, 1)), axis=1)
    if float(np.mean(orders @ places >= levels @ places - 1e-12)) < _SLOPE_SIGNIFICANCE:
        return True
    chance = _best_step(rng.standard_normal((_SHUFFLES, len(levels))))
    return float(np.mean(chance >= _best_step(levels[None])[0])) < _STEP_SIGNIFICANCE


def _best_step(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The greatest Student's t of any split of the levels `[R, K]` into a lower beginning and a higher end: `[R]`."""
    count = levels.shape[1]
    found = []
    for split in range(1, count):
        head, tail = levels[:, :split], levels[:, split:]
        rest = head.var(axis=1) * split + tail.var(axis=1) * (count - split)
        scatter = np.sqrt(rest / (count - 2) * (1 / split + 1 / (count - split)))
        found.append((tail.mean(axis=1) - head.mean(axis=1)) / np.maximum(scatter, 1e-12))
    return np.asarray(np.max(found, axis=0), np.float64)


def _ends_apart(first_ms: float, last_ms: float, whole: Combined) -> bool:
    """Whether the very first run was one of the fast ones and the very last one of the slow ones, far apart.

    Within a block of which only statistics are known there is no other order. A single run may be fast or slow by
    chance, so both have to lie at their ends of a wide spread; or the first below what 19 of 20 runs take.
    """
    if last_ms <= first_ms * (1 + _EARLY_DRIFT):
        return False
    spread = whole.p95_ms - whole.p5_ms
    wide = whole.p95_ms > whole.p5_ms * (1 + _EARLY_DRIFT)
    apart = first_ms <= whole.p5_ms + spread / 4 and last_ms >= whole.p95_ms - spread / 4
    return (wide and apart) or first_ms * (1 + _EARLY_DRIFT) < whole.p5_ms


def _drift(blocks: Sequence[Block], size: int, count: int, rng: np.random.Generator) -> bootstrap.Comparison | None:
    """The last quarter of all runs against the first ``size``; None where the blocks do not tell the two apart."""
    head, last_of_head = _leading([(at, times_of(block), block) for at, block in enumerate(blocks)], size)
    backwards = [(at, times_of(block)[::-1], block) for at, block in reversed(list(enumerate(blocks)))]
    tail, first_of_tail = _leading(backwards, max(MIN_RUNS // 2, count // _TAIL))
    if last_of_head > first_of_tail or (last_of_head == first_of_tail and not blocks[last_of_head].times_ms):
        return None
    return bootstrap.contrast([head], [tail], rng)


def _leading(blocks: Iterable[tuple[int, npt.NDArray[np.float64], Block]], size: int) -> tuple[list[float], int]:
    """The first ``size`` times, or more where a block cannot be cut, and the place of the last block they are of."""
    taken: list[float] = []
    runs, last = 0, 0
    for place, times, block in blocks:
        taken += (times[: size - runs] if block.times_ms else times).tolist()
        runs, last = runs + block.count, place
        if runs >= size:
            break
    return taken, last


def _quarter(block: Block, end: int) -> npt.NDArray[np.float64]:
    """The first (0) or last (-1) quarter of a block, or its single run there where no more is known."""
    if not block.times_ms:
        return np.array([block.last_ms if end else block.first_ms])
    times = times_of(block)
    size = max(1, len(times) // 4)
    return times[-size:] if end else times[:size]
