"""Blocks as devices give them: with single times, or with what ``benchmark_model`` tells of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tflite_bench.statistics.block import Block


def told(times_ms: Sequence[float] | npt.NDArray[np.float64]) -> Block:
    """The block of ``times_ms`` as the tool tells it: percentile p is element ``floor(n * p / 100)`` of the sorted."""
    ordered = sorted(times_ms)
    p5, median, p95 = (float(ordered[len(ordered) * p // 100]) for p in (5, 50, 95))
    known = dataclasses.replace(Block.of_times(times_ms), times_ms=())
    return dataclasses.replace(known, p5_ms=p5, median_ms=median, p95_ms=p95)


KINDS = {"times": Block.of_times, "statistics": told}


def cut(kind: str, times_ms: npt.NDArray[np.float64], blocks: int) -> list[Block]:
    """``times_ms`` in order as so many blocks of one kind."""
    return [KINDS[kind](part) for part in np.array_split(times_ms, blocks)]
