"""Writes every form of a report into one folder."""

from __future__ import annotations

import os
from pathlib import Path

from tfmeta import files
from tfmeta.report import tables
from tfmeta.report.data import ReportData
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


def write_report(data: ReportData, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Writes report.html, report.md, pareto.png, files.png, channels.png, latency.png, operators.png and staircase.png
    into ``folder``; returns their paths.

    Each file is whole or absent. The plots are left out where there is nothing to plot.
    """
    target = Path(folder)
    written = [target / "report.html", target / "report.md"]
    files.write_text(written[0], to_html(data))
    files.write_text(written[1], to_markdown(data))
    if data.trials:
        written.append(target / "pareto.png")
        write_pareto_png(data, written[-1])
    if tables.best_files(data.front):
        written.append(target / "files.png")
        write_files_png(data, written[-1])
    if data.groups:
        written.append(target / "channels.png")
        write_channels_png(data, written[-1])
    if data.predictions:
        written.append(target / "latency.png")
        write_latency_png(data, written[-1])
    if data.operators:
        written.append(target / "operators.png")
        write_operators_png(data, written[-1])
    if data.staircase is not None:
        written.append(target / "staircase.png")
        write_staircase_png(data.staircase, written[-1])
    return tuple(written)
