"""What the verbs show: a progress bar on standard error, aligned tables on standard output."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from tflite_bench.bench_options import BenchOptions
from tflite_bench.bin import curves
from tflite_bench.measure.reference import ReferenceRun
from tflite_bench.measure.sustained import Sustained
from tflite_bench.messages import visible
from tflite_bench.types import DeviceInfo, Measurement, Verdict

_KB = 1024
_SIGNIFICANT = 4

Columns = list[tuple[str, Sequence[str]]]


def print_json(data: dict[str, Any]) -> None:
    """Prints ``data`` as JSON on standard output."""
    print(json.dumps(data, indent=2, allow_nan=False))


def print_results(labels: Sequence[str], measured: Sequence[Measurement], as_json: bool) -> None:
    """Prints what was measured, also nothing: as JSON, or as a table."""
    if as_json:
        print_json({"measurements": [one.to_json() for one in measured]})
    elif measured:
        print_measurements(labels, measured)


def print_reference_run(labels: Sequence[str], run: ReferenceRun, as_json: bool) -> None:
    """Prints the models with the drift of the reference beside them, and the reference itself; also nothing."""
    measured = [one.measurement for one in run.checked]
    drifts = [one.drift for one in run.checked]
    if as_json:
        models = [{**one.to_json(), "drift": drift} for one, drift in zip(measured, drifts, strict=True)]
        print_json({"measurements": models, "references": [one.to_json() for one in run.references]})
        return
    if not measured:
        return
    print_measurements(labels, measured, drifts)
    medians = zip(decimals([one.median_ms for one in run.references]), run.references, strict=True)
    told = ", ".join(f"{median} {one.verdict.value}" for median, one in medians)
    runs = sum(one.num_runs for one in run.references)
    print(f"\nreference {visible(run.references[0].model_name)}, median ms in turn ({runs} runs): {told}")


def print_sustained(label: str, run: Sustained) -> None:
    """Prints latency over time as a chart, and when and how far it slowed down."""
    print(f"{where(run.device, run.options)}\n\n{label}: {run.num_runs} runs\n{curves.text_curve(run)}")
    print(f"{run.sentence}\n")


def print_measurements(
    labels: Sequence[str], measured: Sequence[Measurement], drifts: Sequence[float] | None = None
) -> None:
    """Prints device, table and, for each measurement that is not OK, the reason.

    Args:
        labels: a name for each row.
        measured: at least one, all of one kind of device and one set of options.
        drifts: for each row how much slower the reference was beside it than at the start, as a ratio.
    """
    print(f"{where(measured[0].device, measured[0].options)}\n")
    # Two tables, as one would be wider than a terminal.
    times: Columns = [
        ("model", list(labels)),
        ("median ms", decimals([one.median_ms for one in measured])),
        ("±", [f"{_half_width(one):.1%}" for one in measured]),
        (_p90_head(measured), decimals([one.p90_ms for one in measured])),
        ("min ms", decimals([one.min_ms for one in measured])),
        ("max ms", decimals([one.max_ms for one in measured])),
        ("std ms", decimals([one.std_ms for one in measured], [one.median_ms for one in measured])),
        ("runs", [str(one.num_runs) for one in measured]),
        *([("drift", [f"{drift - 1:+.1%}" for drift in drifts])] if drifts is not None else []),
        ("verdict", [_verdict(one) for one in measured]),
    ]
    around: Columns = [
        ("model", list(labels)),
        ("size KB", [f"{one.model_size_bytes / _KB:.1f}" for one in measured]),
        ("init ms", decimals([one.init_ms for one in measured])),
        ("first ms", decimals([one.first_inference_ms for one in measured])),
        ("memory MB", [_memory(one.peak_memory_mb) for one in measured]),
        ("starts", [str(one.num_startups) for one in measured]),
        *_told_by_some(measured),
    ]
    print(table(times))
    doubts = [
        f"{label}: {visible(one.reason)}"
        for label, one in zip(labels, measured, strict=True)
        if one.verdict is not Verdict.OK
    ]
    if doubts:
        print("\n" + "\n".join(doubts))
    print(f"\n{table(around)}")


def table(columns: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Returns headings and cells in lines: the first and the last column to the left, numbers between to the right."""
    widths = [max(map(len, [head, *cells])) for head, cells in columns]
    rows = [[head for head, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    lines = []
    for row in rows:
        first, *middle, last = (
            cell.ljust(width) if at in (0, len(widths) - 1) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *middle, last]).rstrip())
    return "\n".join(lines)


