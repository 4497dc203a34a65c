"""The loop that measures again what cannot be trusted."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import Device
from tflite_bench.errors import DeviceHotError, OptionsError
from tflite_bench.measure.interleave import ROUNDS, interleave
from tflite_bench.messages import tell
from tflite_bench.statistics.combined import combine
from tflite_bench.statistics.verdict import MIN_RUNS, slower_than
from tflite_bench.types import Measurement, Verdict

RETRIES = 2
# From the best to the worst.
_RANKS = (Verdict.OK, Verdict.NOISY, Verdict.THROTTLED, Verdict.STALE)

Review = Callable[[list[Measurement]], list[Measurement]]


def until_ok(
    device: Device,
    models: Sequence[str | os.PathLike[str]],
    options: BenchOptions | None = None,
    rounds: int = ROUNDS,
    retries: int = RETRIES,
    *,
    review: Review | None = None,
    on_block: Callable[[int, int], None] | None = None,
) -> list[list[Measurement]]:
    """Returns all attempts at measuring ``models`` in turns; the last one is the best of them, and OK if any was.

    An attempt in which any model's verdict is not OK is followed by another, at most ``retries`` times; what is noisy
    is timed twice as long then. Where only the number of runs that was asked for is too small, there is no other.
    Before each, the device is waited for until it is fit to measure, so that one that was hot can cool down. Each
    measurement tells what was wrong with the other attempts. A device that was fast in an earlier attempt and is slow
    and steady in a later one is still throttled.

    Args:
        device: where to measure.
        models: paths of .tflite files.
        options: how; the defaults of `BenchOptions` when None.
        rounds: blocks a model.
        retries: how often to measure again.
        review: called with each attempt's measurements; returns them, with another verdict where it knows more.
        on_block: see `interleave`.

    Raises:
        OptionsError: retries below 0, and as `interleave`.
        DeviceHotError: all attempts were throttled, and another device of its pool can take over.
        ModelFileError, DeviceError: as `interleave`.
    """
    if retries < 0:
        raise OptionsError(f"Expected retries to be 0 or more. Received: {retries}.")
    asked = BenchOptions() if options is None else options
    now = asked
    attempts: list[list[Measurement]] = []
    while True:
        measured = interleave(device, models, now, rounds, on_block=on_block)
        measured = [
            _beside_earlier(one, [attempt[place] for attempt in attempts]) for place, one in enumerate(measured)
        ]
        if review is not None:
            measured = review(measured)
        attempts.append([dataclasses.replace(one, options=asked) for one in measured])
        trouble = _trouble(measured)
        if trouble is None or len(attempts) > retries or (asked.num_runs < MIN_RUNS and _is_short(measured)):
            break
        tell(
            f"{trouble.model_name}: {trouble.verdict.value}: {trouble.reason} Measured again, {len(attempts)} of "
            f"{retries}."
        )
        if trouble.verdict is Verdict.NOISY:
            now = dataclasses.replace(now, num_runs=2 * now.num_runs, min_secs=min(2 * now.min_secs, now.max_secs))
    if device.replaceable and all(_worst(attempt) is Verdict.THROTTLED for attempt in attempts):
        error = DeviceHotError(f"{attempts[-1][0].model_name} stays THROTTLED there: {attempts[-1][0].reason}")
        error.measured = True
        raise error
    return _best_last(attempts)


def _beside_earlier(one: Measurement, earlier: Sequence[Measurement]) -> Measurement:
    """The measurement, throttled where the device was much faster in an earlier attempt and has become slow."""
    throttled = [each for each in earlier if each.verdict is Verdict.THROTTLED and each.fast_ms and each.least_ms]
    if one.verdict is not Verdict.OK or not throttled:
        return one
    fast_ms = min(each.fast_ms or 0.0 for each in throttled)
    least_ms = min(each.least_ms or 0.0 for each in throttled)
    reason = slower_than(fast_ms, least_ms, combine(one.blocks))
    return dataclasses.replace(one, verdict=Verdict.THROTTLED, reason=reason) if reason else one


def _best_last(attempts: list[list[Measurement]]) -> list[list[Measurement]]:
    """The attempts, the best of them last: of the best verdict, then of the narrowest interval."""
    verdicts = [trouble.verdict.value if (trouble := _trouble(attempt)) else "" for attempt in attempts]
    best = min(range(len(attempts)), key=lambda place: _rank(attempts[place]))
    order = [*(place for place in range(len(attempts)) if place != best), best]
    others: tuple[str, ...] = ()
    found = []
    for place in order:
        found.append([dataclasses.replace(one, attempts=others) for one in attempts[place]])
        others = (*others, verdicts[place])
    return found


def _rank(measured: Sequence[Measurement]) -> tuple[int, float]:
    widths = [(one.median_high_ms - one.median_low_ms) / one.median_ms for one in measured]
    return _RANKS.index(_worst(measured)), max(widths)


def _worst(measured: Sequence[Measurement]) -> Verdict:
    return max((one.verdict for one in measured), key=_RANKS.index)


def _is_short(measured: Sequence[Measurement]) -> bool:
    """Whether nothing is wrong but the number of runs."""
    return all(one.verdict is Verdict.OK or one.num_runs < MIN_RUNS for one in measured)


def _trouble(measured: Sequence[Measurement]) -> Measurement | None:
    """The first measurement that is not OK, or None."""
    return next((one for one in measured if one.verdict is not Verdict.OK), None)
