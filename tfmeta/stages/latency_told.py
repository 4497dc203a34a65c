"""What a report tells of predicted latencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfmeta.differences import differences
from tfmeta.errors import UserError
from tfmeta.graph.structure import Structure
from tfmeta.latency.table import LatencyTable
from tfmeta.objectives import Estimate
from tfmeta.project import Project
from tfmeta.report.data import LatencyPoint, OperatorShare
from tfmeta.store import Store

# Options that a table and a search must share for their latencies to stand side by side.
_SHARED = ("scheme", "threads", "pin", "delegate")
_SOURCES = {
    "measured": "every structure was measured",
    "predicted": "predicted by a table; no structure was measured",
}


def table_of(project: Project, found: Mapping[str, Any], run: Mapping[str, Any]) -> tuple[LatencyTable | None, str]:
    """Returns the latency table that a report shows, or None, and whose it is, or why it is not shown.

    It is the one that the search used, or else that of the work directory. One of another device than the latencies
    of the search is not shown: its points would be taken for those of the search.

    Args:
        project: the project.
        found: the result of the search.
        run: what its run in the store began with.
    """
    used = found.get("latency", {}).get("table")
    path, whose = project.workdir.latency_table, "the table of the work directory, which this search did not use"
    if used is not None:
        path, whose = project.workdir.path / used["file"], "the table that this search used"
    elif not path.exists():
        return None, ""
    try:
        table = LatencyTable.load(path)
        table.check_network(project.graph, path)
    except UserError as error:
        return None, f"{whose} cannot be shown. {error}"
    if used is not None and used["created"] != table.created:
        return None, f"{whose}, of {used['created']}, cannot be shown: {path} now holds one of {table.created}"
    other = _other_place(table, run.get("depends_on", {}).get("latency"))
    if other:
        return None, f"{whose} is not shown, for the latencies of the search are of something else: {other}"
    return table, whose


def _other_place(table: LatencyTable, measured: Mapping[str, Any] | None) -> str:
    """What of the table's device, options and converters is not that of a search; "" of one that measured nothing."""
    if measured is None:
        return ""
    ours, theirs = table.options.to_json(), measured["options"]
    return differences(
        {"device": table.device.fingerprint, "converter": table.converter, **{name: ours[name] for name in _SHARED}},
        {**{name: measured[name] for name in ("device", "converter")}, **{name: theirs[name] for name in _SHARED}},
    )


def predictions(
    project: Project, name: str, table: LatencyTable | None, settled: Sequence[Mapping[str, Any]]
) -> tuple[LatencyPoint, ...]:
    """Returns what was predicted before it was measured: held-out points of a table, structures of the search.

    Those that were ``settled`` when the search was over are among the latter.
    """
    points = []
    if table is not None:
        for measured, predicted, deviation in zip(*table.judged, strict=True):
            points.append(LatencyPoint(float(predicted), float(deviation), float(measured), "held out"))
    with Store(project.workdir.store, must_exist=True) as store:
        trials = [trial for run in (name, f"{name}:random") if run in store.runs for trial in store.trials(run)]
    at_last = {tuple(one["widths"]): one["values"] for one in settled}
    for values in (*(trial.values for trial in trials), *at_last.values()):
        if "latency" in values and "predicted_latency_ms" in values:
            expected = Estimate.of(values, "latency", "ms")
            points.append(LatencyPoint(expected.mean, expected.deviation, values["latency"], "search"))
    return tuple(points)


def operators(table: LatencyTable, searched: Structure) -> tuple[OperatorShare, ...]:
    """Returns the shares of the operators in the full and the searched network, as the predictor divides them."""
    winner = table.shares(searched)
    return tuple(OperatorShare(kind, count, share, winner[kind][1]) for kind, (count, share) in table.shares().items())


def counted(latency: Mapping[str, Any]) -> str:
    """Returns in words how many structures a hybrid search measured, and how many it only predicted."""
    begun = latency["to_begin_with"]
    first = f"{begun} of them to begin with, the others " if begun else ""
    others = "1 other was" if latency["not_measured"] == 1 else f"{latency['not_measured']} others were"
    return (
        f"{latency['measured']} structures were measured, {first}as extremes, as controls, because they may be the "
        f"best or were predicted to miss the limit by little; {others} only predicted"
    )


def warnings(latency: Mapping[str, Any]) -> list[str]:
    """Returns what a result must tell of the table it was searched with: that it is, or may be, of something else."""
    texts = {
        "other_device": "The latency table is of another device or other options: ",
        "not_compared": "The device of the latency table was not compared with that of the search: ",
    }
    return [text + latency[name] for name, text in texts.items() if name in latency]


def how_latency(found: Mapping[str, Any], table: LatencyTable | None, whose: str) -> tuple[tuple[str, str], ...]:
    """Returns how the latencies of a search and of a table came about: (what, how).

    Args:
        found: the result of the search.
        table: see `table_of`.
        whose: likewise.
    """
    how = []
    latency = found.get("latency")
    if latency is not None:
        text = _SOURCES.get(latency["source"]) or f"{counted(latency)}; everything told here as latency was measured"
        how.append(("Latency in the search", ". ".join([text, *warnings(latency)])))
    if table is None and whose:
        how.append(("Predictions of latency", whose))
    if table is not None:
        error = table.error
        how.append(
            (
                "Predictions of latency",
                f"by {whose}: of {table.device.name} in {table.options.scheme}, {table.created}; mean error "
                f"{100 * error.mape:.1f} %, Kendall's tau {error.tau:.3f} on {error.structures} structures that it "
                "never saw; shares of operators follow from the predictor, nothing was timed operator by operator",
            )
        )
    return tuple(how)
