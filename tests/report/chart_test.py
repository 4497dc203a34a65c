"""Where the marks of the plot go."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from tfmeta.report.chart import front_points, nice_ticks, pareto_chart
from tfmeta.report.data import ReportData, Row, TrialPoint


@pytest.mark.parametrize("size", [(880, 440), (370, 380)])
def test_everything_lies_inside(size, data):
    chart = pareto_chart(data, *size)
    marks = [*chart.trials, *chart.rows]
    assert all(chart.left <= mark.x <= chart.right for mark in marks)
    assert all(chart.top <= mark.y <= chart.bottom for mark in marks)
    assert all(chart.left <= tick.position <= chart.right for tick in chart.x_ticks)
    for label in chart.labels:
        end = label.x + (7 if label.anchor == "start" else -7) * len(label.text)
        assert min(label.x, end) >= 0 and max(label.x, end) <= size[0]


def test_dearer_is_right_and_better_is_up(data):
    cheap, _, good, _ = pareto_chart(data, 880, 440).trials
    assert cheap.x < good.x and cheap.y > good.y


def test_front_holds_what_no_feasible_trial_beats(data):
    # The second trial is dearer and worse than the first; the fourth is outside the budget.
    assert front_points(data.trials) == [data.trials[0], data.trials[2]]


def test_front_is_a_staircase(data):
    (x0, y0), (x1, y1), (x2, y2) = pareto_chart(data, 880, 440).front
    assert y0 == y1 and x1 == x2 and x0 < x1 and y2 < y1


def test_equal_trials_are_one_point_of_the_front():
    trial = TrialPoint(10, 0.5, "genetic")
    assert front_points([trial, trial]) == [trial]
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
    data = ReportData("net", "digits", "none", (), trials=(TrialPoint(5.0, 0.0, "random"),))
    chart = pareto_chart(data, 370, 380)
    assert chart.left < chart.trials[0].x < chart.right
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
