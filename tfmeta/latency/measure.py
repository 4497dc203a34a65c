"""A model and the reference in turns: the model's own time, and its ratio to the reference."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tflite_bench
from tflite_bench.errors import OutputError
from tflite_bench.measure.interleave import whole
from tflite_bench.measure.jobs import run_jobs
from tflite_bench.measure.reference import drifted
from tflite_bench.measure.repeat import until_ok
from tflite_bench.signals import in_order
from tfmeta.latency.options import FINAL, LatencyOptions
from tfmeta.progress import meter

# The ratio to the reference cancels a device that is a clock step slower than it was when the reference was first
# measured. Beyond that, memory and cores no longer slow down alike.
MAX_BASELINE_DRIFT = 0.25


@dataclass(frozen=True)
class FileLatency:
    """What was measured of one file.

    Attributes:
        path: the file.
        measurement: of the file.
        reference: of the reference, which ran in turns with it.
        comparison: the file's time over the reference's: ``ratio`` with its 95 % interval ``low`` to ``high``.
        attempts: (ratio, verdict) of every attempt, the last of which is this one.
        operators: the time of its operators, see `operator_times`, or None where it was not asked for.
    """

    path: Path
    measurement: tflite_bench.Measurement
    reference: tflite_bench.Measurement
    comparison: tflite_bench.Comparison
    attempts: tuple[tuple[float, str], ...]
    operators: Mapping[str, Any] | None = None

    @property
    def median_ms(self) -> float:
        """Median of one inference in milliseconds, as it was on the device at that time."""
        return self.measurement.median_ms

    @property
    def p90_ms(self) -> float:
        """90th percentile of one inference in milliseconds, as it was on the device at that time."""
        return self.measurement.p90_ms

    @property
    def ratio(self) -> float:
        """The file's time over the reference's: the median over the rounds."""
        return self.comparison.ratio

    @property
    def verdict(self) -> str:
        """ "OK" when file and reference both measured OK; otherwise what is wrong with one of them."""
        return str(self._worse.verdict)

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        reason = self._worse.reason
        told = self._worse is not self.reference or reason.startswith("The reference ")
        return reason if told else f"The reference: {reason}"

    @property
    def _worse(self) -> tflite_bench.Measurement:
        # A ratio is no better than what it is a ratio to.
        sound = self.measurement.verdict is tflite_bench.Verdict.OK
        return self.reference if sound and self.reference.verdict is not tflite_bench.Verdict.OK else self.measurement

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the single times, as plain data."""
        return {
            "median_ms": self.median_ms,
            "p90_ms": self.p90_ms,
            "ratio": self.ratio,
            "ratio_low": self.comparison.low,
            "ratio_high": self.comparison.high,
            "verdict": self.verdict,
            "reason": self.reason,
            "attempts": [{"ratio": ratio, "verdict": verdict} for ratio, verdict in self.attempts],
            "measurement": self.measurement.to_json(),
            "reference": self.reference.to_json(),
            "operators": self.operators,
        }


def measure_files(
    device: tflite_bench.Device | str,
    paths: Sequence[str | os.PathLike[str]],
    reference: str | os.PathLike[str],
    options: LatencyOptions = FINAL,
    device_options: tflite_bench.DeviceOptions | None = None,
    *,
    operators: bool = False,
    on_measured: Callable[[FileLatency], None] | None = None,
) -> list[FileLatency]:
    """Returns the latency of each finished file, measured in turns with the reference.

    A pool measures as many files at once as it has devices.

    Args:
        device: an open device, or a device string such as "host".
        paths: .tflite files.
        reference: the .tflite file to compare with; it may be one of ``paths``.
        options: how to measure. The files are taken as they are, so the scheme does not matter.
        device_options: how to reach the device of a string.
        operators: time the operators of each file as well, in a run of its own.
        on_measured: called with each latency as soon as it is known, in this thread; on a pool in any order.

    Raises:
        tflite_bench.BenchError: a file is no model or cannot be run, no such device, or the device fails.
    """
    found: dict[int, FileLatency] = {}
    with opened(device, device_options) as ready, meter("latency", total=len(paths), unit="file") as display:
        measure = _with_operators if operators else measure_pair
        jobs = [functools.partial(measure, path=path, reference=reference, options=options) for path in paths]
        with contextlib.closing(run_jobs(ready, jobs)) as finished:
            for place, latency in finished:
                found[place] = latency
                if on_measured is not None:
                    on_measured(latency)
                display.update()
    return [found[place] for place in range(len(paths))]


def measure_pair(
    device: tflite_bench.Device,
    path: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    options: LatencyOptions,
    baseline_ms: float | None = None,
) -> FileLatency:
    """Returns the latency of one file.

    It is measured again at most ``options.retries`` times while its verdict is not OK. Then the last measurement is
    taken, with its verdict.

    Args:
        device: where to measure.
        path: the file.
        reference: what runs in turns with it.
        options: how to measure.
        baseline_ms: what the reference once took, in milliseconds: a device that has become much slower since is
            throttled, and one that has become much faster is not the one that the baseline is of: noisy.

    Raises:
        tflite_bench.BenchError: see `measure_files`.
    """

    def review(measured: list[tflite_bench.Measurement]) -> list[tflite_bench.Measurement]:
        ours, theirs = measured
        if baseline_ms is None:
            return measured
        return [ours, drifted(theirs, baseline_ms, MAX_BASELINE_DRIFT)]

    tried = until_ok(device, [path, reference], options.bench(), options.rounds, options.retries, review=review)
    pairs = [
        FileLatency(Path(path), ours, theirs, tflite_bench.compare(theirs.blocks, ours.blocks), ())
        for ours, theirs in tried
    ]
    return dataclasses.replace(pairs[-1], attempts=tuple((pair.ratio, pair.verdict) for pair in pairs))


def operator_times(
    device: tflite_bench.Device, path: str | os.PathLike[str], options: LatencyOptions
) -> dict[str, Any]:
    """Returns a `tflite_bench.op_profile.OpProfile` as plain data, or only the ``reason`` why there is none.

    Raises:
        tflite_bench.BenchError: the device fails.
    """
    try:
        return whole(device, lambda: device.profile(path, options.bench())).to_json()
    except (tflite_bench.OptionsError, OutputError) as error:  # of a runtime that does not tell them
        return {"reason": str(error)}


def _with_operators(
    device: tflite_bench.Device,
    path: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    options: LatencyOptions,
) -> FileLatency:
    found = measure_pair(device, path, reference, options)
    return dataclasses.replace(found, operators=operator_times(device, path, options))


@contextlib.contextmanager
def opened(
    device: tflite_bench.Device | str, device_options: tflite_bench.DeviceOptions | None = None
) -> Iterator[tflite_bench.Device]:
    """Gives an open device: the one given, which stays open, or the one of a string for a while.

    Meanwhile a signal that ends the process lets the device be left in order.

    Raises:
        tflite_bench.BenchError: no such device, or it cannot be reached.
    """
    if isinstance(device, tflite_bench.Device):
        yield device
    else:
        with in_order(), tflite_bench.open_device(device, device_options) as own:
            yield own
