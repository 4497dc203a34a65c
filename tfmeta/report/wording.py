"""Numbers as people read them; what is missing says so."""

from __future__ import annotations

from collections.abc import Callable

from tfmeta.report.data import Axis, Latency, Missing


def percent(value: float | Missing) -> str:
    """Returns 0.9123 as "91.2 %"."""
    return value.reason if isinstance(value, Missing) else f"{100 * value:.1f} %"


def count(value: float | Missing) -> str:
    """Returns 1234567 as "1.23 M"."""
    if isinstance(value, Missing):
        return value.reason
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return _three_digits(value / size) + unit
    return f"{value:.0f}"


def tick(value: float) -> str:
    """Returns 12500000 as "12.5 M": for the round numbers of an axis."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def percent_tick(value: float) -> str:
    """Returns 0.85 as "85": for an axis whose label has the unit."""
    return f"{100 * value:.4g}"


def size(value: float | Missing) -> str:
    """Returns 45678 bytes as "45.7 kB" (1 kB is 1000 bytes)."""
    if isinstance(value, Missing):
        return value.reason
    for unit_size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= unit_size:
            return f"{_three_digits(value / unit_size)} {unit}"
    return f"{value:.0f} B"


def size_tick(value: float) -> str:
    """Returns 50000 bytes as "50 kB": for the round numbers of an axis."""
    for unit_size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= unit_size:
            return f"{value / unit_size:g} {unit}"
    return f"{value:g} B"


def p50(value: Latency | Missing, *, told: bool = True) -> str:
    """Returns the median, "0.412 ms", with its verdict where that is not "OK", unless it is not to be ``told``."""
    return _latency(value, lambda latency: latency.p50_ms, told)


def p90(value: Latency | Missing, *, told: bool = True) -> str:
    """Returns the 90th percentile, "0.467 ms", with its verdict as `p50` has it."""
    return _latency(value, lambda latency: latency.p90_ms, told)


def timed(value: Latency) -> str:
    """Returns how many inferences a latency is of, "34,043"."""
    return "not recorded" if value.count is None else f"{value.count:,}"


def start(value: Latency) -> str:
    """Returns what a file takes before its steady state: "1.21 + 0.845 ms", loading and the first inference."""
    if value.init_ms is None or value.first_inference_ms is None:
        return "not recorded"
    return f"{_three_digits(value.init_ms)} + {milliseconds(value.first_inference_ms)}"


def memory(value: Latency) -> str:
    """Returns how much memory a file takes, "4.2 MiB" (1 MiB is 2**20 bytes), where the device told."""
    return "not told" if value.peak_memory_mb is None else f"{value.peak_memory_mb:.1f} MiB"


def milliseconds(value: float) -> str:
    """Returns 0.4123 as "0.412 ms"."""
    return f"{_three_digits(value)} ms"


def objective(axis: Axis, value: float | None) -> str:
    """Returns the value of a structure along ``axis``: "91.2 %", "1.23 M", "45.7 kB", "0.412 ms"."""
    if value is None:
        return "not measured"
    if not axis.minimize:
        return percent(value)
    return {"bytes": size, "ms": milliseconds}.get(axis.unit, count)(value)


def text(value: str | Missing) -> str:
    """Returns the text, or the reason why there is none."""
    return value.reason if isinstance(value, Missing) else value


def _latency(value: Latency | Missing, part: Callable[[Latency], float], told: bool) -> str:
    if isinstance(value, Missing):
        return value.reason
    note = "" if value.verdict == "OK" or not told else f" ({value.verdict})"
    return f"{milliseconds(part(value))}{note}"


def _three_digits(value: float) -> str:
    for limit, digits in ((9.995, 2), (99.95, 1)):
        if abs(value) < limit:
            # Below 1, zeros after the point are no digits.
            return f"{value:.3f}" if abs(value) < 0.9995 else f"{value:.{digits}f}"
    return f"{value:.0f}"
