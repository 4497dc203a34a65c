"""The report as one HTML file: nothing is loaded from elsewhere, so it can be mailed and kept.

Tables and plots are there without any program. `page.js` adds the explorer, from the data that the page holds. The page
forbids itself everything but this very program and style, whatever a name in it may hold.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from typing import Any

from tfmeta.report import tables, wording
from tfmeta.report.chart import pareto_chart
from tfmeta.report.data import Missing, ReportData
from tfmeta.report.explorer import embedded, explorer_data
from tfmeta.report.files_chart import files_charts, looks
from tfmeta.report.findings import findings
from tfmeta.report.latency_chart import latency_chart
from tfmeta.report.progress_chart import progress_chart
from tfmeta.report.staircase_chart import staircase_charts

# Drawn twice, and the page shows the one that fits: letters of a scaled plot are too small on a
# phone.
_SIZES = {"wide": (720, 440), "narrow": (340, 360)}
_LOW = {"wide": (1040, 320), "narrow": (340, 300)}
_HALF = {"wide": (500, 340), "narrow": (340, 300)}
# Three of them stand side by side, and one fills a phone.
_THIRD = (340, 230)
# More points than this are drawn smaller.
_MANY = 2000


def to_html(data: ReportData) -> str:
    """Returns the report as one HTML page that loads nothing."""
    import jinja2  # here: only the report needs it

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script, style = _resource("page.js"), _resource("page.css")
    return environment.from_string(_resource("template.html")).render(
        data=data,
        findings=findings(data),
        tiles=tables.tiles(data),
        tables=_tables(data),
        charts=_charts(data),
        stairs=staircase_charts(data, *_THIRD),
        many=len(data.trials) > _MANY,
        series=searchers(data),
        schemes=looks(data.front),
        origins=_places(point.origin for point in data.predictions),
        chosen=data.row(data.winner),
        timed_files=[(tables.file_name(row), row) for row in data.files if not isinstance(row.operators, Missing)],
        standings={trial.standing for trial in data.trials},
        shown=wording.objective,
        percent=wording.percent,
        milliseconds=wording.milliseconds,
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; "
        "form-action 'none'",
        script=script,
        style=style,
        json=embedded(explorer_data(data)),
    )


def searchers(data: ReportData) -> dict[str, int]:
    """Returns searcher -> its place in the order of the trials, which picks its colour and its shape."""
    return {name: place for place, name in enumerate(dict.fromkeys(trial.searcher for trial in data.trials))}


def _places(names: Iterable[str]) -> dict[str, int]:
    """Name -> its place in the alphabet, which picks its colour and its shape."""
    return {name: place for place, name in enumerate(sorted(set(names)))}


def _tables(data: ReportData) -> dict[str, list[tables.Table]]:
    """Where on the page -> the tables there, without those that are empty."""
    places = {
        "networks": (tables.networks(data),),
        "files": (tables.shipped_files(data), tables.front_files(data)),
        "mixed": (tables.mixed_files(data),),
    }
    return {place: [table for table in found if table.lines] for place, found in places.items()}


def _charts(data: ReportData) -> dict[str, Any]:
    """Kind of plot -> (size for which it is shown, plot), as far as there is something to plot."""
    found = {
        "pareto": [(name, pareto_chart(data, *size)) for name, size in _SIZES.items()],
        "progress": [(name, progress_chart(data, *size)) for name, size in _LOW.items()],
        "files": [(name, chart) for name, size in _HALF.items() for chart in files_charts(data, *size)],
        "latency": [(name, latency_chart(data, *size)) for name, size in _HALF.items()],
    }
    return {kind: [(name, chart) for name, chart in charts if chart is not None] for kind, charts in found.items()}


def _resource(name: str) -> str:
    return resources.files("tfmeta.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
