"""Stage 4: writes the retrained networks as verified `.tflite` files, tests and times them, and lists them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tfmeta import files
from tfmeta.errors import ExportError, TrainingError, WorkdirError
from tfmeta.export import ALL_SCHEMES, DEFAULT_SCHEMES
from tfmeta.export.bundle import MANIFEST, MODEL_CARD, Origin, Refused, Shipped, read_manifest, write_bundle
from tfmeta.export.calibration import MIN_IMAGES, from_split
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.tflite import export_tflite
from tfmeta.export.tuning import TuneOptions
from tfmeta.graph.structure import Structure
from tfmeta.latency.options import FINAL, HOST, LatencyOptions, Place
from tfmeta.networks import spec
from tfmeta.progress import bar
from tfmeta.project import Project
from tfmeta.registry import resolve
from tfmeta.stages.kept import file_accuracy, file_latencies
from tfmeta.stages.retrain import load_model, retrained_with
from tfmeta.stages.search import ROWS, result, structures
from tfmeta.workdir import MAIN

# Of the files that are not as they were written, so many are named.
_TOLD = 3


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes:
        schemes: names in `tfmeta.export.ALL_SCHEMES`.
        init: which retrained networks.
        calibration_images: training images, balanced by class where an image has one, that quantization ranges are
            taken from.
        verify_images: images of the search split that file and model are compared on.
        min_class_agreement: share of them, or of their pixels, that both must give the same class, 0 to 1; the
            scheme's own by default.
        place: where the files are timed.
        latency: how.
        tune: how schemes that train do it.
        name: name of the search.
    """

    schemes: tuple[str, ...] = DEFAULT_SCHEMES
    init: str = "scratch"
    calibration_images: int = 300
    verify_images: int = 300
    min_class_agreement: float | None = None
    place: Place = HOST
    latency: LatencyOptions = FINAL
    tune: TuneOptions = field(default_factory=TuneOptions)
    name: str = MAIN

    def to_json(self) -> dict[str, Any]:
        """Returns what the files and their numbers depend on, as plain data."""
        return {**asdict(self), "place": self.place.to_json()}


def export(project: Project, options: ExportOptions, command: str = "") -> dict[str, Any]:
    """Writes the bundle ``export/NAME/`` and returns its manifest.

    A file is written only after it computed what its Keras model computes, on real samples. The accuracy in the
    manifest is the file's own, on the test split. The folder appears when everything in it is there, and
    stays as it was until then. A bundle that lacks a file (`unwritten`) is made again.

    Raises:
        WorkdirError: nothing is retrained yet.
        ExportError: no model converts to a file that computes the same.
        BenchError: the device does not answer.
    """
    models = _models(project, options)
    folder = project.workdir.export(options.name, options.init)
    made = made_before(project, options, options.init)
    if made is not None and is_current(folder, made, models):
        return made
    preprocessing = Preprocessing.of(project.splits)
    with files.replacing_folder(folder) as new:
        written, refused = write_files(project, options, models, new, preprocessing)
        shipped = measured(project, options, written, structures(project, options.name))
        origin = origin_of(project, options)
        return write_bundle(new, shipped, refused, preprocessing=preprocessing, origin=origin, command=command)


def made_before(project: Project, options: ExportOptions, init: str) -> dict[str, Any] | None:
    """Claims the options of a bundle, and returns its manifest where it is there and lacks nothing.

    Args:
        project: of the bundle.
        options: what to export.
        init: which networks, as in the name of the folder.

    Raises:
        WorkdirError: it was made with other options.
        ExportError: its manifest is damaged.
    """
    path = project.workdir.export(options.name, init) / MANIFEST
    made = read_manifest(path) if path.exists() else None
    if made is not None and unwritten(made):
        made = None  # what was refused is tried again, with other options too
    section, instead = f"export {options.name} {init}", f"delete {path} to export anew"
    project.workdir.claim(section, options.to_json(), begun=made is not None, instead=instead)
    return made


