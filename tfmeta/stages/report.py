"""Stage 5: the result table, the plots and the HTML page."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmeta.export.bundle import MANIFEST, installed_versions, read_manifest
from tfmeta.graph import cost
from tfmeta.graph.structure import Structure
from tfmeta.objectives import predicted_name
from tfmeta.project import Project
from tfmeta.report.data import (
    Axis,
    FileRow,
    GroupWidth,
    Latency,
    Missing,
    MixedRow,
    OpTime,
    ReportData,
    Row,
    TrialPoint,
)
from tfmeta.report.write import write_report
from tfmeta.search.problem import PROBE_GENERATION
from tfmeta.stages.how_made import how_made, latency_label, options_told
from tfmeta.stages.kept import network_accuracy
from tfmeta.stages.latency_told import how_latency, operators, predictions, table_of
from tfmeta.stages.mixed import tried
from tfmeta.stages.pareto import PARETO
from tfmeta.stages.search import ROWS, result, structures
from tfmeta.stages.staircase_told import how_staircase, staircase_of
from tfmeta.store import Store
from tfmeta.workdir import MAIN

_PREDICTED = predicted_name("latency", "ms")
_STALE = "what was tried is of a network that was trained anew since, or of an earlier tfmeta: run tfmeta mixed again"
_LABELS = {
    "macs": "MACs",
    "params": "parameters",
    "size": "bytes of weights",
    "latency": "latency",
    _PREDICTED: "latency, predicted",
}


@dataclass(frozen=True)
class ReportOptions:
    """What to report.

    Attributes:
        init: which retrained networks.
        name: name of the search.
    """

    init: str = "scratch"
    name: str = MAIN


def report(project: Project, options: ReportOptions, command: str = "") -> tuple[ReportData, tuple[Path, ...]]:
    """Writes report.html, report.md and the plots; returns what they tell and where they are.

    Raises:
        WorkdirError: there is no search result yet.
    """
    data = _data(project, options, command)
    return data, write_report(data, project.workdir.report(options.name, options.init))


def _data(project: Project, options: ReportOptions, command: str) -> ReportData:
    found, chosen = result(project, options.name), structures(project, options.name)
    settled = found.get("settled", ())  # an earlier version searched
    manifest, front = (_manifest(project, options.name, init) for init in (options.init, PARETO))
    files, tries = manifest["files"], tried(project, options.name, options.init)
    mixed, stale = ([made for made in tries if made["current"] is kind] for kind in (True, False))
    staircase = staircase_of(project)
    scheme = "int8" if any(file["scheme"] == "int8" for file in files) else None
    scheme = scheme or (files[0]["scheme"] if files else "int8")
    rows = tuple(_row(project, options, name, chosen[name], found, files, scheme) for name in ROWS if name in chosen)
    with Store(project.workdir.store, must_exist=True) as store:
        run = store.run_configuration(options.name) if options.name in store.runs else {}
        trials = _trials(store, options.name, settled)
    table, whose = table_of(project, found, run)
    return ReportData(
        network=project.options.model,
        data_set=project.options.dataset,
        budget=found["budget"],
        rows=rows,
        files=tuple(_file_row(file, _link(project, options, options.init)) for file in files),
        front=tuple(_file_row(file, _link(project, options, PARETO)) for file in front["files"]),
        mixed=tuple(row for made in mixed for row in _mixed_rows(made)),
        trials=trials,
        axes=_axes(run, trials, project.splits.task.metric),
        groups=_groups(project, chosen["searched"]),
        predictions=predictions(project, options.name, table, settled),
        operators=() if table is None else operators(table, chosen["searched"]),
        staircase=staircase,
        how=(
            *how_made(project, options.name, options.init, found, run, manifest, front, mixed),
            *how_latency(found, table, whose),
            *how_staircase(staircase),
            *((f"No mixed precision of {one['options']['row']}", _STALE) for one in stale),
        ),
        options=options_told(project.workdir.config, options.name, options.init),
        versions=installed_versions((file["scheme"] for file in (*files, *front["files"])), mixed=bool(mixed)),
        command=command,
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        file_label=f"{scheme} .tflite",
        latency_label=latency_label(files),
        front_latency_label=latency_label(front["files"]),
        search_images=project.splits.search.size,
        test_images=project.splits.test.size,
        metric=project.splits.task.metric,
        binomial=project.splits.task.binomial,
    )


def _row(
    project: Project,
    options: ReportOptions,
    name: str,
    structure: Structure,
    found: Mapping[str, Any],
    files: list[dict[str, Any]],
    scheme: str,
) -> Row:
    file = next((file for file in files if file["model"] == name and file["scheme"] == scheme), None)
    path = project.workdir.model(options.name, name, options.init)
    values = found["structures"][name]["values"]
    return Row(
        name=name,
        macs=int(cost.macs(project.graph, structure)),
        params=int(cost.params(project.graph, structure)),
        search_accuracy=values.get("accuracy", Missing("not evaluated")),
        test_accuracy=network_accuracy(project, path, name) if path.exists() else Missing("not retrained"),
        size_bytes=file["size_bytes"] if file else Missing("not exported"),
        latency=_latency(file) if file else Missing("not exported"),
        widths=structure.widths,
        values=values,
    )


def _file_row(file: Mapping[str, Any], folder: str) -> FileRow:
    accuracy = file["test_accuracy"]
    return FileRow(
        model=file["model"],
        scheme=file["scheme"],
        size_bytes=file["size_bytes"],
        test_accuracy=Missing("not measured") if accuracy is None else accuracy,
        agreement=_agreement(file, "agreement"),
        float_agreement=_agreement(file, "float_agreement"),
        latency=_latency(file),
        minimum_runtime=file["minimum_runtime"]["version"] or Missing("unknown operator version"),
        path=f"{folder}/{file['file']}",
        sha256=file["sha256"],
        operators=_operators(file),
    )


def _agreement(file: Mapping[str, Any], kind: str) -> float | Missing:
    if kind not in file:  # an earlier version exported
        return Missing("not recorded")
    agreement: float | None = file[kind]["class_agreement"]
    return Missing("no classifier") if agreement is None else agreement


def _link(project: Project, options: ReportOptions, init: str) -> str:
    """The relative path from the report to the files of an export."""
    workdir = project.workdir
    target, start = workdir.export(options.name, init), workdir.report(options.name, options.init)
    return Path(os.path.relpath(target, start)).as_posix()


def _latency(file: Mapping[str, Any]) -> Latency | Missing:
    found = file["latency"]
    if found is None:
        return Missing("not measured")
    measured = found["measurement"]
    startup = (measured.get(name) for name in ("init_ms", "first_inference_ms", "peak_memory_mb"))
    return Latency(found["median_ms"], found["p90_ms"], found["verdict"], measured["num_runs"], *startup)


def _operators(file: Mapping[str, Any]) -> tuple[OpTime, ...] | Missing:
    told = (file["latency"] or {}).get("operators")  # absent where an earlier version exported
    if told is None or "reason" in told:
        return Missing("not measured" if told is None else told["reason"])
    return tuple(OpTime(one["type"], one["count"], one["avg_ms"], min(one["share"], 1.0)) for one in told["by_type"])


def _manifest(project: Project, name: str, init: str) -> dict[str, Any]:
    path = project.workdir.export(name, init) / MANIFEST
    return read_manifest(path) if path.exists() else {"files": [], "refused": []}


def _mixed_rows(made: Mapping[str, Any]) -> list[MixedRow]:
    asked = made["options"]
    return [
        MixedRow(
            network=asked["row"],
            kind=asked["kept"],
            kept=file["kept"],
            size_bytes=file["size_bytes"],
            search_accuracy=file["search_accuracy"],
            test_accuracy=file["test_accuracy"],
            p50_ms=file["median_ms"],
            ratio=file["ratio"],
            verdict=file["verdict"],
            chosen=made["written"] and file["kept"] == made["chosen"],
        )
        for file in made["files"]
    ]


def _axes(run: Mapping[str, Any], trials: Sequence[TrialPoint], metric: str) -> tuple[Axis, ...]:
    """The objectives of the search, as its run in the store has them, and the prediction where there is one."""
    found = {one["name"]: (one["unit"], one["minimize"]) for one in run.get("objectives", ())}
    if any(_PREDICTED in trial.values for trial in trials):
        found.setdefault(_PREDICTED, ("ms", True))
    labels = {**_LABELS, "accuracy": f"{metric}, search split"}
    return tuple(Axis(name, labels.get(name, name), *kind) for name, kind in found.items())


def _trials(store: Store, name: str, settled: Sequence[Mapping[str, Any]]) -> tuple[TrialPoint, ...]:
    """The evaluated structures, with the values of those that were ``settled`` when their search was over."""
    points = []
    at_last = {tuple(one["widths"]): one for one in settled}
    # The run of the search itself, and the random control beside it. The uniform control is a row of the table.
    for run, label in ((name, "search"), (f"{name}:random", "random")):
        for trial in store.trials(run) if run in store.runs else ():
            if "accuracy" in trial.values and not trial.failed and trial.generation != PROBE_GENERATION:
                widths = trial.structure.widths
                last = at_last.get(widths) if trial.estimated else None
                values = trial.values if last is None else {**last["values"], **trial.values}
                feasible = trial.feasible if last is None else last["feasible"]
                predicted = trial.estimated and last is None
                points.append(TrialPoint(values, label, feasible, trial.generation, widths, predicted))
    return tuple(points)


def _groups(project: Project, structure: Structure) -> tuple[GroupWidth, ...]:
    pairs = zip(project.graph.searchable, structure.widths, strict=True)
    return tuple(GroupWidth(group.name, group.size, width) for group, width in pairs)
