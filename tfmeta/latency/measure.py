"""A model and the reference in turns: the model's own time, and its ratio to the reference."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tflite_bench
from tfmeta.latency.options import FINAL, LatencyOptions
from tfmeta.progress import bar


@dataclass(frozen=True)
class FileLatency:
    """What was measured of one file.

    Attributes:
        path: the file.
        measurement: of the file.
        reference: of the reference, which ran in turns with it.
        comparison: the file's time over the reference's: ``ratio`` with its 95 % interval ``low`` to ``high``.
        attempts: (ratio, verdict) of every attempt, the last of which is this one.
    """

    path: Path
    measurement: tflite_bench.Measurement
    reference: tflite_bench.Measurement
    comparison: tflite_bench.Comparison
    attempts: tuple[tuple[float, str], ...]

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
        about = "The reference: " if self._worse is self.reference else ""
        return about + self._worse.reason

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
        }


def measure_files(
    device: tflite_bench.Device | str,
    paths: Sequence[str | os.PathLike[str]],
    reference: str | os.PathLike[str],
    options: LatencyOptions = FINAL,
) -> list[FileLatency]:
    """Returns the latency of each finished file, measured in turns with the reference.

    Args:
        device: an open device, or a device string such as "host".
        paths: .tflite files.
        reference: the .tflite file to compare with; it may be one of ``paths``.
        options: how to measure. The files are taken as they are, so the scheme does not matter.

    Raises:
        tflite_bench.BenchError: a file is no model or cannot be run, no such device, or the device fails.
    """
    with opened(device) as ready:
        return [measure_pair(ready, path, reference, options) for path in bar(paths, "latency", unit="file")]


def measure_pair(
    device: tflite_bench.Device,
    path: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    options: LatencyOptions,
) -> FileLatency:
    """Returns the latency of one file.

    It is measured again at most ``options.retries`` times while its verdict is not OK. Then the last measurement is
    taken, with its verdict.

    Raises:
        tflite_bench.BenchError: see `measure_files`.
    """
    attempts: tuple[tuple[float, str], ...] = ()
    while True:
        ours, theirs = tflite_bench.interleave(device, [path, reference], options.bench(), options.rounds)
        comparison = tflite_bench.compare(theirs.blocks_ms, ours.blocks_ms)
        found = FileLatency(Path(path), ours, theirs, comparison, attempts)
        attempts = (*attempts, (found.ratio, found.verdict))
        if found.verdict == tflite_bench.Verdict.OK or len(attempts) > options.retries:
            return FileLatency(Path(path), ours, theirs, comparison, attempts)


@contextlib.contextmanager
def opened(device: tflite_bench.Device | str) -> Iterator[tflite_bench.Device]:
    """Gives an open device: the one given, which stays open, or the one of a string for a while.

    Raises:
        tflite_bench.BenchError: no such device, or it cannot be reached.
    """
    if isinstance(device, tflite_bench.Device):
        yield device
    else:
        with tflite_bench.open_device(device) as own:
            yield own
