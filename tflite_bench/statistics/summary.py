"""From blocks to a `Measurement`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflite_bench.bench_options import BenchOptions
from tflite_bench.conditions import Conditions
from tflite_bench.device import LoadedModel
from tflite_bench.limits import Limits
from tflite_bench.statistics import bootstrap, verdict
from tflite_bench.statistics.block import Block
from tflite_bench.statistics.combined import combine
from tflite_bench.types import DeviceInfo, Measurement


def summarise(
    model: LoadedModel,
    blocks: Sequence[Block],
    *,
    device: DeviceInfo,
    options: BenchOptions,
    started_at: str,
    before: Conditions | None = None,
    after: Conditions | None = None,
    limits: Limits | None = None,
) -> Measurement:
    """Returns the statistics over all blocks together, with interval and verdict.

    The intervals are drawn with a fixed seed: the same times always give the same measurement.

    Args:
        model: what was timed.
        blocks: in order, at least one.
        device: where it ran.
        options: what was asked for.
        started_at: UTC time in ISO 8601.
        before, after: the device's state, where it tells.
        limits: what state is accepted; the defaults of `Limits` when None.
    """
    whole = combine(blocks)
    low, high = bootstrap.median_interval(blocks, np.random.default_rng(0))
    startup = model.startup
    judged, reason = verdict.judge(
        blocks,
        np.random.default_rng(0),
        warmup=startup.warmup,
        before=before,
        after=after,
        limits=limits,
        stale_reason=model.stale_reason,
    )
    return Measurement(
        model_name=model.file.path.name,
        model_sha256=model.file.sha256,
        model_size_bytes=model.file.size_bytes,
        median_ms=whole.median_ms,
        p90_ms=whole.p90_ms,
        min_ms=whole.min_ms,
        max_ms=whole.max_ms,
        mean_ms=whole.mean_ms,
        std_ms=whole.std_ms,
        num_runs=whole.count,
        # Blocks are drawn, and the median of all runs is not quite the median of the blocks' medians.
        median_low_ms=min(low, whole.median_ms),
        median_high_ms=max(high, whole.median_ms),
        init_ms=startup.init_ms,
        first_inference_ms=startup.first_inference_ms,
        peak_memory_mb=startup.peak_memory_mb,
        verdict=judged,
        reason=reason,
        device=device,
        options=options,
        started_at=started_at,
        delegation=model.delegation,
        before=before,
        after=after,
        blocks=tuple(blocks),
        num_startups=startup.count,
        p90_estimated=not all(block.times_ms for block in blocks),
        fast_ms=min(whole.p5_ms, startup.warmup.p5_ms) if startup.warmup else whole.p5_ms,
        least_ms=min(whole.min_ms, startup.warmup.min_ms) if startup.warmup else whole.min_ms,
    )
