"""The files of a report."""

from __future__ import annotations

import dataclasses

import matplotlib.image
import pytest

from tfmeta.report.data import GroupWidth, ReportData
from tfmeta.report.html import to_html
from tfmeta.report.markdown import to_markdown
from tfmeta.report.plots import write_channels_png, write_pareto_png
from tfmeta.report.write import write_report


def test_all_files_are_written(data, tmp_path):
    paths = write_report(data, tmp_path)
    assert [path.name for path in paths] == [
        "report.html",
        "report.md",
        "pareto.png",
        "channels.png",
    ]
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no temporary file is left
    assert paths[0].read_text("utf-8") == to_html(data)
    assert paths[1].read_text("utf-8") == to_markdown(data)


def test_report_without_trials_has_no_plots(tmp_path):
    paths = write_report(ReportData("net", "digits", "none", rows=()), tmp_path)
    assert [path.name for path in paths] == ["report.html", "report.md"]


@pytest.mark.parametrize("write", [write_pareto_png, write_channels_png])
def test_png_has_something_drawn_on_it(write, data, tmp_path):
    write(data, tmp_path / "plot.png")
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
