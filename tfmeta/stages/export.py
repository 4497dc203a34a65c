"""Stage 4: writes the retrained networks as verified `.tflite` files, tests and times them, and lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfmeta.errors import WorkdirError
from tfmeta.export import SCHEMES
from tfmeta.export.bundle import Shipped, read_manifest, write_manifest
from tfmeta.export.tflite import ExportResult, export_tflite
from tfmeta.export.verify import split_accuracy
from tfmeta.latency.measure import measure_files
from tfmeta.latency.options import FINAL, LatencyOptions
from tfmeta.project import Project
from tfmeta.stages.retrain import load_model
from tfmeta.stages.search import ROWS, structures
from tfmeta.workdir import MAIN


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes:
        schemes: names in `tfmeta.export.SCHEMES`.
        init: which retrained networks.
        calibration_images: training images, balanced by class, that quantization ranges are taken from.
        verify_images: images of the search split that file and model are compared on.
        device: where the files are timed, a device text of tflite_bench.
        latency: how.
        name: name of the search.
    """

    schemes: tuple[str, ...] = tuple(SCHEMES)
    init: str = "scratch"
    calibration_images: int = 300
    verify_images: int = 300
    device: str = "host"
    latency: LatencyOptions = FINAL
    name: str = MAIN


def export(project: Project, options: ExportOptions, command: str = "") -> dict[str, Any]:
    """Writes ``export/NAME/*.tflite`` and ``manifest.json``, and returns the manifest.

    A file is written only after it computed what its Keras model computes, on real samples. The accuracy in the
    manifest is the file's own, on the test split.

    Raises:
        WorkdirError: nothing is retrained yet.
        ExportError: a model does not convert, or its file computes something else.
        BenchError: the device does not answer.
    """
    folder = project.workdir.export(options.name, options.init)
    manifest = folder / "manifest.json"
    section, instead = f"export {options.name} {options.init}", f"delete {manifest} to export anew"
    if manifest.exists():
        project.workdir.claim(section, asdict(options), begun=True, instead=instead)
        return read_manifest(manifest)
    found = structures(project, options.name)
    models = {row: project.workdir.model(options.name, row, options.init) for row in ROWS}
    models = {row: path for row, path in models.items() if path.exists()}
    if not models:
        raise WorkdirError(
            f"No retrained models in {project.workdir.path}. Run first: tfmeta retrain --workdir={project.workdir.path}"
        )
    project.workdir.claim(section, asdict(options), begun=False)
    written = _write(project, options, models, folder)
    paths = [result.path for _, result in written]
    # Every file is timed in turns with one of them, the full network where it is there.
    reference = next((result.path for row, result in written if row == "full"), paths[0])
    latencies = measure_files(options.device, paths, reference, options.latency)
    shipped = [
        Shipped(
            model=row,
            result=result,
            test_accuracy=split_accuracy(result.path, project.splits.test),
            test_images=project.splits.test.size,
            latency=latency.to_json(),
            widths=found[row].widths,
        )
        for (row, result), latency in zip(written, latencies, strict=True)
    ]
    return write_manifest(manifest, shipped, command=command)


def _write(
    project: Project, options: ExportOptions, models: dict[str, Path], folder: Path
) -> Sequence[tuple[str, ExportResult]]:
    calibration, _ = project.splits.train.sample(options.calibration_images, project.options.seed)
    samples, _ = project.splits.search.sample(options.verify_images, project.options.seed)
    few = min(options.calibration_images, project.splits.train.size)
    written = []
    for row, path in models.items():
        model = load_model(path)
        for scheme in options.schemes:
            result = export_tflite(
                model,
                folder / f"{row}-{scheme}.tflite",
                scheme,
                calibration,
                samples,
                min_calibration_images=min(few, 100),
            )
            written.append((row, result))
    return written
