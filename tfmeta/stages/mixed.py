"""Mixed precision: tries every number of layers kept out of int8, and exports the file for which that pays most."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmeta import files
from tfmeta.errors import ExportError, UserError, WorkdirError
from tfmeta.export import verify
from tfmeta.export.bundle import MANIFEST, Shipped, installed_versions, read_manifest, write_bundle
from tfmeta.export.calibration import MIN_IMAGES, check_calibration, from_split
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.export.mixed.bits import KINDS, BitWidths
from tfmeta.export.mixed.quantizer import MixedQuantizer
from tfmeta.export.mixed.sensitivity import judged, sensitivities
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.tflite import export_tflite
from tfmeta.latency.measure import FileLatency, measure_files
from tfmeta.latency.options import FINAL, HOST, LatencyOptions, Place
from tfmeta.project import Project
from tfmeta.stages.export import ExportOptions, measured, origin_of, sources
from tfmeta.stages.retrain import load_model
from tfmeta.stages.search import ROWS, structures
from tfmeta.workdir import MAIN

# What only chooses among the files that were tried.
_CHOOSING = ("max_loss", "min_class_agreement")


@dataclass(frozen=True)
class MixedOptions:
    """What to try.

    Attributes:
        row: which retrained network.
        init: of that network.
        kept: what the kept layers are in: "float" or "int16".
        max_kept: the largest number of kept layers that is tried.
        max_loss: accuracy (or what the task has), 0 to 1, that a file may lose against float on the search split.
        min_class_agreement: share of answers, 0 to 1, for which the chosen file must name the class that the float
            network names.
        calibration_images: training images that ranges are taken from.
        judge_images: images of the search split that layers and files are judged on.
        place: where files are timed.
        latency: how.
        name: name of the search.
    """

    row: str = "searched"
    init: str = "scratch"
    kept: str = "float"
    max_kept: int = 8
    max_loss: float = 0.005
    min_class_agreement: float = 0.9  # that of int8
    calibration_images: int = 300
    judge_images: int = 1000
    place: Place = HOST
    latency: LatencyOptions = FINAL
    name: str = MAIN

    def __post_init__(self) -> None:
        if self.kept not in ("float", "int16"):
            raise UserError(f"Expected layers kept in float or int16, received {self.kept!r}.")
        if self.row not in ROWS:
            raise UserError(f"Expected a row out of {', '.join(ROWS)}, received {self.row!r}.")
        if self.max_kept < 0:
            raise UserError(f"Expected max_kept of 0 or more, received {self.max_kept}.")
        if not 0.0 <= self.max_loss <= 1.0:
            raise UserError(f"Expected max_loss between 0 and 1, received {self.max_loss}. 0.005 is half a point.")
        Tolerance(self.min_class_agreement)  # raises where it is out of its range

    def to_json(self) -> dict[str, Any]:
        """Returns what the files and their numbers depend on, as plain data."""
        return {**asdict(self), "place": self.place.to_json()}

    @property
    def base(self) -> str:
        """What is written is called, before any suffix."""
        return f"{self.row}-{self.kept}"


def mixed(project: Project, options: MixedOptions, command: str = "") -> dict[str, Any]:
    """Writes what was tried and the bundle of the chosen file, and returns the former.

    ``mixed/NAME/ROW-KEPT.json`` has the sensitivity of every layer, then accuracy, size and latency of the files with
    0, 1, 2, ... of the most sensitive layers kept, then which of them was chosen. It is written step by step, and goes
    on after the last one when the same command is given again. ``mixed/NAME/ROW-KEPT/`` is the bundle of the chosen
    file, as one of an export.

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
    made = _begun(project, table, {"model_sha256": digest, "options": options.to_json()})
    if done and made.get("chosen") is not None:
        return made
    trial = _Trial.of(project, options, load_model(network, project.custom_objects))
    with tempfile.TemporaryDirectory() as scratch:
        _go_on(trial, made, table, Path(scratch), folder, command)
    return made


@dataclass(frozen=True, eq=False)
class _Trial:
    """A network, and the images that its files are made with and judged on."""

    project: Project
    options: MixedOptions
    model: Any
    preprocessing: Preprocessing
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, project: Project, options: MixedOptions, model: Any) -> _Trial:
        splits, seed = project.splits, project.options.seed
        calibration = from_split(splits.train, options.calibration_images, seed)
        images, labels = splits.search.sample(options.judge_images, seed)
        preprocessing = Preprocessing.of(splits)
        check_calibration(
            model,
            calibration,
            min_images=min(MIN_IMAGES, len(calibration)),
            reference=images,
            pixel_scale=preprocessing.pixel_scale,
        )
        return cls(project, options, model, preprocessing, calibration, images, labels)


