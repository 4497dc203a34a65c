"""What the page's program knows: every structure as plain data, safe inside an HTML page."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from tfmeta.report.data import STANDINGS, ReportData

# JSON in which these are written as escapes stays the same JSON, and no HTML parser finds a tag or a comment in it.
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}


def explorer_data(data: ReportData) -> dict[str, Any]:
    """Returns what the explorer draws, column by column: structure number n is at place n - 1.

    Values that a structure does not have are None.
    """
    searchers = list(dict.fromkeys(trial.searcher for trial in data.trials))
    places = {name: place for place, name in enumerate(searchers)}
    return {
        "axes": [dataclasses.asdict(axis) for axis in data.axes],
        "groups": [[group.name, group.full] for group in data.groups],
        "searchers": searchers,
        "searcher": [places[trial.searcher] for trial in data.trials],
        "generation": [trial.generation for trial in data.trials],
        "standings": list(STANDINGS),
        "standing": [STANDINGS.index(trial.standing) for trial in data.trials],
        "widths": [list(trial.widths) for trial in data.trials],
        "values": {axis.name: [_number(trial.values.get(axis.name)) for trial in data.trials] for axis in data.axes},
        "rows": [
            {
                "name": row.name,
                "widths": list(row.widths),
                "values": {axis.name: _number(row.values.get(axis.name)) for axis in data.axes},
            }
            for row in data.rows
        ],
        "winner": data.winner,
    }


def embedded(value: Any) -> str:
    """Returns ``value`` as JSON that may stand in a script element, whatever its texts hold."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPES)


def _number(value: float | None) -> float | int | None:
    """Returns a number with the six digits that a page can show at most; whole ones as they are."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.6g}")
