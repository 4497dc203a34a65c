"""The report as one HTML file: nothing is loaded from elsewhere, so it can be mailed and kept."""

from __future__ import annotations

from importlib import resources

from tfmeta.report import tables
from tfmeta.report.chart import pareto_chart
from tfmeta.report.data import ReportData
from tfmeta.report.findings import findings

# Drawn twice, and the page shows the one that fits: letters of a scaled plot are too small on a
# phone.
_WIDE = (880, 440)
_NARROW = (370, 380)


def to_html(data: ReportData) -> str:
    """Returns the report as one HTML page without any script or outside resource."""
    import jinja2  # here: only the report needs it

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("tfmeta.report").joinpath("template.html").read_text("utf-8")
    all_tables = (tables.networks(data), tables.shipped_files(data), tables.front_files(data))
    charts = [("wide", pareto_chart(data, *_WIDE)), ("narrow", pareto_chart(data, *_NARROW))]
    return environment.from_string(source).render(
        data=data,
        findings=findings(data),
        tiles=tables.tiles(data),
        tables=[table for table in all_tables if table.lines],
        charts=[(name, chart) for name, chart in charts if chart is not None],
        series=searchers(data),
        front_known=any(trial.feasible for trial in data.trials),
        outside_known=any(not trial.feasible for trial in data.trials),
        widest=max((group.full for group in data.groups), default=1),
    )


def searchers(data: ReportData) -> dict[str, int]:
    """Returns searcher -> its place in the alphabet, which picks its colour."""
    return {name: place for place, name in enumerate(sorted({t.searcher for t in data.trials}))}
