"""Where the marks of the Pareto plot go: the geometry, apart from how it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tfmeta.report import wording
from tfmeta.report.data import STANDINGS, Missing, ReportData, Row, TrialPoint
from tfmeta.report.frame import Frame, Side, framed

# A row that costs more than this many times the dearest trial would squeeze the trials to one side.
_FAR = 1.25
_LABEL_GAP = 15.0
_CHARACTER = 7.0


@dataclass(frozen=True)
class Mark:
    """One point; ``kind`` is the name of a row or a scheme, ``title`` the text on hover."""

    x: float
    y: float
    kind: str
    best: bool
    title: str


@dataclass(frozen=True)
class Dots:
    """Points of one searcher and standing.

    ``path`` is an SVG path with a stroke of no length at each, which round or square ends fill.
    With ten thousand points that is a tenth of as many elements.
    """

    kind: str
    standing: str
    path: str


@dataclass(frozen=True)
class Label:
    """Text at a mark; ``anchor`` is "start" or "end"."""

    x: float
    y: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Chart:
    """The plot of all structures; ``left_out`` says why a row is not in it."""

    frame: Frame
    trials: tuple[Dots, ...]
    rows: tuple[Mark, ...]
    labels: tuple[Label, ...]
    front: tuple[tuple[float, float], ...]
    left_out: tuple[str, ...]


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
    """Returns the trials within the budget that no other dominates in MACs and accuracy, by MACs."""
    front: list[TrialPoint] = []
    within = (trial for trial in trials if trial.standing == "within")
    for trial in sorted(within, key=lambda trial: (trial.macs, -trial.accuracy)):  # of equal ones the first
        if not front or trial.accuracy > front[-1].accuracy:
            front.append(trial)
    return front


def pareto_chart(data: ReportData, width: int, height: int) -> Chart | None:
    """Returns the Pareto plot in ``width`` x ``height`` pixels, or None without a point."""
    rows, left_out = plotted_rows(data)
    costs = [trial.macs for trial in data.trials] + [row.macs for row in rows]
    scores = [trial.accuracy for trial in data.trials] + [_accuracy(row) for row in rows]
    if not costs:
        return None
    frame = framed(
        Side(costs, wording.tick, "MACs"), Side(scores, wording.percent_tick, f"{data.metric}, %"), width, height
    )
    marks = tuple(
        Mark(frame.x(row.macs), frame.y(_accuracy(row)), row.name, row.name == data.winner, _row_title(row))
        for row in rows
    )
    front = [(frame.x(trial.macs), frame.y(trial.accuracy)) for trial in front_points(data.trials)]
    return Chart(frame, _dots(data.trials, frame), marks, _labels(marks, frame), tuple(_steps(front)), left_out)


def _dots(trials: Sequence[TrialPoint], frame: Frame) -> tuple[Dots, ...]:
    strokes: dict[tuple[str, str], dict[str, None]] = {}
    for trial in trials:
        stroke = f"M{frame.x(trial.macs):g} {frame.y(trial.accuracy):g}h0"
        strokes.setdefault((trial.searcher, trial.standing), {})[stroke] = None  # each place once
    # What is within the budget lies above what is not, and the first searcher above the others.
    dots = [Dots(searcher, standing, "".join(path)) for (searcher, standing), path in strokes.items()]
    searchers = list(dict.fromkeys(trial.searcher for trial in trials))
    return tuple(sorted(dots, key=lambda one: (STANDINGS.index(one.standing), -searchers.index(one.kind))))


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    # Between two trials of the front nothing better than the cheaper one is known: a staircase.
    path: list[tuple[float, float]] = []
    for x, y in points:
        if path:
            path.append((x, path[-1][1]))
        path.append((x, y))
    return path


def _labels(marks: Sequence[Mark], frame: Frame) -> tuple[Label, ...]:
    labels: list[Label] = []
    for mark in sorted(marks, key=lambda mark: mark.y):
        fits = mark.x + 12 + _CHARACTER * len(mark.kind) < frame.right
        x = mark.x + 11 if fits else max(mark.x - 11, frame.left)
        y = max(mark.y + 4, frame.top + 10)
        for other in labels:  # sorted from the top, so moving down is enough
            if abs(other.x - x) < 80 and y - other.y < _LABEL_GAP:
                y = other.y + _LABEL_GAP
        labels.append(Label(round(x, 1), round(y, 1), mark.kind, "start" if fits else "end"))
    return tuple(labels)


def _accuracy(row: Row) -> float:
    return math.nan if isinstance(row.search_accuracy, Missing) else row.search_accuracy


def _row_title(row: Row) -> str:
    return f"{row.name}: {wording.count(row.macs)} MACs, {wording.percent(row.search_accuracy)}"
