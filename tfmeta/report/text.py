"""The result as plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfmeta.report import tables
from tfmeta.report.data import ReportData
from tfmeta.report.findings import findings


def to_text(data: ReportData, paths: Sequence[Path]) -> str:
    """Returns the table, the findings and where the report's files are."""
    parts = [f"{data.network} on {data.data_set}. Budget: {data.budget}", _aligned(tables.networks(data))]
    if data.files:
        parts.append(_aligned(tables.shipped_files(data)))
    parts.append("\n".join(f"- {finding.sentence}" for finding in findings(data)))
    parts.append("Report: " + ", ".join(str(path) for path in paths))
    return "\n\n".join(parts)


def _aligned(table: tables.Table) -> str:
    rows = [tuple(table.headings), *(tuple(cell.text for cell in line.cells) for line in table.lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = row
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
