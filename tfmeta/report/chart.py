"""Where the marks of the Pareto plot go: the geometry, apart from how it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfmeta.report import wording
from tfmeta.report.data import Missing, ReportData, Row, TrialPoint
from tfmeta.search.pareto import pareto_front

# A row that costs more than this many times the dearest trial would squeeze the trials to one side.
_FAR = 1.25
_LABEL_GAP = 15.0
_CHARACTER = 7.0


@dataclass(frozen=True)
class Mark:
    """One point; ``kind`` is a searcher or the name of a row, ``title`` the text on hover."""

    x: float
    y: float
    kind: str
    feasible: bool
    title: str


@dataclass(frozen=True)
class Label:
    """Text at a mark; ``anchor`` is "start" or "end"."""

    x: float
    y: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Tick:
    """A line of the grid at ``position`` with its text."""

    position: float
    text: str


@dataclass(frozen=True)
class Chart:
    """The plot in pixels of ``width`` x ``height``; the inside lies between the four borders."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    trials: tuple[Mark, ...]
    rows: tuple[Mark, ...]
    labels: tuple[Label, ...]
    front: tuple[tuple[float, float], ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Scale:
    """Maps the numbers from ``low`` to ``high`` to the pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Returns the pixel of ``value``."""
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)


def plotted_rows(data: ReportData) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Returns (rows to draw, why each other row is left out).

    A row is drawn by its accuracy on the search split, as the trials are. One far to the right of
    all trials is left out.
    """
    drawn, left_out = [], []
    dearest = max((point.macs for point in data.trials), default=math.inf)
    for row in data.rows:
        accuracy = row.search_accuracy
        if isinstance(accuracy, Missing):
            left_out.append(f"{row.name}: {data.metric} on the search split {accuracy.reason}")
        elif row.macs > _FAR * dearest:
            where = f"{wording.count(row.macs)} MACs, {wording.percent(accuracy)}"
            left_out.append(f"{row.name}: at {where}, outside the plot")
        else:
            drawn.append(row)
    return tuple(drawn), tuple(left_out)


def front_points(trials: Sequence[TrialPoint]) -> list[TrialPoint]:
    """Returns the feasible trials that no other dominates in MACs and accuracy, by MACs."""
    feasible = [trial for trial in trials if trial.feasible]
    if not feasible:
        return []
    values = np.array([(trial.macs, trial.accuracy) for trial in feasible])
    kept = pareto_front(values, minimize=(True, False))
    # Of equal trials one is enough for a line.
    unique = {(trial.macs, trial.accuracy): trial for trial, keep in zip(feasible, kept, strict=True) if keep}
    return [unique[key] for key in sorted(unique)]


def pareto_chart(data: ReportData, width: int, height: int) -> Chart | None:
    """Returns the Pareto plot in ``width`` x ``height`` pixels, or None without a point."""
    rows, left_out = plotted_rows(data)
    costs = [trial.macs for trial in data.trials] + [row.macs for row in rows]
    scores = [trial.accuracy for trial in data.trials] + [_accuracy(row) for row in rows]
    if not costs:
        return None
    left, right, top, bottom = 46.0, width - 12.0, 12.0, height - 42.0
    x = Scale(*_padded(costs), left, right)
    y = Scale(*_padded(scores), bottom, top)
    trials = tuple(
        Mark(x(trial.macs), y(trial.accuracy), trial.searcher, trial.feasible, _trial_title(trial))
        for trial in data.trials
    )
    row_marks = tuple(Mark(x(row.macs), y(_accuracy(row)), row.name, True, _row_title(row)) for row in rows)
    front = [(x(trial.macs), y(trial.accuracy)) for trial in front_points(data.trials)]
    return Chart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=tuple(Tick(x(value), wording.tick(value)) for value in nice_ticks(x.low, x.high, width // 90)),
        y_ticks=tuple(Tick(y(value), f"{100 * value:.4g}") for value in nice_ticks(y.low, y.high, height // 55)),
        trials=trials,
        rows=row_marks,
        labels=_labels(row_marks, left, right, top),
        front=tuple(_steps(front)),
        left_out=left_out,
    )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns about ``count`` numbers in [low, high], 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return low - pad, high + pad


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    # Between two trials of the front nothing better than the cheaper one is known: a staircase.
    path: list[tuple[float, float]] = []
    for x, y in points:
        if path:
            path.append((x, path[-1][1]))
        path.append((x, y))
    return path


def _labels(marks: Sequence[Mark], left: float, right: float, top: float) -> tuple[Label, ...]:
    labels: list[Label] = []
    for mark in sorted(marks, key=lambda mark: mark.y):
        fits = mark.x + 12 + _CHARACTER * len(mark.kind) < right
        x = mark.x + 11 if fits else max(mark.x - 11, left)
        y = max(mark.y + 4, top + 10)
        for other in labels:  # sorted from the top, so moving down is enough
            if abs(other.x - x) < 80 and y - other.y < _LABEL_GAP:
                y = other.y + _LABEL_GAP
        labels.append(Label(round(x, 1), round(y, 1), mark.kind, "start" if fits else "end"))
    return tuple(labels)


def _accuracy(row: Row) -> float:
    return math.nan if isinstance(row.search_accuracy, Missing) else row.search_accuracy


def _trial_title(trial: TrialPoint) -> str:
    state = "" if trial.feasible else ", outside the budget"
    numbers = f"{wording.count(trial.macs)} MACs, {wording.percent(trial.accuracy)}"
    return f"{trial.searcher}: {numbers}{state}"


def _row_title(row: Row) -> str:
    return f"{row.name}: {wording.count(row.macs)} MACs, {wording.percent(row.search_accuracy)}"
