"""What mixed precision tries of a network: every layer alone, then files with more and more layers kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmeta import files
from tfmeta.errors import UserError
from tfmeta.export.calibration import MIN_IMAGES, check_calibration, from_split
from tfmeta.export.interface import Tolerance
from tfmeta.export.mixed.bits import KINDS, BitWidths
from tfmeta.export.mixed.quantizer import MixedQuantizer
from tfmeta.export.mixed.sensitivity import judged, one_by_one
from tfmeta.export.model_metadata import embedded
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.latency.measure import FileLatency, measure_files, opened
from tfmeta.latency.options import FINAL, HOST, LatencyOptions, Place
from tfmeta.project import Project
from tfmeta.stages.kept import Kept, file_accuracy, versions
from tfmeta.stages.search import ROWS
from tfmeta.workdir import MAIN


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


@dataclass(frozen=True, eq=False)
class Trial:
    """A network, and the images that its files are made with and judged on.

    Attributes:
        project: whose network it is.
        options: what to try.
        model: the network.
        preprocessing: of its files.
        calibration: `[N, H, W, C]` float32 that ranges are taken from.
        images: `[M, H, W, C]` float32 that files are judged on.
        labels: `[M]`, or `[M, H, W]` for each pixel.
    """

    project: Project
    options: MixedOptions
    model: Any
    preprocessing: Preprocessing
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, project: Project, options: MixedOptions, model: Any) -> Trial:
        """Returns the trial of ``model``, with images of the project; raises ExportError where they do not fit it."""
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


def rank(trial: Trial, quantizer: MixedQuantizer, made: dict[str, Any], table: Path) -> None:
    """Adds the sensitivity of every layer to ``made``, which is written after each as "alone", in their order."""
    alone = made.setdefault("alone", [])
    for one in one_by_one(quantizer, trial.images, trial.labels, begin=len(alone)):
        layer = one.layer
        alone.append({"layer": layer.name, "weights": layer.weights, "loss": one.loss, "accuracy": one.accuracy})
        files.write_json(table, made)
    made["sensitivity"] = sorted(made.pop("alone"), key=lambda one: one["loss"], reverse=True)
    files.write_json(table, made)


def try_files(
    trial: Trial, quantizer: MixedQuantizer, made: dict[str, Any], table: Path, reference: Path, folder: Path
) -> None:
    """Adds what is found of the files to ``made``, which is written after each, and the device that they are timed on.

    The rows of "files" that ``made`` has already stay, where they are of the same file and the same device.

    Args:
        trial: of the network.
        quantizer: of its float file.
        made: what was found so far, with the sensitivity of all layers.
        table: where it is written.
        reference: the float file, which is the first row and runs in turns with the others.
        folder: where the other files are written.
    """
    options, place = trial.options, trial.options.place
    paths: dict[int | None, Path] = {None: reference}
    for kept in range(min(options.max_kept, len(made["sensitivity"])) + 1):
        paths[kept] = folder / f"{kept}.tflite"
        paths[kept].write_bytes(_quantized(trial, quantizer, made, kept))
    # Before the device is held. They are kept, so that only the first time they take long.
    accuracies = {kept: _accuracies(trial, path) for kept, path in paths.items()}
    with opened(place.device, place.options) as device:
        told = (device.info().fingerprint, {kept: files.sha256(path) for kept, path in paths.items()})
        rows = {row["kept"]: row for row in made.get("files", ()) if _is_of(row, *told)}

        def keep(latency: FileLatency) -> None:
            kept = next(kept for kept, path in paths.items() if path == latency.path)
            rows[kept] = _row(kept, latency, accuracies[kept])
            made["files"] = [rows[one] for one in paths if one in rows]
            files.write_json(table, made)

        missing = [path for kept, path in paths.items() if kept not in rows]
        if missing:
            measure_files(device, missing, reference, options.latency, operators=True, on_measured=keep)
    made["files"] = [rows[kept] for kept in paths]
    made["device"] = rows[None]["latency"]["measurement"]["device"]


def _quantized(trial: Trial, quantizer: MixedQuantizer, made: Mapping[str, Any], kept: int) -> bytes:
    """The file as it ships."""
    data = quantizer.quantize(widths(made, kept, trial.options))
    return embedded(data, trial.preprocessing, str(trial.model.name))


def _is_of(row: Mapping[str, Any], device: str, hashes: Mapping[int | None, str]) -> bool:
    """Whether a row is of the file that would be timed now, on the device where it would be."""
    same = row["sha256"] == hashes.get(row["kept"])
    return bool(same and row["latency"]["measurement"]["device"]["fingerprint"] == device)


def _accuracies(trial: Trial, path: Path) -> dict[str, float]:
    """Those of a file on the search and on the test split."""
    project = trial.project
    key = {
        "what": "accuracy of a sample",
        "file": files.sha256(path),
        "split": project.splits.search.fingerprint,
        "images": len(trial.images),
        "seed": project.options.seed,
        **versions("ai-edge-litert"),
    }
    searched = Kept(project.workdir.kept).found(key, lambda: judged(path.read_bytes(), trial.images, trial.labels)[1])
    return {"search_accuracy": searched, "test_accuracy": file_accuracy(project, path)}


def _row(kept: int | None, latency: FileLatency, accuracies: Mapping[str, float]) -> dict[str, Any]:
    return {
        "kept": kept,
        "sha256": files.sha256(latency.path),
        "size_bytes": latency.path.stat().st_size,
        **accuracies,
        "median_ms": latency.median_ms,
        "num_runs": latency.measurement.num_runs,
        "ratio": latency.ratio,
        "verdict": latency.verdict,
        "latency": latency.to_json(),
    }


def widths(made: Mapping[str, Any], kept: int, options: MixedOptions) -> BitWidths:
    """Returns the bits of a file with the ``kept`` most sensitive layers in other bits."""
    return BitWidths.keeping([one["layer"] for one in made["sensitivity"][:kept]], KINDS[options.kept])
