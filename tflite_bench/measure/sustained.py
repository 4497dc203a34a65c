"""Latency over time: what a model takes after minutes of running, when the device has become hot."""

from __future__ import annotations

import dataclasses
import datetime
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tflite_bench.bench_options import BenchOptions
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device
from tflite_bench.errors import DeviceError, OptionsError
from tflite_bench.measure.interleave import whole
from tflite_bench.statistics.block import Block
from tflite_bench.statistics.combined import combine
from tflite_bench.types import DeviceInfo

# One step of a phone's clock is 5 % to 15 %; see `verdict`.
MAX_DRIFT = 0.10
# As many points as a curve needs, yet blocks long enough that starting them does not count.
_POINTS = 60
_LEAST_BLOCK_SECS, _MOST_BLOCK_SECS = 0.5, 10.0
_BLOCK_RUNS = 5
# The beginning and the end are a tenth of the blocks.
_ENDS = 10
# A governor steps up for a moment now and then.
_MOST = 0.8


@dataclasses.dataclass(frozen=True)
class Point:
    """One block of a sustained run.

    Attributes:
        begin_secs, end_secs: when it ran, in seconds since the first block began.
        block: its times.
        conditions: the device's state after it, or None where it does not tell.
    """

    begin_secs: float
    end_secs: float
    block: Block
    conditions: Conditions | None = None


@dataclasses.dataclass(frozen=True)
class Sustained:
    """The latency of one model over time.

    Attributes:
        model_name: the file's name, without its folder.
        model_sha256: hash of the file that was timed.
        device: where it was measured.
        options: what was asked for; the bounds on runs and seconds do not apply.
        started_at: UTC time in ISO 8601.
        points: the blocks in order.
    """

    model_name: str
    model_sha256: str
    device: DeviceInfo
    options: BenchOptions
    started_at: str
    points: tuple[Point, ...]

    @property
    def start_ms(self) -> float:
        """Median at the beginning: of the first tenth of the blocks, in milliseconds."""
        return self._median(self.points[: self._end_size])

    @property
    def end_ms(self) -> float:
        """Median at the end: of the last tenth of the blocks, in milliseconds."""
        return self._median(self.points[-self._end_size :])

    @property
    def slowed_after_secs(self) -> float | None:
        """When the latency rose by more than `MAX_DRIFT` over the beginning, to stay there; None where it did not.

        That is the first block above, with most of those after it above too, and the end as well.
        """
        limit = self.start_ms * (1 + MAX_DRIFT)
        slow = [point.block.median_ms > limit for point in self.points]
        if self.end_ms <= limit:
            return None
        for place, point in enumerate(self.points):
            rest = slow[place:]
            if slow[place] and sum(rest) >= _MOST * len(rest):
                return point.begin_secs
        return None

    @property
    def num_runs(self) -> int:
        """Number of timed inferences."""
        return sum(point.block.count for point in self.points)

    @property
    def sentence(self) -> str:
        """When and how far it slowed down, in one sentence."""
        lasted = clock(self.points[-1].end_secs)
        change = f"{self.start_ms:.4g} ms at the beginning, {self.end_ms:.4g} ms at the end"
        ratio = self.end_ms / self.start_ms - 1
        slowed = self.slowed_after_secs
        if slowed is not None:
            return f"Slowed down after {clock(slowed)} of {lasted}: {change} ({ratio:+.0%})."
        worst = max(self.points, key=lambda point: point.block.median_ms)
        if worst.block.median_ms > self.start_ms * (1 + MAX_DRIFT):
            return (
                f"Slow for a while only, most at {clock(worst.begin_secs)} of {lasted} "
                f"({worst.block.median_ms:.4g} ms): {change} ({ratio:+.0%})."
            )
        return f"Did not slow down in {lasted}: {change} ({ratio:+.0%})."

    @property
    def _end_size(self) -> int:
        return max(1, len(self.points) // _ENDS)

    @staticmethod
    def _median(points: Sequence[Point]) -> float:
        return combine([point.block for point in points]).median_ms

    def to_json(self) -> dict[str, Any]:
        """Returns the curve and what it says as plain data, without single times."""
        return {
            "model_name": self.model_name,
            "model_sha256": self.model_sha256,
            "device": {**self.device.to_json(), "fingerprint": self.device.fingerprint},
            "options": self.options.to_json(),
            "started_at": self.started_at,
            "num_runs": self.num_runs,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "slowed_after_secs": self.slowed_after_secs,
            "sentence": self.sentence,
            "points": [_point_json(point) for point in self.points],
        }


def sustain(
    device: Device,
    model: str | os.PathLike[str],
    duration_secs: float,
    options: BenchOptions | None = None,
    *,
    on_block: Callable[[float, float], None] | None = None,
    on_point: Callable[[Sustained], None] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Sustained:
    """Returns the latency of ``model`` over ``duration_secs`` seconds, block after block.

    Between blocks a phone starts the program anew and tells its state, which takes it some tenths of a second. The
    device is waited for until it is fit to measure, so the curve begins cool. Where it goes away in the middle the
    curve starts anew, as it would have cooled down meanwhile. Of a pool, one device runs all of it.

    Args:
        device: where to measure.
        model: path of a .tflite file.
        duration_secs: how long, in seconds.
        options: threads, cores, delegate and warm-up; the defaults of `BenchOptions` when None.
        on_block: called as ``on_block(done_secs, duration_secs)`` after each block.
        on_point: called with the curve so far after each block, to keep it where the rest fails.
        now: tells the time in seconds.

    Raises:
        OptionsError: a duration that is not above 0, or options that the device cannot follow.
        ModelFileError: the file is no model, or cannot be run.
        DeviceError: the device fails, went away too often or for too long, or timed another file (`Verdict.STALE`).
    """
    if not 0 < duration_secs < float("inf"):
        raise OptionsError(f"Expected a duration above 0 seconds. Received: {duration_secs}.")
    options = BenchOptions() if options is None else options

    def measure(one: Device) -> Sustained:
        block_secs = min(max(duration_secs / _POINTS, _LEAST_BLOCK_SECS), _MOST_BLOCK_SECS, duration_secs)
        started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        points: list[Point] = []
        with one.load(model, options) as loaded:
            start = now()
            while not points or now() - start < duration_secs:
                begin = now() - start
                block = loaded.run(_BLOCK_RUNS, block_secs, max(options.max_secs, block_secs))
                if loaded.stale_reason:
                    raise DeviceError(loaded.stale_reason)
                points.append(Point(begin, now() - start, block, one.conditions()))
                if on_point is not None:
                    file = loaded.file
                    on_point(Sustained(file.path.name, file.sha256, one.info(), options, started_at, tuple(points)))
                if on_block is not None:
                    on_block(min(now() - start, duration_secs), duration_secs)
            file = loaded.file
        return Sustained(file.path.name, file.sha256, one.info(), options, started_at, tuple(points))

    return device.run_job(lambda one: whole(one, lambda: measure(one), options.pin))


def clock(seconds: float) -> str:
    """Returns 75 as "1:15"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _point_json(point: Point) -> Mapping[str, Any]:
    block = dataclasses.asdict(point.block)
    del block["times_ms"]
    conditions = None if point.conditions is None else point.conditions.to_json()
    return {"begin_secs": point.begin_secs, "end_secs": point.end_secs, **block, "conditions": conditions}
