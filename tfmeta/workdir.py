"""The work directory: all files of one project, and the options they were made with.

| file | what |
|---|---|
| `config.json` | resolved options of every stage, and versions |
| `space.json` | channel groups and search space |
| `checkpoints/` | training in progress, and the trained PruningNet |
| `store.sqlite` | every trial and measurement |
| `searches/NAME.json` | the structures that a search found, with their controls |
| `models/NAME/` | retrained plain Keras models |
| `export/NAME/` | `.tflite` files and their manifest |
| `logs/` | TensorBoard |
| `report.html`, `report.md`, `*.png` | the report (in `reports/NAME/` for other names than "main") |
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmeta import files
from tfmeta.errors import UserError, WorkdirError

MAIN = "main"  # the name of a search unless told otherwise

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Workdir:
    """One project's folder. Held by one process at a time; the lock ends with the process.

    Args:
        path: the folder; it is made if needed.

    Raises:
        WorkdirError: another process uses the folder, or its configuration cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.path / ".lock", "w")  # noqa: SIM115 - held as long as this object
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkdirError(
                f"Another process works in {self.path}. Wait for it, or give another --workdir."
            ) from error

    @property
    def config(self) -> dict[str, Any]:
        """The options of every stage that began, by section."""
        path = self.path / "config.json"
        if not path.exists():
            return {}
        try:
            config = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise WorkdirError(f"{path} is not valid JSON ({error}). Restore it, or begin a new --workdir.") from error
        if not isinstance(config, dict):
            raise WorkdirError(f"Expected a JSON object in {path}. Restore it, or begin a new --workdir.")
        return config

    def section(self, name: str, stage: str) -> dict[str, Any]:
        """Returns the options that a section was made with.

        Raises:
            WorkdirError: there is none; the text names the stage to run first.
        """
        config = self.config
        if name not in config:
            raise WorkdirError(f"{self.path} has no {name!r} yet. Run first: tfmeta {stage} --workdir={self.path}")
        found: dict[str, Any] = config[name]
        return found

    def claim(self, section: str, values: Mapping[str, Any]) -> None:
        """Writes the options of a section, or checks that it was begun with the same ones.

        Raises:
            WorkdirError: it was begun with others; the text tells the differences.
        """
        config = self.config
        wanted = json.loads(json.dumps(values))
        if section not in config:
            files.write_json(self.path / "config.json", {**config, section: wanted})
            return
        different = _differences(config[section], wanted)
        if different:
            raise WorkdirError(
                f"{self.path} was begun with other options of {section!r}: {'; '.join(different)}. Repeat those, or "
                "give another --workdir (or another --name for another search)."
            )

    def checkpoint(self, name: str) -> Path:
        """Returns the place of a checkpoint."""
        return self.path / "checkpoints" / f"{name}.weights.h5"

    @property
    def store(self) -> Path:
        """The store of trials and measurements."""
        return self.path / "store.sqlite"

    def logs(self, name: str) -> Path:
        """Returns the TensorBoard folder of a training."""
        return self.path / "logs" / name

    def search(self, name: str) -> Path:
        """Returns the file of a search's result."""
        return self.path / "searches" / f"{checked_name(name)}.json"

    def model(self, name: str, row: str, init: str) -> Path:
        """Returns the file of a retrained model."""
        return self.path / "models" / checked_name(name) / f"{row}-{init}.keras"

    def export(self, name: str, init: str) -> Path:
        """Returns the folder of the shipped files."""
        return self.path / "export" / (checked_name(name) if init == "scratch" else f"{checked_name(name)}-{init}")

    def report(self, name: str, init: str) -> Path:
        """Returns the folder of the report."""
        plain = name == MAIN and init == "scratch"
        return self.path if plain else self.path / "reports" / f"{checked_name(name)}-{init}"

    def read_json(self, path: Path, stage: str) -> dict[str, Any]:
        """Returns the JSON object at ``path``, which ``stage`` writes.

        Raises:
            WorkdirError: it is absent or damaged; the text names the stage to run.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise WorkdirError(f"{path} is missing. Run first: tfmeta {stage} --workdir={self.path}") from error
        except ValueError as error:
            raise WorkdirError(f"{path} is damaged ({error}). Delete it and run tfmeta {stage} again.") from error
        return found


def checked_name(name: str) -> str:
    """Returns ``name`` if it can be part of a path.

    Raises:
        UserError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"Expected a --name of letters, digits, '.', '_' and '-', received {name!r}.")
    return name


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [text for key in keys for text in _differences(old.get(key), new.get(key), f"{prefix}{key}.")]
    return [] if old == new else [f"{prefix.rstrip('.')} was {_short(old)}, is {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
