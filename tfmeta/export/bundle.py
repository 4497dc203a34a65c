"""``export/NAME/``: the files that an app takes, and everything that a careful reviewer asks for.

*.tflite            the verified files, with labels and normalisation inside
labels.txt          one class a line
preprocessing.json  size of the images, scale of the pixels, labels
snippets/           a Python program and, where it is known what to do with a picture, a Kotlin class for each file
MODEL_CARD.md       what it is, for people
manifest.json       what it is, for programs: hashes, versions, measurements, the search that led here
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tfmeta import files
from tfmeta.errors import ExportError
from tfmeta.export import TRAINED_SCHEMES
from tfmeta.export.flatbuffer import TensorInfo
from tfmeta.export.kotlin_snippet import class_name, kotlin_snippet
from tfmeta.export.model_card import model_card
from tfmeta.export.model_metadata import LABELS_FILE, labels_text
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.python_snippet import module_name, python_snippet
from tfmeta.export.tflite import ExportResult
from tfmeta.export.weights import weights_of

MANIFEST, MODEL_CARD = "manifest.json", "MODEL_CARD.md"

_PACKAGES = ("tfmeta", "tensorflow", "keras", "ai-edge-litert", "numpy")
_TRAINING_PACKAGES = ("tf-keras", "tensorflow-model-optimization")
_MIXED_PACKAGES = ("litert-quantizer",)


@dataclass(frozen=True)
class Shipped:
    """A verified file and what was measured of it; None is "not measured".

    Attributes:
        model: which network it is: "searched", "uniform", "full".
        result: what `export_tflite` returned.
        test_accuracy: of the .tflite file itself on the test split, 0 to 1, by the metric of its task.
        test_images: how many images that was measured on.
        latency: a `Measurement` as a plain dict, or None.
        widths: the structure, one width a searchable group, or None for a model that was not
            pruned.
        model_sha256: of the saved Keras model that the file was made of.
    """

    model: str
    result: ExportResult
    test_accuracy: float | None = None
    test_images: int | None = None
    latency: Mapping[str, Any] | None = None
    widths: Sequence[int] | None = None
    model_sha256: str | None = None


@dataclass(frozen=True)
class Refused:
    """A file that was not written, because it does not compute what its Keras model computes or does not convert."""

    model: str
    scheme: str
    reason: str
    model_sha256: str


@dataclass(frozen=True)
class Origin:
    """Where the networks of a bundle come from.

    Attributes:
        name: of the bundle.
        network: the one that was pruned.
        data_set: what it was trained on.
        budget: of the search, in words.
        search: the search that led here, as plain data.
    """

    name: str
    network: str
    data_set: str
    budget: str
    search: Mapping[str, Any]


def write_bundle(
    folder: Path,
    shipped: Sequence[Shipped],
    refused: Sequence[Refused],
    *,
    preprocessing: Preprocessing,
    origin: Origin,
    command: str,
) -> dict[str, Any]:
    """Writes everything beside the .tflite files into ``folder`` and returns the manifest, which is written last.

    Args:
        folder: where the shipped files lie; one of `tfmeta.files.replacing_folder`, for a bundle that is whole or
            absent.
        shipped: the verified files.
        refused: those that failed.
        preprocessing: what an app must do before and after.
        origin: where the networks come from.
        command: the command line that made them.

    Raises:
        ExportError: a file is gone, or is not the one that was verified.
    """
    files.write_text(folder / LABELS_FILE, labels_text(preprocessing))
    files.write_json(folder / "preprocessing.json", preprocessing.to_json())
    for item in shipped:
        _write_snippets(folder / "snippets", item.result, preprocessing)
    what = {"task": preprocessing.task.name, "metric": preprocessing.task.metric}
    manifest = {**_manifest(shipped, refused, folder, command), **what, "origin": asdict(origin)}
    files.write_text(folder / MODEL_CARD, model_card(manifest, preprocessing))
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tflite")
    manifest["sidecars"] = [_sidecar(path, folder) for path in others]
    files.write_json(folder / MANIFEST, manifest)
    return manifest


def write_manifest(
    path: str | os.PathLike[str], shipped: Sequence[Shipped], refused: Sequence[Refused] = (), *, command: str
) -> dict[str, Any]:
    """Writes the manifest of ``shipped`` alone to ``path``, whole or not at all, and returns it.

    Args:
        path: the manifest; the files should lie in its folder or below.
        shipped: the verified files.
        refused: those that failed.
        command: the command line that made them.

    Raises:
        ExportError: a file is gone, or is not the one that was verified.
    """
    manifest = _manifest(shipped, refused, Path(path).parent, command)
    files.write_json(path, manifest)
    return manifest


def _manifest(shipped: Sequence[Shipped], refused: Sequence[Refused], folder: Path, command: str) -> dict[str, Any]:
    schemes = [*(item.result.scheme for item in shipped), *(one.scheme for one in refused)]
    return {
        "command": command,
        "versions": installed_versions(schemes, mixed=any(scheme.startswith("mixed_") for scheme in schemes)),
        "files": [_entry(item, folder) for item in shipped],
        "refused": [asdict(item) for item in refused],
    }


def _write_snippets(folder: Path, result: ExportResult, preprocessing: Preprocessing) -> None:
    name, facts = result.path.name, (result.sha256, result.contents, preprocessing)
    files.write_text(folder / f"{module_name(name)}.py", python_snippet(name, *facts))
    kotlin = kotlin_snippet(name, *facts)
    if kotlin is not None:
        files.write_text(folder / f"{class_name(name)}.kt", kotlin)


def _sidecar(path: Path, folder: Path) -> dict[str, Any]:
    return {
        "file": str(path.relative_to(folder)),
        "sha256": files.sha256(path),
        "size_bytes": path.stat().st_size,
    }


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the manifest at ``path``.

    Raises:
        ExportError: there is none, or it is no manifest.
    """
    try:
        manifest = json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"No manifest at {str(path)!r}. Run the export first.") from error
    except ValueError as error:
        raise ExportError(f"{str(path)!r} is not valid JSON ({error}). Delete it and run the export again.") from error
    if not isinstance(manifest, dict) or "files" not in manifest:
        raise ExportError(f"Expected a manifest with 'files' at {str(path)!r}. Delete it and run the export again.")
    return manifest


