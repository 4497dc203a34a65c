"""How a search went on beside its random control: the best so far, and where most of each generation was."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfmeta.report import wording
from tfmeta.report.data import ReportData, TrialPoint
from tfmeta.report.frame import Frame, Side, framed


@dataclass(frozen=True)
class Progress:
    """What one searcher reached.

    Attributes:
        searcher: who.
        best: (structures evaluated, best accuracy within the budget so far): the corners of a staircase.
        middle: (structures evaluated, quartile, median, quartile of the accuracies) at the end of each generation.
    """

    searcher: str
    best: tuple[tuple[int, float], ...]
    middle: tuple[tuple[int, float, float, float], ...]


@dataclass(frozen=True)
class Curve:
    """One searcher in pixels: a staircase, the medians, and the band between the quartiles."""

    searcher: str
    best: tuple[tuple[float, float], ...]
    median: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ProgressChart:
    """The plot of all searchers."""

    frame: Frame
    curves: tuple[Curve, ...]


def progress(data: ReportData) -> tuple[Progress, ...]:
    """Returns what every searcher reached, in the order of the trials."""
    names = dict.fromkeys(trial.searcher for trial in data.trials)
    return tuple(_progress(name, [trial for trial in data.trials if trial.searcher == name]) for name in names)


def progress_chart(data: ReportData, width: int, height: int) -> ProgressChart | None:
    """Returns the plot in ``width`` x ``height`` pixels, or None where nothing was evaluated."""
    found = progress(data)
    if not found:
        return None
    counts = [0, *(count for one in found for count, *_ in one.middle)]
    scores = [score for one in found for _, *middle in one.middle for score in middle]
    scores += [score for one in found for _, score in one.best]
    frame = framed(
        Side(counts, wording.tick, "structures evaluated"),
        Side(scores, wording.percent_tick, f"{data.metric}, %"),
        width,
        height,
    )
    return ProgressChart(frame, tuple(_curve(one, frame) for one in found))


def _progress(searcher: str, trials: Sequence[TrialPoint]) -> Progress:
    best: list[tuple[int, float]] = []
    for count, trial in enumerate(trials, 1):
        if trial.standing == "within" and (not best or trial.accuracy > best[-1][1]):
            best += [(count, best[-1][1])] if best else []
            best.append((count, trial.accuracy))
    if best and best[-1][0] < len(trials):
        best.append((len(trials), best[-1][1]))
    middle: list[tuple[int, float, float, float]] = []
    count = 0
    for _, group in itertools.groupby(trials, key=lambda trial: trial.generation):
        accuracies = [trial.accuracy for trial in group]
        count += len(accuracies)
        low, median, high = (float(value) for value in np.quantile(accuracies, (0.25, 0.5, 0.75)))
        middle.append((count, low, median, high))
    return Progress(searcher, tuple(best), tuple(middle))


def _curve(found: Progress, frame: Frame) -> Curve:
    def line(points: Sequence[tuple[int, float]]) -> tuple[tuple[float, float], ...]:
        return tuple((frame.x(count), frame.y(score)) for count, score in points)

    low = line([(count, low) for count, low, _, _ in found.middle])
    high = line([(count, high) for count, _, _, high in found.middle])
    median = line([(count, median) for count, _, median, _ in found.middle])
    return Curve(found.searcher, line(found.best), median, low + high[::-1])
