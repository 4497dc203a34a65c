"""What a report tells of predicted latencies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmeta.graph.structure import Structure
from tfmeta.latency.table import LatencyTable
from tfmeta.objectives import Estimate
from tfmeta.project import Project
from tfmeta.report.data import LatencyPoint, OperatorShare
from tfmeta.store import Store


def table_of(project: Project, found: Mapping[str, Any]) -> LatencyTable | None:
    """Returns the latency table that a search used, or else that of the work directory, where there is one.

    Args:
        project: the project.
        found: the result of the search.

    Raises:
        UserError: it cannot be read, or is of another network.
    """
    used = found.get("latency", {}).get("table", {}).get("file")
    path = project.workdir.latency_table if used is None else Path(used)
    if not path.exists():
        return None
    table = LatencyTable.load(path)
    table.check_network(project.graph, path)
    return table


def predictions(project: Project, name: str, table: LatencyTable | None) -> tuple[LatencyPoint, ...]:
    """Returns what was predicted before it was measured: held-out points of a table, structures of the search."""
    points = []
    if table is not None:
        for measured, predicted, deviation in zip(*table.judged, strict=True):
            points.append(LatencyPoint(float(predicted), float(deviation), float(measured), "held out"))
    with Store(project.workdir.store, must_exist=True) as store:
        trials = [trial for run in (name, f"{name}:random") if run in store.runs for trial in store.trials(run)]
    for values in (trial.values for trial in trials):
        if "latency" in values and "predicted_latency_ms" in values:
            expected = Estimate.of(values, "latency", "ms")
            points.append(LatencyPoint(expected.mean, expected.deviation, values["latency"], "search"))
    return tuple(points)


def operators(table: LatencyTable, searched: Structure) -> tuple[OperatorShare, ...]:
    """Returns the shares of the operators in the full and the searched network, as the predictor divides them."""
    winner = table.shares(searched)
    return tuple(OperatorShare(kind, count, share, winner[kind][1]) for kind, (count, share) in table.shares().items())


def how_latency(found: Mapping[str, Any], table: LatencyTable | None) -> tuple[tuple[str, str], ...]:
    """Returns how the latencies of a search and of a table came about: (what, how)."""
    how = []
    latency = found.get("latency")
    if latency is not None:
        texts = {
            "measured": "every structure was measured",
            "predicted": "predicted by a table; no structure was measured",
            "hybrid": f"{latency['measured']} structures were measured, those in doubt and those that may be the best; "
            f"for {latency['not_measured']} others a prediction decided; everything told here as latency was measured",
        }
        other = latency.get("other_device")
        warning = f". The table is of another device or other options: {other}" if other else ""
        how.append(("Latency in the search", texts[latency["source"]] + warning))
    if table is not None:
        error = table.error
        how.append(
            (
                "Predictions of latency",
                f"by a table of {table.device.name} in {table.options.scheme}, {table.created}: mean error "
                f"{100 * error.mape:.1f} %, Kendall's tau {error.tau:.3f} on {error.structures} structures that it "
                "never saw; shares of operators follow from the predictor, nothing was timed operator by operator",
            )
        )
    return tuple(how)
