"""The tables of a report as text: the same cells for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tfmeta.report import wording
from tfmeta.report.data import FileRow, Latency, Missing, MixedRow, ReportData, Row

_SHA_DIGITS = 8
_FILE_TERMS = (
    "Agrees: how often the file gives the same class as the network that it was converted from, and as the float "
    "network. A run is an inference."
)


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        missing: whether that is the reason why there is no number.
        link: the relative path of the file that it names; or empty.
        title: the text in full, where it is cut; or empty.
    """

    text: str
    missing: bool = False
    link: str = ""
    title: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a table; ``winner`` where it is about the searched network, or else the best."""

    cells: tuple[Cell, ...]
    winner: bool


@dataclass(frozen=True)
class Table:
    """Headings and lines of one length.

    Attributes:
        terms: what short headings mean; or empty.
        note: what marks and links on the page mean; or empty.
    """

    caption: str
    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    terms: str = ""
    note: str = ""


def networks(data: ReportData) -> Table:
    """Returns the table of networks: accuracies, costs, size and latency."""
    headings = (
        "Network",
        f"{data.title}, test split",
        f"{data.title}, search split (generated weights)",
        "MACs",
        "Params",
        f"Size ({data.file_label})",
        f"Latency p50 ({data.latency_label})",
        "Latency p90",
    )
    lines = tuple(Line(_network_cells(row), row.name == data.winner) for row in data.rows)
    return Table("Networks", headings, lines)


def shipped_files(data: ReportData) -> Table:
    """Returns the table of .tflite files."""
    lines = tuple(Line(_file_cells(row), row.model == data.winner) for row in data.files)
    return Table("Files", _file_headings(data), lines, _FILE_TERMS, _links_note(data.files))


def front_files(data: ReportData) -> Table:
    """Returns the table of the front's files; marked are those that no other beats in accuracy, latency and size."""
    best = best_files(data.front)
    lines = tuple(Line(_file_cells(row), row in best) for row in data.front)
    note = f"Marked: no other file equals or beats it in {data.metric}, latency p50 and size together."
    return Table(
        "Files of the front", _file_headings(data), lines, _FILE_TERMS, f"{note} {_links_note(data.front)}".strip()
    )


def mixed_files(data: ReportData) -> Table:
    """Returns the table of files of mixed precision; marked is the one that was written."""
    headings = (
        "Network, layers not in int8",
        "Size",
        f"{data.title}, search split",
        f"{data.title}, test split",
        "Latency p50",
        "Times the float file's",
        "Verdict",
    )
    lines = tuple(Line(_mixed_cells(row), row.chosen) for row in data.mixed)
    return Table(
        "Mixed precision", headings, lines, note="Marked: the file that was written. It is chosen on the search split."
    )


def best_files(rows: Sequence[FileRow]) -> tuple[FileRow, ...]:
    """Returns the files that no other one equals or beats in accuracy, p50 and size and beats in one of them."""
    known = [row for row in rows if not isinstance(row.test_accuracy, Missing) and not isinstance(row.latency, Missing)]
    values = {id(row): (-row.test_accuracy, row.latency.p50_ms, row.size_bytes) for row in known}

    def beaten(ours: tuple[float, ...]) -> bool:
        return any(
            theirs != ours and all(a <= b for a, b in zip(theirs, ours, strict=True)) for theirs in values.values()
        )

    return tuple(row for row in known if not beaten(values[id(row)]))


def file_name(row: FileRow) -> str:
    """Returns the name under which a file is found, or which network it is of."""
    return PurePosixPath(row.path).name or row.model


def _file_headings(data: ReportData) -> tuple[str, ...]:
    return (
        "File",
        "Scheme",
        "Size",
        f"{data.title}, test split",
        "Agrees",
        "Agrees with float",
        "Latency p50",
        "Latency p90",
        "Runs timed",
        "Verdict",
        "Loading + first run",
        "Peak memory",
        "Oldest runtime",
        "SHA-256",
    )


def _links_note(rows: Sequence[FileRow]) -> str:
    return (
        "A name leads to the file as long as this page lies where it was written." if any(r.path for r in rows) else ""
    )


def _network_cells(row: Row) -> tuple[Cell, ...]:
    return (
        Cell(row.name),
        _cell(row.test_accuracy, wording.percent(row.test_accuracy)),
        _cell(row.search_accuracy, wording.percent(row.search_accuracy)),
        Cell(wording.count(row.macs)),
        Cell(wording.count(row.params)),
        _cell(row.size_bytes, wording.size(row.size_bytes)),
        _cell(row.latency, wording.p50(row.latency)),
        _cell(row.latency, wording.p90(row.latency)),
    )


def _file_cells(row: FileRow) -> tuple[Cell, ...]:
    return (
        Cell(file_name(row), link=row.path),
        Cell(row.scheme),
        Cell(wording.size(row.size_bytes)),
        _cell(row.test_accuracy, wording.percent(row.test_accuracy)),
        _cell(row.agreement, wording.percent(row.agreement)),
        _cell(row.float_agreement, wording.percent(row.float_agreement)),
        *_measured_cells(row.latency),
        _cell(row.minimum_runtime, wording.text(row.minimum_runtime)),
        Cell(row.sha256[:_SHA_DIGITS] or "not recorded", not row.sha256, title=row.sha256),
    )


def _measured_cells(latency: Latency | Missing) -> tuple[Cell, ...]:
    """What was measured; where nothing was, the first cell says why."""
    if isinstance(latency, Missing):
        return (Cell(latency.reason, missing=True), *[Cell("–", missing=True)] * 5)
    return (
        Cell(wording.p50(latency, told=False)),
        Cell(wording.p90(latency, told=False)),
        Cell(wording.timed(latency)),
        Cell(latency.verdict),
        Cell(wording.start(latency)),
        Cell(wording.memory(latency)),
    )


def _mixed_cells(row: MixedRow) -> tuple[Cell, ...]:
    return (
        Cell(f"{row.network}, " + ("all in float" if row.kept is None else f"{row.kept} in {row.kind}")),
        Cell(wording.size(row.size_bytes)),
        Cell(wording.percent(row.search_accuracy)),
        Cell(wording.percent(row.test_accuracy)),
        Cell(wording.milliseconds(row.p50_ms)),
        Cell(f"{row.ratio:.2f}"),
        Cell(row.verdict),
    )


def _cell(value: object, text: str) -> Cell:
    return Cell(text, isinstance(value, Missing))


@dataclass(frozen=True)
class Tile:
    """One number of the searched network that is read first, and the full network's beside it."""

    what: str
    number: Cell
    beside: str


def tiles(data: ReportData) -> tuple[Tile, ...]:
    """Returns the few numbers that are read first; none before the search has a winner."""
    winner, full = data.row(data.winner), data.row(data.full)
    if winner is None:
        return ()
    ours = _network_cells(winner)
    share = "" if full is None else f"{100 * winner.macs / full.macs:.0f} % of the full network"
    theirs = None if full is None else _network_cells(full)

    def tile(what: str, column: int) -> Tile:
        known = theirs is not None and not theirs[column].missing
        beside = f"full network: {theirs[column].text}" if theirs is not None and known else ""
        return Tile(what, ours[column], beside)

    return (
        tile(f"Test {data.metric}", 1),
        Tile("MACs", ours[3], share),
        tile(f"Size ({data.file_label})", 5),
        tile(f"Latency p50 ({data.latency_label})", 6),
    )
