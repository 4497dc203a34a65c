"""Mixed precision: tries every number of layers kept out of int8, and exports the file for which that pays most."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfmeta import files
from tfmeta.errors import ExportError, WorkdirError
from tfmeta.export.bundle import MANIFEST, Shipped, installed_versions, read_manifest, write_bundle
from tfmeta.export.calibration import MIN_IMAGES
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.export.mixed.quantizer import MixedQuantizer
from tfmeta.export.tflite import export_tflite
from tfmeta.graph.structure import Structure
from tfmeta.project import Project
from tfmeta.stages.export import ExportOptions, altered, is_current, measured, origin_of, sources
from tfmeta.stages.mixed_trial import MixedOptions, Trial, rank, try_files, widths
from tfmeta.stages.retrain import load_model
from tfmeta.stages.search import structures

# Of what is in the table: to be raised when files are made, or judged, in another way.
_METHOD = 2

# What only chooses among the files that were tried.
_CHOOSING = ("max_loss", "min_class_agreement")


def mixed(project: Project, options: MixedOptions, command: str = "") -> dict[str, Any]:
    """Writes what was tried and the bundle of the chosen file, and returns the former.

    ``mixed/NAME/ROW-KEPT.json`` has the sensitivity of every layer, then accuracy, size and latency of the files with
    0, 1, 2, ... of the most sensitive layers kept, then which of them was chosen. It is written after every layer and
    every file, and goes on after the last one when the same command is given again. ``mixed/NAME/ROW-KEPT/`` is the
    bundle of the chosen file, as one of an export, and is written again where its files are no longer those of then.

    Layers are judged, and a number of them chosen, on the search split. The test split tells the accuracy that is
    reported of every file.

    Raises:
        WorkdirError: the network is not retrained yet, or the bundle was written with other options.
        ExportError: litert-quantizer is missing, no file loses at most ``max_loss``, or the chosen one does not compute
            what the model computes.
        BenchError: the device does not answer.
    """
    network = project.workdir.model(options.name, options.row, options.init)
    if not network.exists():
        path = project.workdir.path
        raise WorkdirError(f"No retrained model at {network}. Run first: tfmeta retrain --workdir={path}")
    folder = project.workdir.mixed(options.name, options.init) / options.base
    table, digest = folder.with_suffix(".json"), files.sha256(network)
    done = _is_written(folder, {options.row: digest})
    section = f"mixed {options.name} {options.init} {options.base}"
    instead = f"delete {folder / MANIFEST} to choose anew"
    project.workdir.claim(section, options.to_json(), begun=done, instead=instead)
    made = _begun(project, table, {"model_sha256": digest, "options": options.to_json(), "made_with": _made_with()})
    chosen = done and made.get("chosen") is not None
    if chosen and is_current(folder, read_manifest(folder / MANIFEST), {options.row: network}):
        return made
    trial = Trial.of(project, options, load_model(network, project.custom_objects))
    with tempfile.TemporaryDirectory() as scratch:
        _go_on(trial, made, table, Path(scratch), folder, command)
    return made


def _go_on(trial: Trial, made: dict[str, Any], table: Path, scratch: Path, folder: Path, command: str) -> None:
    """Takes the steps that ``made`` lacks, and writes it after each."""
    reference = scratch / "float.tflite"
    export_tflite(trial.model, reference, "fp32", trial.calibration, trial.images)
    quantizer = MixedQuantizer(reference, trial.model, trial.calibration)
    if "sensitivity" not in made:
        rank(trial, quantizer, made, table)
    if "versions" not in made:
        try_files(trial, quantizer, made, table, reference, scratch)
        made.update(versions=installed_versions(mixed=True), command=command)
        files.write_json(table, made)
    made["chosen"] = choose(made["files"], trial.options.max_loss)
    files.write_json(table, made)
    if made["chosen"] is None:
        raise ExportError(_no_choice(trial, made["files"], table))
    _write(trial, quantizer, made, folder, command)


def choose(rows: Sequence[Mapping[str, Any]], max_loss: float) -> int | None:
    """Returns how many layers to keep: those of the fastest file that loses at most ``max_loss``, None where none does.

    Args:
        rows: that of the float file first ("kept" None), then those of 0, 1, 2, ... kept layers.
        max_loss: accuracy, 0 to 1.
    """
    reference, *others = rows
    good = [row for row in others if row["search_accuracy"] >= reference["search_accuracy"] - max_loss]
    return int(min(good, key=lambda row: (row["ratio"], row["size_bytes"]))["kept"]) if good else None


def tried(project: Project, name: str, init: str) -> list[dict[str, Any]]:
    """Returns what was tried of the networks of a search, as `mixed` does, where all files were.

    Beside that, each has "current", whether the network is the one that was tried and not one that was trained since,
    and it was tried as it is now, and "written", whether its chosen file is there.

    Raises:
        WorkdirError: a file is damaged.
    """
    found = []
    for path in sorted(project.workdir.mixed(name, init).glob("*.json")):
        made = project.workdir.read_json(path, "mixed", ("options",))
        row, digest = made["options"]["row"], made.get("model_sha256")
        network = project.workdir.model(name, row, init)
        if "versions" in made:
            current = network.exists() and files.sha256(network) == digest and _method(made) == _METHOD
            found.append({**made, "current": current, "written": _has_file(path.with_suffix(""), {row: digest})})
    return found


def _is_written(folder: Path, networks: Mapping[str, str | None]) -> bool:
    return (folder / MANIFEST).exists() and sources(read_manifest(folder / MANIFEST)) == networks


def _has_file(folder: Path, networks: Mapping[str, str | None]) -> bool:
    return _is_written(folder, networks) and not altered(folder, read_manifest(folder / MANIFEST)["files"])


def _begun(project: Project, table: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was found already with the same network and options."""
    found = project.workdir.read_json(table, "mixed", ("options",)) if table.exists() else {}
    return {**(found if found and _depends_on(found) == _depends_on(asked) else {}), **asked}


