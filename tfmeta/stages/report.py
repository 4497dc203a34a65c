"""Stage 5: the result table, the plots and the HTML page."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmeta.export.bundle import MANIFEST, installed_versions, read_manifest
from tfmeta.graph import cost
from tfmeta.graph.structure import Structure
from tfmeta.project import Project
from tfmeta.report.data import FileRow, GroupWidth, Latency, Missing, ReportData, Row, TrialPoint
from tfmeta.report.write import write_report
from tfmeta.stages.pareto import PARETO
from tfmeta.stages.retrain import load_model
from tfmeta.stages.search import ROWS, result, structures
from tfmeta.store import Store
from tfmeta.training import evaluate
from tfmeta.workdir import MAIN


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
    found = result(project, options.name)
    chosen = structures(project, options.name)
    manifest = _manifest(project, options.name, options.init)
    files = manifest["files"]
    config = project.workdir.config
    retrained = config.get(f"retrain {options.name} {options.init}", {})
    scheme = "int8" if any(file["scheme"] == "int8" for file in files) else None
    scheme = scheme or (files[0]["scheme"] if files else "int8")
    rows = tuple(_row(project, options, name, chosen[name], found, files, scheme) for name in ROWS if name in chosen)
    return ReportData(
        network=project.options.model,
        data_set=project.options.dataset,
        budget=found["budget"],
        rows=rows,
        files=tuple(_file_row(file) for file in files),
        front=tuple(_file_row(file) for file in _manifest(project, options.name, PARETO)["files"]),
        trials=_trials(project, options.name),
        groups=_groups(project, chosen["searched"]),
        how=_how(project, found, retrained, manifest),
        versions=installed_versions(),
        command=command,
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        file_label=f"{scheme} .tflite",
        latency_label=_latency_label(files),
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
        test_accuracy=_test_accuracy(project, name, path) if path.exists() else Missing("not retrained"),
        size_bytes=file["size_bytes"] if file else Missing("not exported"),
        latency=_latency(file) if file else Missing("not exported"),
    )


def _test_accuracy(project: Project, name: str, path: Path) -> float:
    return evaluate(load_model(path), project.splits.test, description=f"Testing {name}")


def _file_row(file: Mapping[str, Any]) -> FileRow:
    accuracy, agreement = file["test_accuracy"], file["agreement"]["class_agreement"]
    return FileRow(
        model=file["model"],
        scheme=file["scheme"],
        size_bytes=file["size_bytes"],
        test_accuracy=Missing("not measured") if accuracy is None else accuracy,
        agreement=Missing("no classifier") if agreement is None else agreement,
        latency=_latency(file),
        minimum_runtime=file["minimum_runtime"]["version"] or Missing("unknown operator version"),
    )


def _latency(file: Mapping[str, Any]) -> Latency | Missing:
    found = file["latency"]
    if found is None:
        return Missing("not measured")
    return Latency(found["median_ms"], found["p90_ms"], found["verdict"])


def _measured(file: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The `tflite_bench.Measurement` of a file as plain data, or None."""
    found = file["latency"]
    return None if found is None else found["measurement"]


def _manifest(project: Project, name: str, init: str) -> dict[str, Any]:
    path = project.workdir.export(name, init) / MANIFEST
    return read_manifest(path) if path.exists() else {"files": [], "refused": []}


def _trials(project: Project, name: str) -> tuple[TrialPoint, ...]:
    points = []
    with Store(project.workdir.store, must_exist=True) as store:
        # The run of the search itself, and the random control beside it. The uniform control is a row of the table.
        for run, label in ((name, "search"), (f"{name}:random", "random")):
            if run not in store.runs:
                continue
            for trial in store.trials(run):
                if "accuracy" in trial.values and not trial.failed:
                    macs = int(cost.macs(project.graph, trial.structure))
                    points.append(TrialPoint(macs, trial.values["accuracy"], label, trial.feasible))
    return tuple(points)


def _groups(project: Project, structure: Structure) -> tuple[GroupWidth, ...]:
    pairs = zip(project.graph.searchable, structure.widths, strict=True)
    return tuple(GroupWidth(group.name, group.size, width) for group, width in pairs)


def _latency_label(files: Sequence[Mapping[str, Any]]) -> str:
    measured = next((one for file in files if (one := _measured(file)) is not None), None)
    if measured is None:
        return "not measured"
    device = measured["device"]
    # The name of a processor is long, and says less than that it is not a phone.
    place = "host" if device["kind"] == "host" else device["name"]
    return f"{place}, {_threads(measured)}"


def _threads(measured: Mapping[str, Any]) -> str:
    threads = measured["options"]["threads"]
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _device(measured: Mapping[str, Any]) -> str:
    """Device and options of a measurement in words."""
    device, options = measured["device"], measured["options"]
    words = [
        f"{device['name']} ({device['arch']}, {device['cores']} cores, {device['os_version']})",
        f"{device['runtime']} {device['runtime_version']}",
        _threads(measured),
        f"cores: {options['pin']}" if options["pin"] != "none" else "",
        f"delegate: {options['delegate']}",
        device["mode"],
    ]
    return ", ".join(word for word in words if word)


def _how(
    project: Project,
    found: Mapping[str, Any],
    retrained: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> tuple[tuple[str, str], ...]:
    splits, task = project.splits, project.splits.task
    margins = " The margins of chance are those of the test images." if task.binomial else ""
    how = [
        (
            f"{task.title} with generated weights",
            f"{task.definition}, on the search split ({splits.search.size:,} images carved from the training images, "
            "never trained on), batch-norm statistics recalibrated for each structure",
        ),
        ("Evaluations", f"{found['evaluations']} structures by the search, as many by the random control"),
        ("MACs and parameters", "closed form; MACs are multiply-adds of convolutions and dense layers"),
    ]
    if retrained:
        train = retrained["train"]
        taught = ", taught by the full network" if retrained["distill"] else ""
        how.append(
            (
                f"{task.title} after retraining",
                f"{task.definition}, on the test split ({splits.test.size:,} images, read by export and report only); "
                f"every network trained alike: {train['epochs']} epochs on {splits.train.size:,} images, init "
                f"{retrained['init']}, seed {train['seed']}{taught}.{margins} Another seed of training "
                f"moves every {task.metric} as well",
            )
        )
    measured = [(file, one) for file in manifest["files"] if (one := _measured(file)) is not None]
    devices = dict.fromkeys(_device(one) for _, one in measured)
    if devices:
        how.append(
            (
                "Latency",
                "median and 90th percentile of one inference, each file measured in turns with one of them; on "
                + "; and on ".join(devices),
            )
        )
    # A verdict is of file and reference, so it may have another reason than the file's own measurement.
    how += [
        (f"Latency of {file['file']}: {file['latency']['verdict']}", file["latency"]["reason"])
        for file, _ in measured
        if file["latency"]["verdict"] != "OK"
    ]
    how += [(f"No {file['scheme']} file of {file['model']}", file["reason"]) for file in manifest["refused"]]
    how += [(f"The {name} control is missing", reason) for name, reason in found["missing"].items()]
    if found["note"]:
        how.append(("Search", found["note"]))
    return tuple(how)
