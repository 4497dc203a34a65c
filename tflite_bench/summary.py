"""From single times to a `Measurement`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflite_bench import stats, verdict
from tflite_bench.block import Block
from tflite_bench.model_file import ModelFile
from tflite_bench.types import BenchOptions, DeviceInfo, Measurement, Startup


def summarise(
    file: ModelFile,
    startup: Startup,
    blocks: Sequence[Block],
    *,
    device: DeviceInfo,
    options: BenchOptions,
    started_at: str,
) -> Measurement:
    """Returns the statistics over all blocks together, with interval and verdict.

    The intervals are drawn with a fixed seed: the same times always give the same measurement.

    Args:
        file: the model.
        startup: what it cost to get ready.
        blocks: in order, at least one.
        device: where it ran.
        options: what was asked for.
        started_at: UTC time in ISO 8601.
    """
    times = np.concatenate([np.asarray(block.times_ms, np.float64) for block in blocks])
    low, high = stats.median_interval(times, np.random.default_rng(0))
    judged, reason = verdict.judge(times, np.random.default_rng(0))
    return Measurement(
        model_name=file.path.name,
        model_sha256=file.sha256,
        model_size_bytes=file.size_bytes,
        median_ms=float(np.median(times)),
        p90_ms=float(np.percentile(times, 90)),
        min_ms=float(times.min()),
        max_ms=float(times.max()),
        mean_ms=float(times.mean()),
        std_ms=float(times.std()),
        num_runs=len(times),
        median_low_ms=low,
        median_high_ms=high,
        init_ms=startup.init_ms,
        first_inference_ms=startup.first_inference_ms,
        peak_memory_mb=startup.peak_memory_mb,
        verdict=judged,
        reason=reason,
        device=device,
        options=options,
        started_at=started_at,
        blocks=tuple(blocks),
    )
