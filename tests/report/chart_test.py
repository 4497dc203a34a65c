"""Where the marks of the plot go."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest

from tests.report.making import staircase, trial
from tfmeta.report.chart import front_points, pareto_chart
from tfmeta.report.data import FileRow, Latency, Missing, ReportData, Row
from tfmeta.report.files_chart import files_charts
from tfmeta.report.frame import nice_ticks
from tfmeta.report.latency_chart import latency_chart
from tfmeta.report.progress_chart import progress, progress_chart
from tfmeta.report.staircase_chart import staircase_charts


def places(chart, kind, standing="within"):
    """Where the points of one kind are."""
    path = "".join(dots.path for dots in chart.trials if (dots.kind, dots.standing) == (kind, standing))
    return [(float(x), float(y)) for x, y in re.findall(r"M(\S+) (\S+)h0", path)]


@pytest.mark.parametrize("size", [(880, 440), (370, 380)])
def test_everything_lies_inside(size, data):
    chart = pareto_chart(data, *size)
    frame = chart.frame
    marks = [(mark.x, mark.y) for mark in chart.rows]
    for kind, standing in (("genetic", "within"), ("random", "within"), ("random", "outside")):
        marks += places(chart, kind, standing)
    assert len(marks) == len(data.trials) + 3
    assert all(frame.left <= x <= frame.right and frame.top <= y <= frame.bottom for x, y in marks)
    assert all(frame.left <= tick.position <= frame.right for tick in frame.x_ticks)
    for label in chart.labels:
        end = label.x + (7 if label.anchor == "start" else -7) * len(label.text)
        assert min(label.x, end) >= 0 and max(label.x, end) <= size[0]


def test_dearer_is_right_and_better_is_up(data):
    (x0, y0), (x1, y1) = places(pareto_chart(data, 880, 440), "genetic")
    assert x0 < x1 and y0 > y1


def test_points_at_one_place_are_drawn_once(data):
    twice = dataclasses.replace(data, trials=data.trials * 2)
    assert pareto_chart(twice, 880, 440).trials == pareto_chart(data, 880, 440).trials


def test_front_holds_what_no_feasible_trial_beats(data):
    # The second trial is dearer and worse than the first; the fourth is outside the budget.
    assert front_points(data.trials) == [data.trials[0], data.trials[2]]


def test_what_was_only_predicted_to_be_within_the_budget_is_not_on_the_front(data):
    better = trial(490_000, 0.95, "genetic", predicted=True)
    data = dataclasses.replace(data, trials=(better, *data.trials))
    chart = pareto_chart(data, 880, 440)
    assert better not in front_points(data.trials) and len(places(chart, "genetic", "predicted")) == 1
    assert [one.standing for one in chart.trials] == ["outside", "predicted", "within", "within"]  # the last on top
    assert progress(data)[0].best == ((2, 0.6), (3, 0.6), (3, 0.8))


def test_front_is_a_staircase(data):
    (x0, y0), (x1, y1), (x2, y2) = pareto_chart(data, 880, 440).front
    assert y0 == y1 and x1 == x2 and x0 < x1 and y2 < y1


def test_equal_trials_are_one_point_of_the_front():
    one = trial(10, 0.5, "genetic")
    assert front_points([one, one]) == [one]
    assert front_points([]) == []


def test_row_far_to_the_right_is_left_out_and_told(data):
    rows = (Row("full", 4_000_000, 100, search_accuracy=0.9),)
    chart = pareto_chart(dataclasses.replace(data, rows=rows), 880, 440)
    assert chart.rows == ()
    assert chart.left_out == ("full: at 4.00 M MACs, 90.0 %, outside the plot",)


def test_labels_do_not_cover_each_other(data):
    rows = tuple(Row(name, 900_000, 100, search_accuracy=0.7) for name in ("one", "two", "three"))
    labels = pareto_chart(dataclasses.replace(data, rows=rows), 880, 440).labels
    heights = sorted(label.y for label in labels)
    assert all(lower - upper >= 15 for upper, lower in itertools.pairwise(heights))


def test_one_trial_is_drawn():
    data = ReportData("net", "digits", "none", (), trials=(trial(5.0, 0.0, "random"),))
    chart = pareto_chart(data, 370, 380)
    ((x, _),) = places(chart, "random")
    assert chart.frame.left < x < chart.frame.right
    assert len(chart.front) == 1


def test_nothing_to_draw():
    assert pareto_chart(ReportData("net", "digits", "none", ()), 370, 380) is None


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0.0, 1.0, 5, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        # Four steps of 23 would do; the next of 1, 2, 5 times ten is 50.
        (7.0, 99.0, 4, [50.0]),
        (5.5e6, 11e6, 9, [6e6, 7e6, 8e6, 9e6, 10e6, 11e6]),
    ],
)
def test_nice_ticks(low, high, count, ticks):
    assert nice_ticks(low, high, count) == pytest.approx(ticks)


def test_progress_of_a_search():
    # Two generations of three and one that ended early; the second structure is outside the budget.
    accuracies = [(0.4, 0), (0.9, 0), (0.5, 0), (0.3, 1), (0.7, 1), (0.6, 1), (0.65, 2)]
    trials = tuple(trial(10, a, "search", a != 0.9, generation) for a, generation in accuracies)
    control = trial(10, 0.2, "random", feasible=False)
    found, other = progress(ReportData("net", "digits", "none", (), trials=(*trials, control)))
    assert found.best == ((1, 0.4), (3, 0.4), (3, 0.5), (5, 0.5), (5, 0.7), (7, 0.7))
    assert found.middle[0] == (3, pytest.approx(0.45), pytest.approx(0.5), pytest.approx(0.7))
    assert [count for count, *_ in found.middle] == [3, 6, 7]
    assert (other.searcher, other.best, other.middle) == ("random", (), ((1, 0.2, 0.2, 0.2),))


def test_the_progress_lies_inside(data):
    chart = progress_chart(data, 370, 320)
    points = [point for curve in chart.curves for part in (curve.best, curve.median, curve.band) for point in part]
    frame = chart.frame
    assert len(points) > 8
    assert all(frame.left <= x <= frame.right and frame.top <= y <= frame.bottom for x, y in points)
    assert progress_chart(ReportData("net", "digits", "none", ()), 370, 320) is None


def test_files_by_latency_and_by_size(data):
    front = (
        FileRow("front00", "int8", 10_000, 0.8, 0.99, 1.0, Latency(0.10, 0.12)),
        FileRow("front00", "fp32", 40_000, 0.79, 1.0, 1.0, Latency(0.20, 0.21)),
        FileRow("front01", "int8", 5_000, Missing("not measured"), 1.0, 1.0, Latency(0.05, 0.05)),
    )
    by_latency, by_size = files_charts(dataclasses.replace(data, front=front), 430, 320)
    assert [mark.best for mark in by_latency.marks] == [True, False]
    assert by_size.marks[0].x < by_size.marks[1].x
    assert by_latency.marks[0].title == "front00 int8: 80.0 %, 0.100 ms, 10.0 kB"
    assert files_charts(data, 430, 320) == ()


def test_predictions_lie_at_what_was_predicted_and_measured(data):
    chart = latency_chart(data, 500, 340)
    (low, high), frame = chart.marks, chart.frame
    assert (low.kind, high.kind) == ("held out", "search")
    assert low.x < high.x and low.y > high.y
    # The first was slower than predicted, so it lies above the line: there y is that of x.
    (x0, y0), (x1, y1) = chart.equal
    assert (x0, y0) == (frame.x(0.32), frame.y(0.32)) and (x1, y1) == (frame.x(0.45), frame.y(0.45))
    assert low.x < x0 and high.x > x1
    assert chart.bars[1] == (frame.x(0.46), frame.x(0.54), high.y)
    ends = [x for left, right, _ in chart.bars for x in (left, right)]
    assert all(frame.left <= x <= frame.right for x in ends)
    assert latency_chart(dataclasses.replace(data, predictions=()), 500, 340) is None


def test_a_layer_steps_where_its_latency_does(data):
    step = staircase(("conv float32", 16), ("depthwise int8", 4), ("dense int8", 1))
    charts = staircase_charts(dataclasses.replace(data, staircase=step), 340, 230)
    assert [chart.title for chart in charts] == [
        "conv float32: step 16",
        "depthwise int8: step 4",
        "dense int8: every channel counts",
    ]
    conv, depthwise, dense = charts
    assert [tick.text for tick in conv.frame.x_ticks] == ["32", "48", "64"]
    assert [tick.text for tick in dense.frame.x_ticks] == ["32", "40", "48", "56", "64"]
    assert conv.edges == tuple(tick.position for tick in conv.frame.x_ticks)
    assert (len(depthwise.edges), dense.edges) == (9, ())
    heights = [y for _, y, _ in conv.marks]
    # 32 channels, then two tiles of 16.
    assert len(set(heights)) == 3 and heights == sorted(heights, reverse=True)
    assert conv.marks[1][2] == "33 channels: 1.06 ms, 50 runs"
    for chart in charts:
        frame = chart.frame
        assert all(frame.left <= x <= frame.right and top < bottom for x, top, bottom in chart.bars)
        assert all(frame.top <= top and bottom <= frame.bottom for _, top, bottom in chart.bars)
        assert all(top <= y <= bottom for (_, y, _), (_, top, bottom) in zip(chart.marks, chart.bars, strict=True))
    assert staircase_charts(dataclasses.replace(data, staircase=None), 340, 230) == ()
