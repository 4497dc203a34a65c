"""The files of a report."""

from __future__ import annotations

import dataclasses

import matplotlib.image
import pytest

from tests.report import making
from tfmeta.report.data import FileRow, GroupWidth, Latency, LatencyPoint, Missing, OperatorShare, ReportData
from tfmeta.report.html import to_html
from tfmeta.report.markdown import to_markdown
from tfmeta.report.plots import (
    write_channels_png,
    write_files_png,
    write_latency_png,
    write_operators_png,
    write_pareto_png,
    write_staircase_png,
)
from tfmeta.report.tables import best_files, front_files
from tfmeta.report.write import write_report


def test_all_files_are_written(data, tmp_path):
    paths = write_report(data, tmp_path)
    assert [path.name for path in paths] == [
        "report.html",
        "report.md",
        "pareto.png",
        "channels.png",
        "latency.png",
        "operators.png",
        "staircase.png",
    ]
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no temporary file is left
    assert paths[0].read_text("utf-8") == to_html(data)
    assert paths[1].read_text("utf-8") == to_markdown(data)


def test_report_without_trials_has_no_plots(tmp_path):
    paths = write_report(ReportData("net", "digits", "none", rows=()), tmp_path)
    assert [path.name for path in paths] == ["report.html", "report.md"]


PREDICTED = {
    "predictions": (LatencyPoint(1.0, 0.05, 1.1, "held out"), LatencyPoint(2.0, 0.1, 1.9, "search")),
    "operators": (OperatorShare("CONV_2D 1x1", 34, 0.7, 0.6), OperatorShare("ADD", 1, 0.3, 0.4)),
}


def test_latencies_that_were_predicted_have_plots(data, tmp_path):
    paths = write_report(dataclasses.replace(data, **PREDICTED), tmp_path)
    assert [path.name for path in paths][-3:-1] == ["latency.png", "operators.png"]


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_a_panel_for_every_layer_of_a_sweep(count, tmp_path):
    layers = [(f"layer$_{place}$ int8", 8) for place in range(count)]
    write_staircase_png(making.staircase(*layers), tmp_path / "plot.png")
    pixels = matplotlib.image.imread(tmp_path / "plot.png")
    assert pixels[..., :3].min() < 0.5 < pixels[..., :3].max()
    height, width, _ = pixels.shape
    assert (height - 57) // 417 == (1 if count <= 3 else 2) and width // 576 == min(count, 3)


@pytest.mark.parametrize("write", [write_pareto_png, write_channels_png, write_latency_png, write_operators_png])
def test_png_has_something_drawn_on_it(write, data, tmp_path):
    write(dataclasses.replace(data, **PREDICTED), tmp_path / "plot.png")
    pixels = matplotlib.image.imread(tmp_path / "plot.png")
    assert pixels.shape[0] > 100 and pixels.shape[1] > 500
    assert pixels[..., :3].min() < 0.5 < pixels[..., :3].max()


def test_plots_grow_with_the_groups(data, tmp_path):
    heights = []
    for count in (2, 60):
        groups = tuple(GroupWidth(f"group $_{i}$", 64, 8) for i in range(count))
        write_channels_png(dataclasses.replace(data, groups=groups), tmp_path / "plot.png")
        heights.append(matplotlib.image.imread(tmp_path / "plot.png").shape[0])
    assert heights[1] > 3 * heights[0]


# Accuracy, p50, size: the second is beaten by the first in all three, the third is smaller, the fourth more accurate.
FRONT = (
    FileRow("front00", "int8", 10_000, 0.80, 0.99, 1.0, Latency(0.10, 0.12), "1.14.0"),
    FileRow("front00", "fp32", 40_000, 0.79, 1.0, 1.0, Latency(0.20, 0.21), "1.5.0"),
    FileRow("front01", "dynamic_int8", 9_000, 0.70, 0.99, 1.0, Latency(0.30, 0.31), "2.3.0"),
    FileRow("front01", "fp32", 50_000, 0.90, 1.0, 1.0, Latency(0.40, 0.41), "1.5.0"),
    FileRow("front02", "int8", 5_000, Missing("not measured"), 1.0, 1.0, Latency(0.05, 0.05), "1.14.0"),
)


def test_files_that_none_other_beats():
    assert best_files(FRONT) == (FRONT[0], FRONT[2], FRONT[3])
    assert best_files(()) == ()


def test_the_front_as_files(data, tmp_path):
    data = dataclasses.replace(data, front=FRONT)
    assert [line.winner for line in front_files(data).lines] == [True, False, True, True, False]
    paths = write_report(data, tmp_path)
    assert "files.png" in [path.name for path in paths]
    assert "Files of the front" in paths[0].read_text("utf-8")
    assert "## Files of the front" in paths[1].read_text("utf-8")
    write_files_png(data, tmp_path / "plot.png")
    pixels = matplotlib.image.imread(tmp_path / "plot.png")
    assert pixels[..., :3].min() < 0.5 < pixels[..., :3].max()
