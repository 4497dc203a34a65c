"""The tables of a report in Markdown, for a README or a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from tfmeta.report import tables
from tfmeta.report.data import ReportData
from tfmeta.report.findings import findings


def to_markdown(data: ReportData) -> str:
    """Returns the report as Markdown: findings, tables, channels, how the numbers were made."""
    parts = [f"# {_escape(data.network)} on {_escape(data.data_set)}"]
    parts.append(f"Budget: {_escape(data.budget)}")
    parts.append("\n".join(f"- {_escape(finding.sentence)}" for finding in findings(data)))
    parts.append(_markdown_table(tables.networks(data)))
    if data.files:
        parts.append("## Files\n\n" + _markdown_table(tables.shipped_files(data)))
    if data.front:
        parts.append("## Files of the front\n\n" + _markdown_table(tables.front_files(data)))
    if data.mixed:
        parts.append("## Mixed precision\n\n" + _markdown_table(tables.mixed_files(data)))
    if data.groups:
        lines = [(group.name, str(group.full), str(group.chosen)) for group in data.groups]
        parts.append("## Channels\n\n" + _aligned([("Group", "Full", "Chosen"), *lines]))
    if data.how:
        facts = (f"- **{_escape(what)}**: {_escape(how)}" for what, how in data.how)
        parts.append("## How each number was made\n\n" + "\n".join(facts))
    if data.versions:
        versions = ", ".join(f"{name} {version}" for name, version in data.versions.items())
        parts.append(f"Versions: {_escape(versions)}")
    if data.command:
        parts.append(f"```sh\n{data.command}\n```")
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: tables.Table) -> str:
    text = _aligned([table.headings, *(tuple(cell.text for cell in line.cells) for line in table.lines)])
    return f"{text}\n\n{_escape(table.terms)}" if table.terms else text


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Returns a table whose first column is text and whose others are numbers."""
    written = ["| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines]
    rule = "|" + " --- |" + " ---: |" * (len(lines[0]) - 1)
    return "\n".join([written[0], rule, *written[1:]])


def _escape(text: str) -> str:
    # A bar ends a cell, a newline ends the table, and angle brackets would be HTML.
    for plain, written in (("|", "\\|"), ("<", "&lt;"), (">", "&gt;"), ("\n", " ")):
        text = text.replace(plain, written)
    return text
