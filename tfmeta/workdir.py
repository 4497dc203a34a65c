"""The work directory: all files of one project, and the options they were made with.

| file | what |
|---|---|
| `config.json` | resolved options of every stage, and versions |
| `space.json` | channel groups and search space |
| `staircase.json` | the sweep of `--staircase` that the widths are multiples after |
| `checkpoints/` | training in progress, and the trained PruningNet |
| `store.sqlite` | every trial and measurement |
| `latency_table.json` | what was measured of random structures, and the predictor of their latency |
| `searches/NAME.json` | the structures that a search found, with their controls |
| `models/NAME/` | retrained plain Keras models |
| `export/NAME/` | `.tflite` files and their manifest |
| `mixed/NAME/` | mixed precision: what was tried, and the chosen file with what `export/NAME/` has beside files |
| `kept/` | accuracy and latency of files and networks, so that a killed verb does not find them again; can be deleted |
| `logs/` | TensorBoard |
| `report.html`, `report.md`, `*.png` | the report (in `reports/NAME/` for other names than "main") |
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfmeta import files
from tfmeta.differences import differences
from tfmeta.errors import UserError, WorkdirError

MAIN = "main"  # the name of a search unless told otherwise

_FOLDERS = (
    "checkpoints",
    "checkpoints/*",
    "searches",
    "models/*",
    "export",
    "export/*",
    "mixed/*",
    "reports/*",
    "latency",
    "kept",
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Workdir:
    """One project's folder. Held by one process at a time, until `close` or the end of the process.

    Args:
        path: the folder; it is made if needed. What a killed process left half-written in it is removed.

    Raises:
        WorkdirError: another process uses the folder, or it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "w")  # noqa: SIM115 - held as long as this object
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise WorkdirError(
                f"Cannot write to the work directory {self.path} ({reason}). Give a --workdir that can be written."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise WorkdirError(
                f"Another process works in {self.path}. Wait for it, or give another --workdir."
            ) from error
        files.remove_partial(self.path, *(folder for pattern in _FOLDERS for folder in self.path.glob(pattern)))

    def __enter__(self) -> Workdir:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets other processes work in the folder."""
        self._lock.close()

    @property
    def begun(self) -> bool:
        """Whether anything was trained here, which binds the folder to its project."""
        return any((self.path / "checkpoints").glob("*.h5"))

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
        if not isinstance(config[name], dict):
            raise WorkdirError(f"Expected an object at {name!r} in {self.path / 'config.json'}. Restore it.")
        found: dict[str, Any] = config[name]
        return found

    def check(self, section: str, values: Mapping[str, Any], instead: str = "give another --workdir") -> None:
        """Checks that a section was begun with the same options, if it was begun at all.

        Args:
            section: its name in `config.json`.
            values: its options, JSON-able.
            instead: what to do else than to repeat the options.

        Raises:
            WorkdirError: it was begun with others; the text tells the differences.
        """
        config = self.config
        different = differences(config[section], json.loads(json.dumps(values))) if section in config else ""
        if different:
            raise WorkdirError(
                f"{self.path} was begun with other options of {section!r}: {different}. Repeat those, or {instead}."
            )

    def claim(
        self, section: str, values: Mapping[str, Any], *, begun: bool, instead: str = "give another --workdir"
    ) -> None:
        """Writes the options of a section; once something was made with them, checks that they are the same.

        Args:
            section: its name in `config.json`.
            values: its options, JSON-able.
            begun: whether something was made. Until then options may change: a typing error must not bind.
            instead: what to do else than to repeat the options.

        Raises:
            WorkdirError: it was begun with others; the text tells the differences.
        """
        if begun:
            self.check(section, values, instead)
        config = self.config
        wanted = json.loads(json.dumps(values))
        if config.get(section) != wanted:
            files.write_json(self.path / "config.json", {**config, section: wanted})

    def checkpoint(self, name: str) -> Path:
        """Returns the place of a checkpoint."""
        return self.path / "checkpoints" / f"{name}.weights.h5"

    def tuned(self, name: str) -> Path:
        """Returns the folder of the steps that schemes with a training have taken with one network."""
        return self.path / "checkpoints" / f"tuned-{name}"

    @property
    def store(self) -> Path:
        """The store of trials and measurements."""
        return self.path / "store.sqlite"

    def logs(self, name: str) -> Path:
        """Returns the TensorBoard folder of a training."""
        return self.path / "logs" / name

    @property
    def staircase(self) -> Path:
        """The sweep of layers over their channels, where the project's multiple is of a device."""
        return self.path / "staircase.json"

    @property
    def latency_table(self) -> Path:
        """The latency table, unless it was written elsewhere."""
        return self.path / "latency_table.json"

    def search(self, name: str) -> Path:
        """Returns the file of a search's result."""
        return self.path / "searches" / f"{checked_name(name)}.json"

    def model(self, name: str, row: str, init: str) -> Path:
        """Returns the file of a retrained model."""
        return self.path / "models" / checked_name(name) / f"{row}-{init}.keras"

    def export(self, name: str, init: str) -> Path:
        """Returns the folder of the shipped files."""
        return self.path / "export" / self._place(name, init)

    def mixed(self, name: str, init: str) -> Path:
        """Returns the folder of the files of mixed precision."""
        return self.path / "mixed" / self._place(name, init)

    @property
    def kept(self) -> Path:
        """The folder of what was found once of files and networks."""
        return self.path / "kept"

    def report(self, name: str, init: str) -> Path:
        """Returns the folder of the report."""
        place = self._place(name, init)
        return self.path if place == MAIN else self.path / "reports" / place

    @staticmethod
    def _place(name: str, init: str) -> str:
        # No name holds a plus sign, so no search can be taken for another one with another init.
        return checked_name(name) if init == "scratch" else f"{checked_name(name)}+{init}"

    def read_json(self, path: Path, stage: str, keys: Iterable[str] = ()) -> dict[str, Any]:
        """Returns the JSON object at ``path``, which ``stage`` writes with at least ``keys``.

        Raises:
            WorkdirError: it is absent or damaged; the text names the stage to run.
        """
        try:
            found = json.loads(path.read_text("utf-8"))
            if not isinstance(found, dict) or not set(keys) <= set(found):
                raise ValueError(f"expected an object with {', '.join(keys)}")
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
