"""The lines that ``benchmark_model`` prints, as in outputs of the genuine programs."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

_XNNPACK_ROWS = 10  # of "Top by Computation Time"
_MIB = 1 << 20


def number(value: float) -> str:
    """Returns a double as C++ streams print it."""
    return f"{value:.6g}"


def count_line(times_us: Sequence[int], percentiles: bool = True) -> str:
    """Returns the statistics line of some inferences."""
    count = len(times_us)
    parts = [f"count={count}"]
    if count == 1:
        parts.append(f"curr={times_us[0]}")
    elif count and len(set(times_us)) == 1:
        parts.append(f"curr={times_us[0]}(all same)")
    elif count:
        mean = sum(times_us) / count
        std = math.sqrt(max(sum(time * time for time in times_us) / count - mean * mean, 0.0))
        parts += [f"first={times_us[0]}", f"curr={times_us[-1]}", f"min={min(times_us)}", f"max={max(times_us)}"]
        parts += [f"avg={number(mean)}", f"std={int(std)}"]
    if percentiles:
        parts += [f"{name}={percentile(times_us, p)}" for name, p in (("p5", 5), ("median", 50), ("p95", 95))]
    return " ".join(parts)


def percentile(times_us: Sequence[int], p: int) -> int:
    """Returns the one at place ``floor(n * p / 100)`` of the sorted times."""
    return sorted(times_us)[len(times_us) * p // 100] if times_us else 0


def running_line(num_runs: int, min_secs: float, max_secs: float) -> str:
    """Returns the line before a block."""
    return (
        f"Running benchmark for at least {num_runs} iterations and at least {number(min_secs)} seconds "
        f"but terminate if exceeding {number(max_secs)} seconds."
    )


def average(times_us: Sequence[int]) -> float:
    """Returns the mean; 0 of none."""
    return sum(times_us) / len(times_us) if times_us else 0.0


def summary_lines(init_us: int, warmup_us: Sequence[int], times_us: Sequence[int]) -> list[str]:
    """Returns what the classic program says at the end."""
    first = warmup_us[0] if warmup_us else 0
    return [
        f"Inference timings in us: Init: {init_us}, First inference: {first}, "
        f"Warmup (avg): {number(average(warmup_us))}, Inference (avg): {number(average(times_us))}",
        "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual "
        "memory footprint of the model at runtime. Take the information at your discretion.",
        "Memory footprint delta from the start of the tool (MB): init=36.5664 overall=38.0312",
    ]


def peak_lines(peak_mb: float) -> list[str]:
    """Returns what the classic program says of the peak memory."""
    return [
        f"Overall peak memory footprint (MB) via periodic monitoring: {number(peak_mb)}",
        "Memory status at the end of exeution:",
        f"- VmRSS              : {int(peak_mb)} MB",
        f"+ RssAnnon           : {int(peak_mb) // 2} MB",
        f"+ RssFile + RssShmem : {int(peak_mb) - int(peak_mb) // 2} MB",
    ]


def litert_lines(
    init_us: int, warmup_us: Sequence[int], times_us: Sequence[int], size_bytes: int, peak_mb: float | None
) -> list[str]:
    """Returns what LiteRT's program logs at the end."""

    def ms(us: float) -> str:
        return f"{us / 1e3:.2f} ms"

    place = "[benchmark_litert_model.h:{}]"
    lines = [
        f"{place.format(89)} \n========== BENCHMARK RESULTS ==========",
        f"{place.format(91)} Signature name:       serving_default",
        f"{place.format(94)} Model initialization: {ms(init_us)}",
        f"{place.format(95)} Warmup (first):       {ms(warmup_us[0] if warmup_us else 0)}",
        f"{place.format(97)} Warmup (avg):         {ms(average(warmup_us))} ({len(warmup_us)} runs)",
        f"{place.format(99)} Inference (avg):      {ms(average(times_us))} ({len(times_us)} runs)",
    ]
    if times_us:
        mean = average(times_us)
        std = math.sqrt(average([int((time - mean) ** 2) for time in times_us]))
        lines += [
            f"{place.format(103)} Inference (min):      {ms(min(times_us))}",
            f"{place.format(105)} Inference (max):      {ms(max(times_us))}",
            f"{place.format(107)} Inference (std):      {std / 1e3:.2f}",
            f"{place.format(115)} Throughput:           {size_bytes / _MIB / max(mean, 1) * 1e6:.2f} MB/s",
        ]
    else:
        lines.append(f"{place.format(110)} No inference runs were performed.")
        lines.append(f"{place.format(117)} No throughput data available (throughput <= 0).")
    lines += [
        f"{place.format(124)} \nMemory Usage:",
        f"{place.format(125)} Init footprint:       4.36 MB",
        f"{place.format(127)} Overall footprint:    23.15 MB",
        f"{place.format(132)} Peak memory:          {peak_mb:.2f} MB"
        if peak_mb
        else f"{place.format(134)} Peak memory usage not available. (peak_mem_mb <= 0)",
        f"{place.format(138)} ======================================\n",
    ]
    return lines


def result_file(
    init_us: int, warmup_us: Sequence[int], times_us: Sequence[int], size_bytes: int, peak_mb: float | None
) -> bytes:
    """Returns the message ``BenchmarkResult``: latencies in milliseconds, memory, and counts."""
    mean = average(times_us)
    std = math.sqrt(average([int((time - mean) ** 2) for time in times_us]))
    latency = {
        1: mean,
        2: min(times_us, default=0),
        3: max(times_us, default=0),
        4: std,
        5: percentile(times_us, 50),
        6: percentile(times_us, 5),
        7: percentile(times_us, 95),
        8: init_us,
        9: warmup_us[0] if warmup_us else 0,
        10: average(warmup_us),
    }
    memory: dict[int, float | int] = {1: 37444, 2: 38944}
    if peak_mb:
        memory[3] = float(peak_mb)
    misc: dict[int, float | int] = {1: size_bytes / 1e6, 2: len(times_us), 3: len(warmup_us), 4: 1.0}
    parts = {2: {key: us / 1e3 for key, us in latency.items()}, 3: memory, 4: misc}
    return b"".join(_field(key, _message(fields)) for key, fields in parts.items())


def _message(fields: Mapping[int, float | int]) -> bytes:
    return b"".join(_field(key, value) for key, value in fields.items())


def _field(key: int, value: float | int | bytes) -> bytes:
    if isinstance(value, bytes):
        return _varint(key << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, int):
        return _varint(key << 3) + _varint(value)
    return _varint(key << 3 | 5) + struct.pack("<f", value)


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])
