"""What is said about the search, also where it lost."""

from __future__ import annotations

import dataclasses

import pytest

from tfmeta.report.data import Missing, ReportData, Row
from tfmeta.report.findings import findings


def _data(*rows: Row, images: int | None = 10_000) -> ReportData:
    return ReportData("net", "digits", "none", rows, test_images=images, search_images=images)


def _row(name: str, test_accuracy: float, macs: int = 1000) -> Row:
    return Row(name, macs, 100, test_accuracy=test_accuracy)


@pytest.mark.parametrize(
    ("control", "images", "good", "sentence"),
    [
        (0.80, 10_000, True, "Searched (90.0 %) beats uniform (80.0 %) on the test split"),
        # Chance on 100 images: 1.96 * sqrt((0.9 * 0.1 + 0.89 * 0.11) / 100) = 8.5 points.
        (0.89, 100, False, "is not clearly better than uniform"),
        (0.89, 100, False, "by 1.0 points, within chance (±8.5 points on 100 images)"),
        (0.89, None, True, "beats uniform (89.0 %) on the test split: by 1.0 points."),
        (0.90, 10_000, False, "does not beat uniform (90.0 %) on the test split: equal, within"),
        (0.95, 10_000, False, "does not beat uniform (95.0 %) on the test split: 5.0 points below"),
    ],
)
def test_searched_against_a_control(control, images, good, sentence):
    data = _data(_row("searched", 0.9), _row("uniform", control), images=images)
    (finding,) = findings(data)
    assert finding.good is good
    assert sentence in finding.sentence


def test_costlier_control_is_told():
    (finding,) = findings(_data(_row("searched", 0.9), _row("uniform", 0.95, macs=1100)))
    assert "uniform (95.0 %, with 10 % more MACs)" in finding.sentence


def test_cheaper_full_network_is_told():
    (_, finding) = findings(_data(_row("searched", 0.9, macs=500), _row("full", 0.9)))
    assert finding.sentence == ("Searched needs 50 % of the full network's MACs for the same test accuracy.")


def test_search_split_is_used_only_without_test_accuracies(data):
    rows = [dataclasses.replace(row, test_accuracy=Missing("later")) for row in data.rows]
    against_random = findings(dataclasses.replace(data, rows=tuple(rows)))[0]
    assert "on the search split with generated weights (not retrained)" in against_random.sentence


def test_nothing_in_common():
    (finding,) = findings(_data(_row("searched", 0.9), Row("uniform", 1000, 100)))
    assert finding.good is None and "no accuracy in common" in finding.sentence


def test_no_control():
    (finding,) = findings(_data(_row("searched", 0.9)))
    assert finding.good is None and "no control" in finding.sentence


@pytest.mark.parametrize(
    ("control", "told"),
    [(0.4, "is 10.0 points above"), (0.6, "is 10.0 points below"), (0.5, "is equal to")],
)
def test_a_lead_whose_chance_is_not_known_counts_neither_way(control, told):
    data = dataclasses.replace(
        _data(_row("searched", 0.5), _row("uniform", control)), metric="mean IoU", binomial=False
    )
    (finding,) = findings(data)
    assert finding.good is None
    assert f"Searched (50.0 %) {told} uniform" in finding.sentence
    assert "how far chance moves a mean IoU is not known" in finding.sentence