def _depends_on(made: Mapping[str, Any]) -> Any:
    options = {name: value for name, value in made["options"].items() if name not in _CHOOSING}
    return json.loads(json.dumps([made.get("model_sha256"), options, made.get("made_with")]))


def _made_with() -> dict[str, Any]:
    return {"method": _METHOD, "litert-quantizer": installed_versions(mixed=True)["litert-quantizer"]}


def _method(made: Mapping[str, Any]) -> int:
    """That of a table; those of the first one do not tell it."""
    return int(made.get("made_with", {}).get("method", 1))


def _no_choice(trial: Trial, rows: Sequence[Mapping[str, Any]], table: Path) -> str:
    reference, *others = rows
    best = max(others, key=lambda row: row["search_accuracy"])
    loss = 100 * (reference["search_accuracy"] - best["search_accuracy"])
    kept, metric = trial.options.kept, trial.project.splits.task.metric
    finer = "" if kept == "float" else "--kept=float, "
    return (
        f"Expected a file that loses at most {100 * trial.options.max_loss:g} points of {metric} against float on the "
        f"search split. Received: {loss:.2f} points with {best['kept']} layers in {kept}, the best of up to "
        f"{len(others) - 1}. Nothing was written; {table} has all that were tried. Keep more layers (--max_kept), "
        f"{finer}or allow more with --max_loss."
    )


def _write(trial: Trial, quantizer: MixedQuantizer, made: Mapping[str, Any], folder: Path, command: str) -> None:
    """Writes the bundle of the chosen file, if that computes what the model computes."""
    project, options = trial.project, trial.options
    export = ExportOptions(init=options.init, place=options.place, latency=options.latency, name=options.name)
    scheme = Scheme(
        name=f"mixed_{options.kept}",
        description=f"int8 with {made['chosen']} layers in {options.kept}",
        needs_calibration=True,
        tolerance=Tolerance(options.min_class_agreement),
        convert=lambda *_: quantizer.quantize(widths(made, made["chosen"], options)),
        finer=("int16x8", "fp16"),
        remedy="a smaller --max_loss, which keeps more layers",
    )
    with files.replacing_folder(folder) as new:
        result = export_tflite(
            trial.model,
            new / f"{options.row}-{scheme.name}.tflite",
            scheme,
            trial.calibration,
            trial.images,
            min_calibration_images=min(MIN_IMAGES, len(trial.calibration)),
            preprocessing=trial.preprocessing,
        )
        files.write_json(new / "tried.json", made)
        written = [Shipped(options.row, result, model_sha256=made["model_sha256"])]
        found = structures(project, options.name)
        row = next(row for row in made["files"] if row["kept"] == made["chosen"])
        if row["sha256"] == result.sha256:
            shipped = [_as_tried(trial, written[0], row, found)]
        else:
            shipped = measured(project, export, written, found)
        origin = origin_of(project, export)
        write_bundle(new, shipped, [], preprocessing=trial.preprocessing, origin=origin, command=command)


def _as_tried(trial: Trial, item: Shipped, row: Mapping[str, Any], found: Mapping[str, Structure]) -> Shipped:
    """The file with what was measured of the same one when it was tried."""
    latency = row["latency"]
    return replace(
        item,
        test_accuracy=row["test_accuracy"],
        test_images=trial.project.splits.test.size,
        latency={**latency, "measurement": {**latency["measurement"], "model_name": item.result.path.name}},
        widths=found[item.model].widths,
    )
