"""The tables that ``benchmark_model --enable_op_profiling=true`` appends."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tests.phone.bench_text import count_line, number

_TOP = 10


@dataclasses.dataclass(frozen=True)
class Operator:
    """One row: what it is, what it is called, its share of the time and its memory."""

    kind: str
    name: str
    share: float
    memory_kb: float = 0.0


def init_block(init_us: int, csv: bool) -> str:
    """Returns the block of what comes before the inferences."""
    parts = [Operator("ModifyGraphWithDelegate", "ModifyGraphWithDelegate/0", 0.67, 25940.0)]
    parts.append(Operator("AllocateTensors", "AllocateTensors/0", 0.33, 7424.0))
    return "Profiling Info for Benchmark Initialization:\n" + _block(parts, [init_us], csv)


def run_block(operators: Sequence[Operator], times_us: Sequence[int], csv: bool) -> str:
    """Returns the block of the inferences."""
    return "Operator-wise Profiling Info for Regular Benchmark Runs:\n" + _block(operators, times_us, csv)


def _block(operators: Sequence[Operator], times_us: Sequence[int], csv: bool) -> str:
    mean_ms = sum(times_us) / len(times_us) / 1e3
    first_ms = times_us[0] / 1e3
    total = sum(operator.share for operator in operators)
    in_order = [(operator, operator.share / total) for operator in operators]
    top = sorted(in_order, key=lambda row: -row[1])[:_TOP]
    kinds: dict[str, list[tuple[Operator, float]]] = {}
    for operator, share in in_order:
        kinds.setdefault(operator.kind, []).append((operator, share))
    lines = [_title("Run Order"), *_rows(in_order, first_ms, mean_ms, csv), ""]
    lines += [_title("Top by Computation Time"), *_rows(top, first_ms, mean_ms, csv), ""]
    lines += [f"Number of nodes executed: {len(operators)}", _title("Summary by node type")]
    lines += [*_summary(kinds, mean_ms, csv), ""]
    lines += [f"Timings (microseconds): {count_line(times_us, percentiles=False)}", "Memory (bytes): count=0"]
    return "\n".join([*lines, f"{len(operators)} nodes observed", "", "", "", ""])


def _title(text: str) -> str:
    return f"{'=' * 30} {text} {'=' * 30}"


def _rows(rows: Sequence[tuple[Operator, float]], first_ms: float, mean_ms: float, csv: bool) -> list[str]:
    lines = [_HEADER_CSV if csv else _HEADER]
    reached = 0.0
    for operator, share in rows:
        reached += share
        first, mean = first_ms * share, mean_ms * share
        if csv:
            # Commas of names become TABs there, those of kinds stay.
            cells = [operator.kind, number(first), number(mean), f"{number(100 * share)}%", f"{number(100 * reached)}%"]
            lines.append(", ".join([*cells, number(operator.memory_kb), "1", operator.name.replace(",", "\t")]))
        else:
            lines.append(
                f"\t{operator.kind:>40}\t{first:9.3f}\t{mean:9.3f}\t{100 * share:7.3f}%\t{100 * reached:7.3f}%"
                f"\t{operator.memory_kb:10.3f}\t{1:9}\t{operator.name}"
            )
    return lines


def _summary(kinds: dict[str, list[tuple[Operator, float]]], mean_ms: float, csv: bool) -> list[str]:
    lines = [_SUMMARY_CSV if csv else _SUMMARY]
    reached = 0.0
    for kind, rows in sorted(kinds.items(), key=lambda item: -sum(share for _, share in item[1])):
        share = sum(share for _, share in rows)
        memory_kb = sum(operator.memory_kb for operator, _ in rows)
        reached += share
        if csv:
            cells = [kind, str(len(rows)), number(mean_ms * share), f"{number(100 * share)}%"]
            lines.append(", ".join([*cells, f"{number(100 * reached)}%", number(memory_kb), str(len(rows))]))
        else:
            lines.append(
                f"\t{kind:>40}\t{len(rows):9}\t{mean_ms * share:10.3f}\t{100 * share:10.3f}%\t{100 * reached:10.3f}%"
                f"\t{memory_kb:10.3f}\t{len(rows):9}"
            )
    return lines


_HEADER = f"\t{'[node type]':>40}\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]"
_HEADER_CSV = "node type, first, avg_ms, %, cdf%, mem KB, times called, name"
_SUMMARY = f"\t{'[Node type]':>40}\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]\t[times called]"
_SUMMARY_CSV = "node type, count, avg_ms, avg %, cdf %, mem KB, times called"
