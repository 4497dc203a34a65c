"""Mixed precision: tries every number of layers kept out of int8, and writes the file for which that pays most."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmeta import files
from tfmeta.errors import UserError, WorkdirError
from tfmeta.export import verify
from tfmeta.export.calibration import from_split
from tfmeta.export.interface import Tolerance
from tfmeta.export.mixed.bits import KINDS, BitWidths
from tfmeta.export.mixed.quantizer import MixedQuantizer
from tfmeta.export.mixed.sensitivity import Sensitivity, judged, sensitivities
from tfmeta.export.tflite import export_tflite
from tfmeta.latency.measure import FileLatency, measure_files
from tfmeta.latency.options import FINAL, HOST, LatencyOptions, Place
from tfmeta.project import Project
from tfmeta.stages.retrain import load_model
from tfmeta.stages.search import ROWS
from tfmeta.workdir import MAIN

_TOLERANCE = Tolerance(min_class_agreement=0.9)  # that of int8


@dataclass(frozen=True)
class MixedOptions:
    """What to try.

    Attributes:
        row: which retrained network.
        init: of that network.
        kept: what the kept layers are in: "float" or "int16".
        max_kept: the largest number of kept layers that is tried.
        max_loss: accuracy (or what the task has), 0 to 1, that a file may lose against float on the search split.
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

    def to_json(self) -> dict[str, Any]:
        """Returns what the files and their numbers depend on, as plain data."""
        return {**asdict(self), "place": self.place.to_json()}


def mixed(project: Project, options: MixedOptions) -> dict[str, Any]:
    """Writes ``mixed/NAME/ROW-KEPT.tflite`` and ``ROW-KEPT.json``, and returns the latter.

    Layers are judged, and a number of them chosen, on the search split. The test split tells the accuracy that is
    reported of every file.

    Raises:
        WorkdirError: the network is not retrained yet.
        ExportError: litert-quantizer is missing, or the chosen file does not compute what the model computes.
        BenchError: the device does not answer.
    """
    path = project.workdir.model(options.name, options.row, options.init)
    if not path.exists():
        raise WorkdirError(f"No retrained model at {path}. Run first: tfmeta retrain --workdir={project.workdir.path}")
    model, seed = load_model(path, project.custom_objects), project.options.seed
    calibration = from_split(project.splits.train, options.calibration_images, seed)
    images, labels = project.splits.search.sample(options.judge_images, seed)
    target = project.workdir.mixed(options.name, options.init) / f"{options.row}-{options.kept}.tflite"
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "float.tflite"
        export_tflite(model, reference, "fp32", calibration, images)
        quantizer = MixedQuantizer(reference, model, calibration)
        ranked = sensitivities(quantizer, images, labels)
        tried = _tried(quantizer, ranked, options, Path(folder))
        place = options.place
        latencies = measure_files(place.device, [reference, *tried], reference, options.latency, place.options)
        rows = [
            _row(kept, file, latency, project, images, labels)
            for kept, file, latency in zip((None, *range(len(tried))), [reference, *tried], latencies, strict=True)
        ]
        chosen = choose(rows, options.max_loss)
        _write(tried[chosen], target, model, images, project.splits.label_shape)
    found = {
        "options": options.to_json(),
        "sensitivity": [
            {"layer": one.layer.name, "weights": one.layer.weights, "loss": one.loss, "accuracy": one.accuracy}
            for one in ranked
        ],
        "files": rows,
        "chosen": chosen,
        "sha256": files.sha256(target),
    }
    files.write_json(target.with_suffix(".json"), found)
    return found


def choose(rows: Sequence[dict[str, Any]], max_loss: float) -> int:
    """Returns how many layers to keep: the fastest file that loses at most ``max_loss``, or else the most accurate.

    Args:
        rows: that of the float file first ("kept" None), then those of 0, 1, 2, ... kept layers.
        max_loss: accuracy, 0 to 1.
    """
    reference, *mixed_rows = rows
    good = [row for row in mixed_rows if row["search_accuracy"] >= reference["search_accuracy"] - max_loss]
    if good:
        return int(min(good, key=lambda row: (row["ratio"], row["size_bytes"]))["kept"])
    return int(max(mixed_rows, key=lambda row: row["search_accuracy"])["kept"])


def _tried(quantizer: MixedQuantizer, ranked: Sequence[Sensitivity], options: MixedOptions, folder: Path) -> list[Path]:
    """Files with 0, 1, 2, ... of the most sensitive layers kept."""
    paths = []
    for kept in range(min(options.max_kept, len(ranked)) + 1):
        names = [one.layer.name for one in ranked[:kept]]
        path = folder / f"{kept}.tflite"
        path.write_bytes(quantizer.quantize(BitWidths.keeping(names, KINDS[options.kept])))
        paths.append(path)
    return paths


def _row(
    kept: int | None, path: Path, latency: FileLatency, project: Project, images: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    _, accuracy = judged(path.read_bytes(), images, labels)
    return {
        "kept": kept,
        "size_bytes": path.stat().st_size,
        "search_accuracy": accuracy,
        "test_accuracy": verify.split_accuracy(path, project.splits.test),
        "median_ms": latency.median_ms,
        "num_runs": latency.measurement.num_runs,
        "ratio": latency.ratio,
        "verdict": latency.verdict,
    }


def _write(path: Path, target: Path, model: Any, images: np.ndarray, label_shape: Sequence[int]) -> None:
    """Gives the file its name, if it computes what the model computes."""
    verify.require(verify.compare(path, model, images, label_shape), _TOLERANCE, "mixed")
    with files.replacing(target) as temporary:
        shutil.copyfile(path, temporary)
