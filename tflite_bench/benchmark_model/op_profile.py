"""The times of single operators, from the tables that ``benchmark_model`` prints.

The classic tool prints a block of tables for the initialization and one for the runs, with cells between tabs or as
comma-separated values. LiteRT's prints one block with cells between spaces, and counts the calls of all inferences.
Of each block the table in the order of running has everything; the others sort and sum it up.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tflite_bench.benchmark_model.count_line import ANY_NUMBER, INT, shown
from tflite_bench.benchmark_model.lines import LITERT, flavour_of, read_lines, texts_of, whole_lines
from tflite_bench.errors import OutputError

_INIT_TITLE = "Profiling Info for Benchmark Initialization:"
_RUNS_TITLE = "Operator-wise Profiling Info for Regular Benchmark Runs:"
_TABLE_TITLE = re.compile(r"=+ (Run Order|Top by Computation Time|Summary by node type) =+")
_RUN_ORDER = "Run Order"
_HEADS = ("[node type]", "node type,")
# Type and name may hold spaces and numbers, as in "relu 1". A percentage of nothing is not a number.
_PERCENT = rf"(?:{ANY_NUMBER}|-?nan)"
_CELLS = (
    rf"\s+{ANY_NUMBER}\s+(?P<avg_ms>{ANY_NUMBER})\s+(?P<percent>{_PERCENT})%\s+{_PERCENT}%"
    rf"\s+(?P<mem_kb>-?{ANY_NUMBER})\s+(?P<calls>{ANY_NUMBER})\s+(?P<name>\S.*)"
)
_TYPE = r"\s*(?P<type>\S+(?: \S+)*?)"
_ROW = re.compile(_TYPE + _CELLS, re.ASCII)
_ROW_WITH_START = re.compile(rf"{_TYPE}\s+{ANY_NUMBER}{_CELLS}", re.ASCII)  # old versions, and LiteRT's tool
_NUM_CELLS = 7  # of a comma-separated row after the type, which may hold the separator as well
_MAX_CHARACTERS = 4000  # of a row; longer ones are none
_NODES = re.compile(rf"Number of nodes executed: {INT}", re.ASCII)
_TIMINGS = re.compile(rf"Timings \(microseconds\): count={INT}(?: .*)?", re.ASCII)
_NO_PROFILE = (
    "Expected tables of the operators' times. Received none: this benchmark_model cannot tell them, or was cut off."
)


@dataclasses.dataclass(frozen=True)
class OpRow:
    """One operator.

    Attributes:
        type: what it is: ``CONV_2D``, or a delegate's own name such as ``Fully Connected (NC, F32) GEMM``.
        name: which one it is, with its place in the order of running, such as ``[block_1/Relu6]:3``.
        avg_ms: its time an inference, on average.
        share: its share of the time of all operators, 0 to 1.
        calls: how often an inference calls it.
        mem_kb: how far it raised the resident memory, in units of 1024 bytes.
    """

    type: str
    name: str
    avg_ms: float
    share: float
    calls: float
    mem_kb: float


@dataclasses.dataclass(frozen=True)
class OpType:
    """All operators of one type together; fields as in `OpRow`."""

    type: str
    count: int
    avg_ms: float
    share: float


@dataclasses.dataclass(frozen=True)
class OpProfile:
    """How long each operator of a model takes.

    Attributes:
        rows: the operators in the order of running.
        num_runs: number of inferences that the times are averages over.
        init: likewise what getting the model ready took, once, such as ``AllocateTensors``.
        inner: operators that run within one of ``rows``, whose time holds theirs: of a subgraph or a delegate.
    """

    rows: tuple[OpRow, ...]
    num_runs: int
    init: tuple[OpRow, ...] = ()
    inner: tuple[OpRow, ...] = ()

    @property
    def by_time(self) -> tuple[OpRow, ...]:
        """``rows``, the slowest first."""
        return tuple(sorted(self.rows, key=lambda row: -row.avg_ms))

    @property
    def by_type(self) -> tuple[OpType, ...]:
        """``rows`` summed up by their types, the slowest first."""
        groups: dict[str, list[OpRow]] = {}
        for row in self.rows:
            groups.setdefault(row.type, []).append(row)
        types = [
            OpType(name, len(rows), sum(row.avg_ms for row in rows), sum(row.share for row in rows))
            for name, rows in groups.items()
        ]
        return tuple(sorted(types, key=lambda one: -one.avg_ms))

    def to_json(self) -> dict[str, Any]:
        """Returns the profile as plain data, with the summary by type."""
        return {**dataclasses.asdict(self), "by_type": [dataclasses.asdict(one) for one in self.by_type]}


@dataclasses.dataclass
class _Table:
    """One table in the order of running, while it is read; times and calls are still as printed."""

    init: bool
    has_start: bool = False
    rows: list[OpRow] = dataclasses.field(default_factory=list)
    num_nodes: int | None = None
    num_runs: int | None = None


def parse_profile(stdout: str, stderr: str = "") -> OpProfile:
    """Returns the operators' times of a run that printed them, or of the file that it wrote them to.

    Raises:
        OutputError: there are no tables, or they are cut off.
    """
    tables = _read_tables(texts_of(whole_lines(stdout), whole_lines(stderr))[0])
    for table in tables:
        if table.num_nodes != len(table.rows):
            raise OutputError(
                f"Expected a table of {table.num_nodes or 'all'} operators. "
                f"Received {len(table.rows)} rows: the output is cut off or garbled."
            )
    runs = [table for table in tables if not table.init and table.rows]
    if not runs:
        raise OutputError(_NO_PROFILE)
    if flavour_of(stdout, stderr) == LITERT:
        lines = read_lines(stdout, stderr)
        inferences = sum(stats.count for stats in (lines.warmup, lines.timed) if stats is not None)
        counted_per_run = False
    else:
        inferences = runs[0].num_runs or 0
        counted_per_run = True
    if inferences < 1:
        raise OutputError(_NO_PROFILE)
    calls_in = 1 if counted_per_run else inferences
    return OpProfile(
        rows=_per_inference(runs[:1], calls_in),
        num_runs=inferences,
        init=_per_inference([table for table in tables if table.init], 1),
        inner=_per_inference(runs[1:], calls_in),
    )


def _read_tables(texts: list[str]) -> list[_Table]:
    tables: list[_Table] = []
    init = reading = False
    for text in texts:
        if text in (_INIT_TITLE, _RUNS_TITLE):
            init, reading = text == _INIT_TITLE, False
        elif title := _TABLE_TITLE.fullmatch(text):
            reading = title.group(1) == _RUN_ORDER
            if reading:
                tables.append(_Table(init))
        elif tables and (nodes := _NODES.fullmatch(text)):
            tables[-1].num_nodes = int(nodes.group(1))
        elif tables and tables[-1].num_runs is None and (timings := _TIMINGS.fullmatch(text)):
            tables[-1].num_runs = int(timings.group(1))
        elif reading and text.strip().startswith(_HEADS):
            tables[-1].has_start = "start" in text
        elif reading:
            reading = bool(text.strip())  # an empty line ends the table
            if reading:
                tables[-1].rows.append(_row(text, tables[-1].has_start))
    return tables


def _row(text: str, has_start: bool) -> OpRow:
    pattern = _ROW_WITH_START if has_start else _ROW
    match = pattern.fullmatch(_spaced(text)) if len(text) <= _MAX_CHARACTERS else None
    if match is None:
        raise OutputError(f"Expected a row of the operators' table. Received: {shown(text)}.")
    return OpRow(
        type=match["type"],
        name=match["name"].replace("\t", ","),
        avg_ms=float(match["avg_ms"]),
        share=0.0 if "nan" in match["percent"] else float(match["percent"]) / 100,
        calls=float(match["calls"]),
        mem_kb=float(match["mem_kb"]),
    )


def _spaced(text: str) -> str:
    """Returns a comma-separated row with its cells between spaces; others as they are."""
    # In a name the tool writes tabs for commas, but the type of an XNNPACK operator keeps them: "Softmax (NC, F32)".
    cells = text.rsplit(", ", _NUM_CELLS)
    return " ".join(cells) if len(cells) > _NUM_CELLS and not text.startswith("\t") else text


def _per_inference(tables: list[_Table], calls_in: int) -> tuple[OpRow, ...]:
    """Returns the rows with the calls and the time of one inference; the tools print the time of one call.

    Args:
        tables: as printed.
        calls_in: number of inferences that the calls are counted in.
    """
    return tuple(
        # Old versions print 0 calls.
        dataclasses.replace(row, calls=row.calls / calls_in, avg_ms=row.avg_ms * (row.calls / calls_in or 1))
        for table in tables
        for row in table.rows
    )
