"""The part of `tfmeta prune` that measures: the widest structure that a device runs within a limit, and its file."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmeta.errors import BudgetError, UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure
from tfmeta.latency.measure import measure_files
from tfmeta.latency.objective import Latency
from tfmeta.latency.options import LatencyOptions, Place
from tfmeta.latency.staircase import check_step
from tfmeta.progress import meter
from tfmeta.stages.limits import Limit, constraints


@dataclass(frozen=True)
class FastEnough:
    """What was found on a device.

    Attributes:
        structure: the widest whose latency is within the limit.
        limit_ms: the limit.
        full_ms: latency of the full network.
        reference: the full network's file, which the others were measured against.
        measured: what was measured on the way: `widths`, `latency_ms` with its 95 % interval `low_ms` to `high_ms`,
            and `verdict`.
    """

    structure: Structure
    limit_ms: float
    full_ms: float
    reference: bytes
    measured: tuple[Mapping[str, Any], ...]


def widest_within(
    rungs: Sequence[Structure],
    graph: ChannelGraph,
    place: Place,
    options: LatencyOptions,
    limit: Limit,
    step_device: str | None = None,
) -> FastEnough:
    """Returns the widest of ``rungs`` that is fast enough, found by halving: 11 measurements for 1000 rungs.

    What counts is the upper end of a measurement's 95 % interval: a structure that only happened to measure well would
    be too slow when it is measured again. The full network is the reference of all measurements.

    Args:
        rungs: structures from narrow to wide.
        graph: the channel graph of the full network.
        place: where to measure.
        options: how.
        limit: what a structure may take, in milliseconds or as a share of the full network ("0.5x").
        step_device: as in `tfmeta.stages.prune.PruneOptions`.

    Raises:
        BudgetError: even the narrowest is too slow.
        UserError: a limit that cannot be understood, or the widths are multiples of another device's step.
        tflite_bench.BenchError: the device fails.
    """
    _milliseconds(limit, full_ms=1.0)  # a typing error is told before anything is measured
    measured: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        latency = stack.enter_context(Latency(graph, place.device, options, device_options=place.options))
        check_step(step_device, latency.info.fingerprint)
        limit_ms = _milliseconds(limit, latency.baseline_ms)
        steps = 1 + math.ceil(math.log2(len(rungs)))
        display = stack.enter_context(meter("Measuring", total=steps, unit="structure"))

        def fits(rung: int) -> bool:
            (found,) = latency.measure([rungs[rung]])
            low, high = (found[end] * found["baseline_ms"] for end in ("ratio_low", "ratio_high"))
            times = {"latency_ms": found["latency_ms"], "low_ms": low, "high_ms": high}
            measured.append({"widths": list(rungs[rung].widths), **times, "verdict": found["verdict"]})
            display.update()
            return bool(high <= limit_ms)

        if not fits(0):
            raise BudgetError(_too_slow(measured[0], limit_ms, latency.baseline_ms, place.device))
        good, bad = 0, len(rungs)
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if fits(middle) else (good, middle)
        full = latency.reference.read_bytes()
        return FastEnough(rungs[good], limit_ms, latency.baseline_ms, full, tuple(measured))


def _milliseconds(limit: Limit, full_ms: float) -> float:
    (constraint,) = constraints([limit], {limit.objective: full_ms})
    if constraint.upper is None or constraint.lower is not None:
        raise UserError(f"Expected an upper limit on latency and no lower one, received {limit}.")
    return constraint.upper


def _too_slow(found: Mapping[str, Any], limit_ms: float, full_ms: float, device: str) -> str:
    return (
        f"Even the smallest structure takes {found['latency_ms']:.4g} ms on {device!r} (95 % interval "
        f"{found['low_ms']:.4g} to {found['high_ms']:.4g}, {found['verdict']}); the limit is {limit_ms:.4g} ms, the "
        f"full network takes {full_ms:.4g} ms. Raise the limit, or lower --min_ratio or --multiple_of."
    )


def measured_file(path: Path, found: FastEnough, place: Place, options: LatencyOptions) -> dict[str, Any]:
    """Returns what the finished file takes, measured in turns with the full network, as plain data.

    Args:
        path: the .tflite file of the pruned model.
        found: what it was pruned to.
        place: where to measure.
        options: how; the scheme is that of the file.

    Raises:
        tflite_bench.BenchError: the device fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "full.tflite"
        reference.write_bytes(found.reference)
        (final,) = measure_files(place.device, [path], reference, options, place.options)
    latency_ms = final.ratio * found.full_ms  # so the device's drift since the first measurement cancels
    return {
        "file": path.name,
        "unit": "ms",
        "limit_ms": found.limit_ms,
        "latency_ms": latency_ms,
        "within": latency_ms <= found.limit_ms,
        "full_ms": found.full_ms,
        "device": place.device,
        "num_runs": final.measurement.num_runs,
        **final.to_json(),
        "search": list(found.measured),
    }
