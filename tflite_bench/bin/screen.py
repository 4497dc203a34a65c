"""What the verbs show: a progress bar on standard error, aligned tables on standard output."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from tflite_bench.types import Measurement, Verdict

_KB = 1024
_SIGNIFICANT = 4


def print_json(data: dict[str, Any]) -> None:
    """Prints ``data`` as JSON on standard output."""
    print(json.dumps(data, indent=2, allow_nan=False))


def print_measurements(labels: Sequence[str], measured: Sequence[Measurement]) -> None:
    """Prints device, table and, for each measurement that is not OK, the reason.

    Args:
        labels: a name for each row.
        measured: at least one, all of one device and one set of options.
    """
    device, options = measured[0].device, measured[0].options
    print(
        f"{device.kind}: {device.name}, {device.arch}, {device.cores} cores, {device.os_version}, "
        f"{device.runtime} {device.runtime_version}; threads: {options.threads}\n"
    )
    columns = [
        ("model", list(labels)),
        ("size KB", [f"{one.model_size_bytes / _KB:.1f}" for one in measured]),
        ("median ms", _decimals([one.median_ms for one in measured])),
        ("±", [f"{_half_width(one):.1%}" for one in measured]),
        ("p90 ms", _decimals([one.p90_ms for one in measured])),
        ("min ms", _decimals([one.min_ms for one in measured])),
        ("runs", [str(one.num_runs) for one in measured]),
        ("init ms", _decimals([one.init_ms for one in measured])),
        ("first ms", _decimals([one.first_inference_ms for one in measured])),
        ("memory MB", [_memory(one.peak_memory_mb) for one in measured]),
        ("verdict", [one.verdict.value for one in measured]),
    ]
    print(_table(columns))
    doubts = [
        f"{label}: {one.reason}" for label, one in zip(labels, measured, strict=True) if one.verdict is not Verdict.OK
    ]
    if doubts:
        print("\n" + "\n".join(doubts))


def labels(paths: Sequence[str]) -> list[str]:
    """Returns the file names of ``paths``, or the paths where two names are the same."""
    names = [path.replace("\\", "/").rsplit("/", 1)[-1] for path in paths]
    return names if len(set(names)) == len(set(paths)) else list(paths)


@contextlib.contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Context manager whose value, called after each of ``total`` steps, moves a bar with ETA.

    Where standard error is not a terminal nothing is drawn.
    """
    # tqdm's monitor thread would wake up in the middle of a measurement.
    tqdm.monitor_interval = 0
    hidden = not sys.stderr.isatty()
    with tqdm(desc=description, total=total, leave=False, disable=hidden) as bar:
        yield lambda: _step(bar)


def _step(bar: Any) -> None:
    bar.update()


def _table(columns: Sequence[tuple[str, Sequence[str]]]) -> str:
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


def _decimals(values: Sequence[float]) -> list[str]:
    """Returns ``values`` with as many decimals as give the smallest 4 significant digits."""
    least = min((value for value in values if value > 0), default=1.0)
    places = min(max(_SIGNIFICANT - 1 - math.floor(math.log10(least)), 0), 6)
    return [f"{value:.{places}f}" for value in values]


def _half_width(one: Measurement) -> float:
    return (one.median_high_ms - one.median_low_ms) / 2 / one.median_ms


def _memory(peak_mb: float | None) -> str:
    return "-" if peak_mb is None else f"{peak_mb:.1f}"
