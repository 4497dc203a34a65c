"""Structures as the search of a small report evaluated them."""

from __future__ import annotations

import math

from tflite_bench.staircase.steps import Point, counts
from tfmeta.latency.staircase import DeviceStep, LayerSteps
from tfmeta.report.data import Axis, Row, TrialPoint

AXES = (
    Axis("accuracy", "accuracy, search split", "top-1", False),
    Axis("macs", "MACs", "MACs", True),
    Axis("latency", "latency", "ms", True),
)


def trial(
    macs, accuracy, searcher, feasible=True, generation=0, widths=(32, 64), latency=None, predicted=False
) -> TrialPoint:
    """One evaluated structure; the search measured the latency of some only."""
    values = {"macs": float(macs), "accuracy": accuracy, **({} if latency is None else {"latency": latency})}
    return TrialPoint(values, searcher, feasible, generation, widths, predicted)


def row(name, macs, params, search_accuracy, *rest, widths) -> Row:
    """A network of the table as the search evaluated it."""
    values = {"macs": float(macs), "accuracy": search_accuracy}
    return Row(name, macs, params, search_accuracy, *rest, widths=widths, values=values)


def staircase(*layers: tuple[str, int], where: str = "Paper, 1 thread") -> DeviceStep:
    """The sweep of layers (name, step), which take 0.1 ms and 0.02 ms a channel in whole tiles."""
    swept = []
    for name, step in layers:
        medians = {count: 0.1 + 0.02 * math.ceil(count / step) * step for count in counts()}
        points = tuple(Point(count, ms, 0.99 * ms, 1.02 * ms, 50) for count, ms in medians.items())
        swept.append(LayerSteps(name, step, points))
    return DeviceStep(max(step for _, step in layers), "fake-1", where, tuple(swept))