def unwritten(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns what was refused of the network that a bundle is about: the searched one, or the only one."""
    refused = manifest["refused"]
    models = {file["model"] for file in (*manifest["files"], *refused)}
    return [one for one in refused if one["model"] == "searched" or len(models) == 1]


def is_current(folder: Path, manifest: Mapping[str, Any], models: Mapping[str, Path]) -> bool:
    """Returns whether a bundle is of these networks, and its files are those that were written.

    Where the files are not, a line on standard error says which, and that the bundle is written again.

    Args:
        folder: of the bundle.
        manifest: its own.
        models: row → the saved Keras model.
    """
    if sources(manifest) != {row: files.sha256(path) for row, path in models.items()}:
        return False
    found = altered(folder, (*manifest["files"], *manifest.get("sidecars", ())))
    found = [one for one in found if one != f"{MODEL_CARD} was changed"]  # people add notes of their own
    if found:
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        print(f"{folder}: {', '.join(found[:_TOLD])}{more}. The bundle is written again.", file=sys.stderr)
    return not found


def altered(folder: Path, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what is no longer as it was written: "labels.txt is gone", "labels.txt was changed".

    Args:
        folder: of the bundle.
        entries: of its manifest, each with "file" and "sha256".
    """
    found = []
    for entry in entries:
        path = folder / entry["file"]
        if not path.is_file():
            found.append(f"{entry['file']} is gone")
        elif files.sha256(path) != entry["sha256"]:
            found.append(f"{entry['file']} was changed")
    return found


def require_written(manifest: Mapping[str, Any]) -> None:
    """Checks that a bundle lacks no file of the network that it is about.

    Raises:
        ExportError: it does; the text says which, and why.
    """
    lacking = unwritten(manifest)
    if lacking:
        names = ", ".join(f"{one['model']}-{one['scheme']}.tflite" for one in lacking)
        raise ExportError(f"Not written: {names}. The other files are in the bundle. {_first(lacking)}")


def _first(refused: Sequence[Mapping[str, Any]]) -> str:
    """The first reason, and how many more there are."""
    more = f" (And {len(refused) - 1} more.)" if len(refused) > 1 else ""
    return f"{refused[0]['scheme']} of {refused[0]['model']}: {refused[0]['reason']}{more}"


def measured(
    project: Project, options: ExportOptions, written: list[Shipped], found: Mapping[str, Structure]
) -> list[Shipped]:
    """Returns the files with their accuracy on the test split, their latency and the structure of their model."""
    # Every file is timed in turns with one of them, the full network where it is there.
    reference = next((item.result.path for item in written if item.model == "full"), written[0].result.path)
    paths = [item.result.path for item in written]
    latencies = file_latencies(project, options.place, paths, reference, options.latency)
    return [
        replace(
            item,
            test_accuracy=file_accuracy(project, item.result.path),
            test_images=project.splits.test.size,
            latency=latency,
            widths=found[item.model].widths,
        )
        for item, latency in zip(written, latencies, strict=True)
    ]


def origin_of(project: Project, options: ExportOptions) -> Origin:
    """Returns the search that the networks come from."""
    found, config = result(project, options.name), project.workdir.config
    asked = config.get(f"search {options.name}", {})
    training = config.get(f"retrain {options.name} {options.init}", {}).get("train", {})
    search = {
        "searcher": asked.get("searcher", ""),
        "evaluations": found["evaluations"],
        "seed": asked.get("seed", ""),
        "retrained from": options.init,
        "epochs": training.get("epochs", ""),
        "budget": found["budget"],
        "structures": found["structures"],
    }
    model = project.options.model
    title = Path(model).stem if spec.is_file(model) else model
    name = options.name if options.name != MAIN else title
    return Origin(name, model, project.options.dataset, found["budget"], search)


def _models(project: Project, options: ExportOptions) -> dict[str, Path]:
    paths = {row: project.workdir.model(options.name, row, options.init) for row in ROWS}
    models = {row: path for row, path in paths.items() if path.exists()}
    if not models:
        structures(project, options.name)  # tells when not even the search is done
        raise WorkdirError(
            f"No retrained models in {project.workdir.path}. Run first: tfmeta retrain --workdir={project.workdir.path}"
        )
    return models


def sources(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Returns row → SHA-256 of the Keras model that its files were made of."""
    return {file["model"]: file["model_sha256"] for file in (*manifest["files"], *manifest["refused"])}


def write_files(
    project: Project, options: ExportOptions, models: dict[str, Path], folder: Path, preprocessing: Preprocessing
) -> tuple[list[Shipped], list[Refused]]:
    """Writes what verifies, and leaves out what does not, with its reason.

    Raises:
        ExportError: nothing verifies.
    """
    calibration = from_split(project.splits.train, options.calibration_images, project.options.seed)
    samples, _ = project.splits.search.sample(options.verify_images, project.options.seed)
    written: list[Shipped] = []
    refused: list[Refused] = []
    wanted = [(row, path, scheme) for row, path in models.items() for scheme in options.schemes]
    loaded: dict[str, Any] = {}  # one at a time, for all schemes: its calibration images are checked once
    for row, path, scheme in bar(wanted, "Exporting", unit="file"):
        if row not in loaded:
            loaded = {row: load_model(path, project.custom_objects)}
        model, digest = loaded[row], files.sha256(path)
        target = folder / f"{row}-{scheme}.tflite"
        try:
            exported = export_tflite(
                _trained(project, options, scheme, model, digest),
                target,
                scheme,
                calibration,
                samples,
                min_class_agreement=options.min_class_agreement,
                min_calibration_images=min(MIN_IMAGES, len(calibration)),
                preprocessing=preprocessing,
            )
        except (ExportError, TrainingError) as error:
            refused.append(Refused(row, scheme, str(error), digest))
            continue
        written.append(Shipped(row, exported, model_sha256=digest))
    if not written:
        raise ExportError(f"No file was written. {_first([asdict(one) for one in refused])}")
    return written, refused


def _trained(project: Project, options: ExportOptions, scheme: str, model: Any, digest: str) -> Any:
    """What the file of ``scheme`` is made of: the model, or what the scheme trains it to."""
    train = resolve(ALL_SCHEMES, scheme, "quantization scheme").train
    if train is None:
        return model
    tune = _as_retrained(project, options)
    # Named after all that it depends on, so that what was done is found again, and nothing else is.
    text = json.dumps([digest, asdict(tune), asdict(project.options)], sort_keys=True)
    folder = project.workdir.tuned(hashlib.sha256(text.encode()).hexdigest()[:16])
    return train(model, project.splits, tune, folder)


def _as_retrained(project: Project, options: ExportOptions) -> TuneOptions:
    """The options of the training, with the settings that the network was retrained with where none are asked."""
    own, wanted = retrained_with(project, options.name, options.init), options.tune.train
    if own is None:
        return options.tune
    return replace(options.tune, train=replace(own, epochs=wanted.epochs, learning_rate=wanted.learning_rate))
