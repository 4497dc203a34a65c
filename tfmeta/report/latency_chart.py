"""Latencies that were predicted before they were measured: where their marks go."""

from __future__ import annotations

from dataclasses import dataclass

from tfmeta.report import wording
from tfmeta.report.chart import Mark
from tfmeta.report.data import LatencyPoint, ReportData
from tfmeta.report.frame import Frame, Side, framed

_DEVIATIONS = 2


@dataclass(frozen=True)
class LatencyChart:
    """The plot: on the line from ``equal[0]`` to ``equal[1]`` the prediction was right.

    ``bars`` are (left, right, y): how far the predictor expected to be off.
    """

    frame: Frame
    marks: tuple[Mark, ...]
    bars: tuple[tuple[float, float, float], ...]
    equal: tuple[tuple[float, float], tuple[float, float]]


def latency_chart(data: ReportData, width: int, height: int) -> LatencyChart | None:
    """Returns measured against predicted latencies in ``width`` x ``height`` pixels, or None without a prediction."""
    points = data.predictions
    if not points:
        return None
    off = [_DEVIATIONS * point.deviation_ms for point in points]
    across = [point.predicted_ms + sign * more for point, more in zip(points, off, strict=True) for sign in (-1, 1)]
    ends = (min(p.measured_ms for p in points), max(p.measured_ms for p in points))
    frame = framed(
        Side([*across, *ends], lambda value: f"{value:g}", f"predicted, ms (bars: {_DEVIATIONS} standard deviations)"),
        Side(ends, lambda value: f"{value:g}", "measured, ms"),
        width,
        height,
    )
    return LatencyChart(
        frame,
        marks=tuple(Mark(frame.x(p.predicted_ms), frame.y(p.measured_ms), p.origin, True, _title(p)) for p in points),
        bars=tuple(
            (frame.x(p.predicted_ms - more), frame.x(p.predicted_ms + more), frame.y(p.measured_ms))
            for p, more in zip(points, off, strict=True)
        ),
        equal=((frame.x(ends[0]), frame.y(ends[0])), (frame.x(ends[1]), frame.y(ends[1]))),
    )


def _title(point: LatencyPoint) -> str:
    expected = f"{wording.milliseconds(point.predicted_ms)} ± {wording.milliseconds(point.deviation_ms)}"
    return f"{point.origin}: predicted {expected}, measured {wording.milliseconds(point.measured_ms)}"