def _go_on(trial: _Trial, made: dict[str, Any], table: Path, scratch: Path, folder: Path, command: str) -> None:
    """Takes the steps that ``made`` lacks, and writes it after each."""
    reference = scratch / "float.tflite"
    export_tflite(trial.model, reference, "fp32", trial.calibration, trial.images)
    quantizer = MixedQuantizer(reference, trial.model, trial.calibration)
    if "sensitivity" not in made:
        made["sensitivity"] = [
            {"layer": one.layer.name, "weights": one.layer.weights, "loss": one.loss, "accuracy": one.accuracy}
            for one in sensitivities(quantizer, trial.images, trial.labels)
        ]
        files.write_json(table, made)
    if "files" not in made:
        made.update(_tried(trial, quantizer, made, reference, scratch), versions=installed_versions(), command=command)
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
    and "written", whether its chosen file is there.

    Raises:
        WorkdirError: a file is damaged.
    """
    found = []
    for path in sorted(project.workdir.mixed(name, init).glob("*.json")):
        made = project.workdir.read_json(path, "mixed", ("options",))
        row, digest = made["options"]["row"], made.get("model_sha256")
        network = project.workdir.model(name, row, init)
        if "files" in made:
            current = network.exists() and files.sha256(network) == digest
            found.append({**made, "current": current, "written": _is_written(path.with_suffix(""), {row: digest})})
    return found


def _is_written(folder: Path, networks: Mapping[str, str | None]) -> bool:
    return (folder / MANIFEST).exists() and sources(read_manifest(folder / MANIFEST)) == networks


def _begun(project: Project, table: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was found already with the same network and options."""
    found = project.workdir.read_json(table, "mixed", ("options",)) if table.exists() else {}
    return {**(found if found and _depends_on(found) == _depends_on(asked) else {}), **asked}


def _depends_on(made: Mapping[str, Any]) -> Any:
    options = {name: value for name, value in made["options"].items() if name not in _CHOOSING}
    return json.loads(json.dumps([made.get("model_sha256"), options]))


def _widths(made: Mapping[str, Any], kept: int, options: MixedOptions) -> BitWidths:
    """The ``kept`` most sensitive layers in other bits."""
    return BitWidths.keeping([one["layer"] for one in made["sensitivity"][:kept]], KINDS[options.kept])


def _tried(
    trial: _Trial, quantizer: MixedQuantizer, made: Mapping[str, Any], reference: Path, folder: Path
) -> dict[str, Any]:
    """The files with 0, 1, 2, ... of the most sensitive layers kept, and the device that they were timed on."""
    options, paths = trial.options, [reference]
    for kept in range(min(options.max_kept, len(made["sensitivity"])) + 1):
        paths.append(folder / f"{kept}.tflite")
        paths[-1].write_bytes(quantizer.quantize(_widths(made, kept, options)))
    place = options.place
    latencies = measure_files(place.device, paths, reference, options.latency, place.options)
    rows = [
        _row(kept, path, latency, trial)
        for kept, path, latency in zip((None, *range(len(paths) - 1)), paths, latencies, strict=True)
    ]
    return {"files": rows, "device": latencies[0].measurement.to_json()["device"]}


def _row(kept: int | None, path: Path, latency: FileLatency, trial: _Trial) -> dict[str, Any]:
    _, accuracy = judged(path.read_bytes(), trial.images, trial.labels)
    return {
        "kept": kept,
        "size_bytes": path.stat().st_size,
        "search_accuracy": accuracy,
        "test_accuracy": verify.split_accuracy(path, trial.project.splits.test),
        "median_ms": latency.median_ms,
        "num_runs": latency.measurement.num_runs,
        "ratio": latency.ratio,
        "verdict": latency.verdict,
    }


def _no_choice(trial: _Trial, rows: Sequence[Mapping[str, Any]], table: Path) -> str:
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


def _write(trial: _Trial, quantizer: MixedQuantizer, made: Mapping[str, Any], folder: Path, command: str) -> None:
    """Writes the bundle of the chosen file, if that computes what the model computes."""
    project, options = trial.project, trial.options
    export = ExportOptions(init=options.init, place=options.place, latency=options.latency, name=options.name)
    scheme = Scheme(
        name=f"mixed_{options.kept}",
        description=f"int8 with {made['chosen']} layers in {options.kept}",
        needs_calibration=True,
        tolerance=Tolerance(options.min_class_agreement),
        convert=lambda *_: quantizer.quantize(_widths(made, made["chosen"], options)),
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
        shipped = measured(project, export, written, structures(project, options.name))
        origin = origin_of(project, export)
        write_bundle(new, shipped, [], preprocessing=trial.preprocessing, origin=origin, command=command)
