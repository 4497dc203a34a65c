"""The files of the front by what they cost: where their marks go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfmeta.report import tables, wording
from tfmeta.report.chart import Mark
from tfmeta.report.data import FileRow, Missing, ReportData
from tfmeta.report.frame import Frame, Side, framed


@dataclass(frozen=True)
class FilesChart:
    """One plot: ``best`` marks are files that none other beats."""

    frame: Frame
    marks: tuple[Mark, ...]


_LOOKS = 5  # colours, and as many shapes


def looks(rows: Sequence[FileRow]) -> dict[str, tuple[int, int]]:
    """Returns scheme → its colour and its shape, each 0 to 4. No two of up to 25 schemes have both in common."""
    names = enumerate(sorted({row.scheme for row in rows}))
    return {name: (place % _LOOKS, (place + place // _LOOKS) % _LOOKS) for place, name in names}


def files_charts(data: ReportData, width: int, height: int) -> tuple[FilesChart, ...]:
    """Returns accuracy against p50 latency and against size, or nothing where no file has all three."""
    best = tables.best_files(data.front)
    rows = [r for r in data.front if not isinstance(r.test_accuracy, Missing) and not isinstance(r.latency, Missing)]
    if not rows:
        return ()
    costs: tuple[tuple[Callable[[FileRow], float], Callable[[float], str], str], ...] = (
        (lambda row: row.latency.p50_ms, lambda value: f"{value:g}", f"latency p50, ms ({data.front_latency_label})"),
        (lambda row: row.size_bytes, wording.size_tick, "size of the file"),
    )
    charts = []
    for cost, tick, label in costs:
        frame = framed(
            Side([cost(row) for row in rows], tick, label),
            Side([row.test_accuracy for row in rows], wording.percent_tick, f"{data.metric}, %"),
            width,
            height,
        )
        marks = (Mark(frame.x(cost(r)), frame.y(r.test_accuracy), r.scheme, r in best, _title(r)) for r in rows)
        charts.append(FilesChart(frame, tuple(marks)))
    return tuple(charts)


def _title(row: FileRow) -> str:
    numbers = (wording.percent(row.test_accuracy), wording.p50(row.latency), wording.size(row.size_bytes))
    return f"{row.model} {row.scheme}: {', '.join(numbers)}"