def labels(paths: Sequence[str]) -> list[str]:
    """Returns the file names of ``paths``, or the paths where two names are the same; safe to print."""
    names = [path.replace("\\", "/").rsplit("/", 1)[-1] for path in paths]
    return [visible(name) for name in (names if len(set(names)) == len(set(paths)) else paths)]


@contextlib.contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Context manager whose value, called as ``show(place, done)``, moves a bar with ETA.

    The bar stands at the sum of what every place has done, of ``total`` steps; what is done anew moves it back. It may
    be called by several threads. Where standard error is not a terminal nothing is drawn.
    """
    # tqdm's monitor thread would wake up in the middle of a measurement.
    tqdm.monitor_interval = 0
    hidden = not sys.stderr.isatty()
    known: dict[int, int] = {}
    lock = threading.Lock()
    with tqdm(desc=description, total=total, leave=False, disable=hidden) as bar:

        def show(place: int, done: int) -> None:
            with lock:
                known[place] = done
                bar.update(sum(known.values()) - bar.n)

        yield show


def _p90_head(measured: Sequence[Measurement]) -> str:
    return "p90 ~ ms" if any(one.p90_estimated for one in measured) else "p90 ms"


def where(device: DeviceInfo, options: BenchOptions) -> str:
    """Returns a line that tells on what, and how, something was measured."""
    parts = [f"threads: {options.threads}"]
    if options.pin != "none":
        parts.append(f"cores: {options.pin}")
    if options.delegate != "xnnpack":
        parts.append(f"delegate: {options.delegate}")
    if device.mode:
        parts.append(device.mode)
    serial = f" ({device.serial})" if device.serial else ""
    return visible(
        f"{device.kind}: {device.name}{serial}, {device.arch}, {device.cores} cores, {device.os_version}, "
        f"{device.runtime} {device.runtime_version}; {', '.join(parts)}"
    )


def _told_by_some(measured: Sequence[Measurement]) -> Columns:
    """What not every device tells, where any row has it."""
    columns: Columns = [
        ("delegated", [_delegated(one) for one in measured]),
        ("°C", [_change(one, lambda now: _degrees(now.temperature_c)) for one in measured]),
        ("thermal", [_change(one, lambda now: now.thermal_word) for one in measured]),
        ("battery", [_change(one, lambda now: _percent(now.battery_percent)) for one in measured]),
    ]
    if len({one.device.serial for one in measured}) > 1:
        columns.append(("device", [visible(one.device.serial) for one in measured]))
    return [(head, [cell or "-" for cell in cells]) for head, cells in columns if any(cells)]


def _delegated(one: Measurement) -> str:
    told = one.delegation
    if told is None:
        return ""
    if told.nodes_delegated is not None and told.nodes_total is not None:
        return f"{told.nodes_delegated}/{told.nodes_total}"
    return "all" if told.complete else "a part"


def _change(one: Measurement, part: Callable[[Any], str]) -> str:
    """A part of the device's state before and after, once where it did not change."""
    states = [part(now) for now in (one.before, one.after) if now is not None]
    return " to ".join(dict.fromkeys(state for state in states if state))


def _degrees(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _percent(value: int | None) -> str:
    return "" if value is None else f"{value}%"


def _verdict(one: Measurement) -> str:
    if not one.attempts:
        return one.verdict.value
    return f"{one.verdict.value} (attempt {len(one.attempts) + 1})"


def decimals(values: Sequence[float], like: Sequence[float] | None = None) -> list[str]:
    """Returns ``values`` with as many decimals as give the smallest of them, or of ``like``, 4 significant digits."""
    least = min((value for value in like or values if value > 0), default=1.0)
    places = min(max(_SIGNIFICANT - 1 - math.floor(math.log10(least)), 0), 6)
    return [f"{value:.{places}f}" for value in values]


def _half_width(one: Measurement) -> float:
    return (one.median_high_ms - one.median_low_ms) / 2 / one.median_ms


def _memory(peak_mb: float | None) -> str:
    return "-" if peak_mb is None else f"{peak_mb:.1f}"
