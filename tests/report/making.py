"""Structures as the search of a small report evaluated them."""

from __future__ import annotations

from tfmeta.report.data import Axis, Row, TrialPoint

AXES = (
    Axis("accuracy", "accuracy, search split", "top-1", False),
    Axis("macs", "MACs", "MACs", True),
    Axis("latency", "latency", "ms", True),
)


def trial(macs, accuracy, searcher, feasible=True, generation=0, widths=(32, 64), latency=None) -> TrialPoint:
    """One evaluated structure; the search measured the latency of some only."""
    values = {"macs": float(macs), "accuracy": accuracy, **({} if latency is None else {"latency": latency})}
    return TrialPoint(values, searcher, feasible, generation, widths)


def row(name, macs, params, search_accuracy, *rest, widths) -> Row:
    """A network of the table as the search evaluated it."""
    values = {"macs": float(macs), "accuracy": search_accuracy}
    return Row(name, macs, params, search_accuracy, *rest, widths=widths, values=values)