def installed_versions(schemes: Iterable[str] = (), *, mixed: bool = False) -> dict[str, str]:
    """Returns the versions of Python and of what a file depends on, or "not installed".

    Args:
        schemes: those of the files; some need packages of their own.
        mixed: whether there are files of mixed precision.
    """
    trained = not TRAINED_SCHEMES.keys().isdisjoint(schemes)
    versions = {"python": platform.python_version()}
    for package in (*_PACKAGES, *(_TRAINING_PACKAGES if trained else ()), *(_MIXED_PACKAGES if mixed else ())):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _entry(item: Shipped, folder: Path) -> dict[str, Any]:
    result = item.result
    if not result.path.is_file() or files.sha256(result.path) != result.sha256:
        raise ExportError(
            f"Expected {str(result.path)!r} as it was verified (SHA-256 {result.sha256[:12]}…). "
            "It is gone or was changed. Run the export again."
        )
    contents = result.contents
    weights = weights_of(contents.operators)
    return {
        "file": os.path.relpath(result.path, folder),
        "model": item.model,
        "scheme": result.scheme,
        "sha256": result.sha256,
        "size_bytes": result.size_bytes,
        "minimum_runtime": {
            "version": result.minimum_runtime.version,
            "reason": result.minimum_runtime.reason,
            "unknown_operators": list(result.minimum_runtime.unknown),
        },
        "operators": [
            {
                "op": op,
                "version": version,
                "count": count,
                "weights": " and ".join(weights.get(op, ())) or "none",
            }
            for (op, version), count in contents.operator_counts().items()
        ],
        "inputs": {name: _tensor(tensor) for name, tensor in contents.inputs.items()},
        "outputs": {name: _tensor(tensor) for name, tensor in contents.outputs.items()},
        "agreement": asdict(result.agreement),
        "float_agreement": asdict(result.float_agreement),
        "worst_layers": [asdict(layer) for layer in result.layer_errors[:5]],
        "training": None if result.training is None else dict(result.training),
        "test_accuracy": item.test_accuracy,
        "test_images": item.test_images,
        "latency": None if item.latency is None else dict(item.latency),
        "model_sha256": item.model_sha256,
        "widths": None if item.widths is None else [int(width) for width in item.widths],
    }


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    quantization = None
    if tensor.quantization is not None:
        quantization = {
            "scale": tensor.quantization.scale,
            "zero_point": tensor.quantization.zero_point,
        }
    return {
        "tensor": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.lower(),
        "quantization": quantization,
    }
