"""The ``count=...`` line of ``benchmark_model``: the statistics of a warm-up or of the timed inferences.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/stats_calculator.h prints it. Times are whole
microseconds, but for the mean, which has 6 significant digits. Minimum, maximum, mean and deviation are left out where
all times are the same; the percentiles came with TensorFlow 2.19 and LiteRT 1.1.
"""

from __future__ import annotations

import dataclasses
import math
import re

from tflite_bench.errors import OutputError
from tflite_bench.statistics.block import Block

_US_PER_MS = 1e3
# Parts of regular expressions. In microseconds 15 digits are 31 years; int() refuses much longer ones.
INT = r"(\d{1,15})"
ANY_NUMBER = r"(?:\d{1,15}(?:\.\d{1,15})?(?:e[+-]?\d{1,2})?)"
NUMBER = f"({ANY_NUMBER})"
_PERCENTILES = rf"(?: p5={INT} median={INT} p95={INT})?"
_NONE = re.compile(r"count=0(?: p5=0 median=0 p95=0)?", re.ASCII)
_SAME = re.compile(rf"count={INT} curr={INT}(\(all same\))?{_PERCENTILES}", re.ASCII)
_FULL = re.compile(
    rf"count={INT} first={INT} curr={INT} min={INT} max={INT} avg={NUMBER} std={INT}{_PERCENTILES}", re.ASCII
)
_SHOWN_CHARACTERS = 200


@dataclasses.dataclass(frozen=True)
class Stats:
    """Statistics in microseconds; the percentiles are None where the tool is too old for them."""

    count: int
    first_us: int
    last_us: int
    min_us: int
    max_us: int
    avg_us: float
    std_us: int
    p5_us: int | None
    median_us: int | None
    p95_us: int | None

    def to_block(self) -> Block:
        """Returns the statistics in milliseconds.

        Raises:
            OutputError: the percentiles are not known, or a time is 0.
        """
        if self.p5_us is None or self.median_us is None or self.p95_us is None:
            raise OutputError(
                "Expected the median of the times. Received an output without: this benchmark_model is older than "
                "November 2024 (TensorFlow 2.19, LiteRT 1.1), and a mean is spoiled by a single slow inference. "
                "Use a newer one; `tflite-bench fetch` gets it."
            )
        if self.min_us == 0:
            raise OutputError(
                "Expected inferences that take time. Received one of 0 microseconds: the model did not run, "
                "or it is too small for a clock of microseconds."
            )
        return Block(
            count=self.count,
            first_ms=self.first_us / _US_PER_MS,
            last_ms=self.last_us / _US_PER_MS,
            min_ms=self.min_us / _US_PER_MS,
            p5_ms=self.p5_us / _US_PER_MS,
            median_ms=self.median_us / _US_PER_MS,
            p95_ms=self.p95_us / _US_PER_MS,
            max_ms=self.max_us / _US_PER_MS,
            mean_ms=self.avg_us / _US_PER_MS,
            std_ms=self.std_us / _US_PER_MS,
        )


def read_count_line(text: str) -> Stats | None:
    """Returns the statistics of a line that begins with ``count=``, or None where it counts no inference.

    Raises:
        OutputError: it is of no known form, or its numbers contradict each other.
    """
    if _NONE.fullmatch(text):
        return None
    if match := _SAME.fullmatch(text):
        count, time, same, *percentiles = match.groups()
        p5, median, p95 = (int(value or time) for value in percentiles)
        stats = Stats(int(count), int(time), int(time), int(time), int(time), float(time), 0, p5, median, p95)
        agree = stats.count > 0 and (stats.count > 1) == (same is not None)
    elif match := _FULL.fullmatch(text):
        count, first, last, low, high, avg, std, *percentiles = match.groups()
        values = (None if value is None else int(value) for value in percentiles)
        stats = Stats(int(count), int(first), int(last), int(low), int(high), float(avg), int(std), *values)
        agree = stats.count > 1 and low != high
    else:
        raise OutputError(f"Expected 'count=N first=... curr=... min=...' in numbers. Received: {shown(text)}.")
    if not agree or not _in_order(stats):
        raise OutputError(f"Expected statistics that agree, such as min <= median <= max. Received: {shown(text)}.")
    return stats


def near(value: float, other: float, tolerance: float = 0.0) -> bool:
    """Returns whether two numbers are the same one, as C++ prints it with 6 significant digits."""
    return math.isclose(value, other, rel_tol=1.1e-5, abs_tol=tolerance)


def shown(text: str) -> str:
    """Returns ``text`` as a message can quote it: on one line, not too long, without control characters."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")


def _in_order(stats: Stats) -> bool:
    low, high = stats.min_us, stats.max_us
    percentiles = [value for value in (stats.p5_us, stats.median_us, stats.p95_us) if value is not None]
    inside = (stats.first_us, stats.last_us, *percentiles)
    return (
        low <= min(inside)
        and max(inside) <= high
        and percentiles == sorted(percentiles)
        and near(stats.avg_us, min(max(stats.avg_us, low), high))
        and stats.std_us <= high - low
    )
