"""What was found of a file or a network, kept in the work directory: after a kill it is not found a second time.

A value is found again only under the same key, which names all that it depends on. Entries can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfmeta import files
from tfmeta.export.bundle import installed_versions
from tfmeta.export.verify import split_accuracy
from tfmeta.latency.measure import FileLatency, measure_files, opened
from tfmeta.latency.options import LatencyOptions, Place
from tfmeta.project import Project
from tfmeta.stages.retrain import load_model
from tfmeta.training import evaluate

# Part of every key: to be raised when values are no longer comparable.
_METHOD = 1


class Kept:
    """Values by key, each in a file of its own. A damaged entry counts as none.

    Args:
        folder: where they lie; it is made if needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: Mapping[str, Any]) -> Any | None:
        """Returns the value that was put under ``key``, as JSON gives it back, or None."""
        try:
            found = json.loads(self.path(key).read_text("utf-8"))
            return found["value"] if found["key"] == _plain(key) else None
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def put(self, key: Mapping[str, Any], value: Any) -> None:
        """Keeps a JSON-able value other than None, whole or not at all; an older one under ``key`` is replaced."""
        files.write_json(self.path(key), {"key": _plain(key), "value": value})

    def found(self, key: Mapping[str, Any], find: Callable[[], Any]) -> Any:
        """Returns the value under ``key``; where there is none, what ``find`` returns, which is kept."""
        value = self.get(key)
        if value is None:
            value = find()
            self.put(key, value)
        return value

    def path(self, key: Mapping[str, Any]) -> Path:
        """Returns the file of the value under ``key``."""
        text = json.dumps(_plain(key), sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def file_accuracy(project: Project, path: Path) -> float:
    """Returns the accuracy of a .tflite file on the test split, see `split_accuracy`, found once for the same bytes."""
    test = project.splits.test
    key = {"what": "accuracy", "file": files.sha256(path), "split": test.fingerprint, **versions("ai-edge-litert")}
    return float(Kept(project.workdir.kept).found(key, lambda: split_accuracy(path, test)))


def network_accuracy(project: Project, path: Path, name: str) -> float:
    """Returns the accuracy of a saved Keras model on the test split, see `evaluate`, found once for the same bytes.

    Args:
        project: of the model.
        path: its file.
        name: what it is called meanwhile.
    """
    test = project.splits.test
    key = {
        "what": "accuracy",
        "network": files.sha256(path),
        "code": code_of(project),
        "split": test.fingerprint,
        **versions("keras", "tensorflow"),
    }

    def find() -> float:
        return evaluate(load_model(path, project.custom_objects), test, description=f"Testing {name}")

    return float(Kept(project.workdir.kept).found(key, find))


def file_latencies(
    project: Project, place: Place, paths: Sequence[Path], reference: Path, options: LatencyOptions
) -> list[dict[str, Any]]:
    """Returns `FileLatency.to_json` of each file, timed with its operators, in turns with ``reference``.

    What measured OK once, for the same bytes and the same reference on the same device, is not measured again; all else
    is.

    Args:
        project: whose work directory keeps them.
        place: where to measure.
        paths: .tflite files.
        reference: the .tflite file to compare with; it may be one of ``paths``.
        options: how to measure.

    Raises:
        BenchError: see `measure_files`.
    """
    kept, compared = Kept(project.workdir.kept), _named(reference)
    with opened(place.device, place.options) as device:

        def key(path: Path, fingerprint: str) -> dict[str, Any]:
            asked = {"reference": compared, "device": fingerprint, "options": options.to_json(), "method": _METHOD}
            return {"what": "latency", "file": _named(path), **asked}

        now = device.info().fingerprint
        found = {path: value for path in paths if (value := kept.get(key(path, now))) is not None}
        missing = [path for path in paths if path not in found]

        def keep(latency: FileLatency) -> None:
            found[latency.path] = latency.to_json()
            if latency.verdict == "OK":
                kept.put(key(latency.path, latency.measurement.device.fingerprint), found[latency.path])

        if missing:
            measure_files(device, missing, reference, options, operators=True, on_measured=keep)
    return [found[path] for path in paths]


def versions(*packages: str) -> dict[str, Any]:
    """Returns the part of a key that is about this program and the installed ``packages``."""
    installed = installed_versions()
    return {"method": _METHOD, **{package: installed[package] for package in packages}}


def code_of(project: Project) -> list[str]:
    """Returns the SHA-256 of every file of code that the project's saved models need besides their own."""
    found = set()
    for one in project.custom_objects.values():
        with contextlib.suppress(TypeError, OSError):  # built in, or typed at a prompt
            found.add(files.sha256(inspect.getfile(inspect.unwrap(one))))
    return sorted(found)


def _named(path: str | os.PathLike[str]) -> list[str]:
    # The name too, as measurements tell it.
    return [Path(path).name, files.sha256(path)]


def _plain(key: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(key))
