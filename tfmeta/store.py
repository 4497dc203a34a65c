"""The store: every trial and every measurement of a project, in one SQLite file.

It is the cache, the point to resume from and the source of the report. What a method wrote when it
returned survives a kill at any moment and a full disk: each write is one transaction with SQLite's
rollback journal (not WAL, whose two extra files get lost when people copy the store) and full
synchronisation. All payloads are JSON, nothing is pickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfmeta.database import Database, dump
from tfmeta.differences import differences
from tfmeta.errors import StoreError
from tfmeta.trial import Trial

SCHEMA_VERSION = 1

_SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE runs (name TEXT PRIMARY KEY, configuration TEXT NOT NULL)",
    "CREATE TABLE states (run TEXT PRIMARY KEY REFERENCES runs(name), generation INTEGER NOT NULL,"
    " state TEXT NOT NULL)",
    "CREATE TABLE trials (run TEXT NOT NULL REFERENCES runs(name), generation INTEGER NOT NULL,"
    " position INTEGER NOT NULL, trial TEXT NOT NULL, PRIMARY KEY (run, generation, position))",
    "CREATE TABLE measurements (model TEXT NOT NULL, device TEXT NOT NULL, options TEXT NOT NULL,"
    " payload TEXT NOT NULL, PRIMARY KEY (model, device, options))",
)


class Store:
    """Trials, searcher states and measurements. Use as a context manager, or call `close`.

    Raises:
        StoreError: by every method, when the file is damaged, full, or in another process' hands.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, must_exist: bool = False):
        """Opens the store at ``path`` and makes it if it is absent.

        Args:
            path: the file; None keeps everything in memory.
            must_exist: refuse to make a new one (for readers).

        Raises:
            StoreError: the file is absent though it must exist, is no store, is damaged, has
                another version, or cannot be opened.
        """
        self.path = None if path is None else Path(path)
        if self.path is not None and must_exist and not self.path.exists():
            raise StoreError(f"There is no store at {self.path}. Run a search first, or check the path.")
        self._database = Database(self.path, _SCHEMA, SCHEMA_VERSION)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    # What the store belongs to

    def claim(self, configuration: Mapping[str, Any]) -> None:
        """Ties a new store to ``configuration`` (graph, space); checks an old one against it.

        Raises:
            StoreError: the store belongs to another configuration; the text tells how it differs.
        """
        found = self.configuration
        if found is None:
            insert = "INSERT INTO meta VALUES ('configuration', ?)"
            self._database.write((insert, (dump(configuration),)))
        else:
            self._compare("belongs to another model or search space", found, configuration)

    @property
    def configuration(self) -> dict[str, Any] | None:
        """What `claim` wrote, or None."""
        found = self._database.row("SELECT value FROM meta WHERE key = 'configuration'")
        return None if found is None else self._database.parse(found[0])

    # Runs

    def begin_run(self, name: str, configuration: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Starts the run ``name`` with its searcher's first state, or checks that it began alike.

        Raises:
            StoreError: the run exists with another configuration.
        """
        if name not in self.runs:
            self._database.write(
                ("INSERT INTO runs VALUES (?, ?)", (name, dump(configuration))),
                ("INSERT INTO states VALUES (?, 0, ?)", (name, dump(state))),
            )
        else:
            found = self.run_configuration(name)
            self._compare(f"holds the run {name!r} with other settings", found, configuration)

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs, in the order in which they were started."""
        return tuple(row[0] for row in self._database.rows("SELECT name FROM runs ORDER BY rowid"))

    def run_configuration(self, name: str) -> dict[str, Any]:
        """Returns the configuration with which the run ``name`` was started.

        Raises:
            StoreError: there is no such run.
        """
        found = self._database.row("SELECT configuration FROM runs WHERE name = ?", name)
        if found is None:
            raise self._no_run(name)
        configuration: dict[str, Any] = self._database.parse(found[0])
        return configuration

    def state(self, run: str) -> tuple[int, dict[str, Any]]:
        """Returns the number of finished generations of ``run`` and its searcher's state then.

        Raises:
            StoreError: there is no such run.
        """
        found = self._database.row("SELECT generation, state FROM states WHERE run = ?", run)
        if found is None:
            raise self._no_run(run)
        return found[0], self._database.parse(found[1])

    def finish_generation(self, run: str, generation: int, state: Mapping[str, Any]) -> None:
        """Stores the searcher's state after ``generation`` finished generations."""
        update = "UPDATE states SET generation = ?, state = ? WHERE run = ?"
        self._database.write((update, (generation, dump(state), run)))

    # Trials

    def add_trial(self, run: str, trial: Trial) -> None:
        """Stores one trial, at once.

        Raises:
            StoreError: its place is taken (another process works on the same run), or disk full.
        """
        row = (run, trial.generation, trial.position, dump(trial.to_json()))
        self._database.write(("INSERT INTO trials VALUES (?, ?, ?, ?)", row))

    def revise(self, run: str, generation: int, trials: Sequence[Trial], state: Mapping[str, Any]) -> None:
        """Stores other values of trials before ``generation`` with the searcher's state then; drops later trials."""
        update = "UPDATE trials SET trial = ? WHERE run = ? AND generation = ? AND position = ?"
        self._database.write(
            ("DELETE FROM trials WHERE run = ? AND generation >= ?", (run, generation)),
            *((update, (dump(one.to_json()), run, one.generation, one.position)) for one in trials),
            ("UPDATE states SET state = ? WHERE run = ?", (dump(state), run)),
        )

    def trials(self, run: str) -> list[Trial]:
        """Returns all trials of ``run``, probes included, in the order of their evaluation."""
        query = "SELECT trial FROM trials WHERE run = ? ORDER BY generation, position"
        found = [self._database.parse(row[0]) for row in self._database.rows(query, run)]
        try:
            return [Trial.from_json(data) for data in found]
        except (KeyError, TypeError) as error:
            raise self._database.damaged(f"a trial of the run {run!r}: {error!r}") from error

    # Measurements

    def add_measurement(self, model: str, device: str, options: str, payload: Mapping[str, Any]) -> None:
        """Stores (or replaces) a measurement.

        Args:
            model: hash of the model that was measured.
            device: fingerprint of the device.
            options: hash of the options of the measurement.
            payload: JSON-able data.
        """
        insert = "INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?)"
        self._database.write((insert, (model, device, options, dump(payload))))

    def measurement(self, model: str, device: str, options: str) -> dict[str, Any] | None:
        """Returns the payload stored under the three keys, or None."""
        query = "SELECT payload FROM measurements WHERE model = ? AND device = ? AND options = ?"
        found = self._database.row(query, model, device, options)
        return None if found is None else self._database.parse(found[0])

    def _no_run(self, name: str) -> StoreError:
        known = ", ".join(self.runs) or "none"
        return StoreError(f"There is no run {name!r} in {self._database.where}. Runs in it: {known}.")

    def _compare(self, belongs: str, stored: Any, now: Mapping[str, Any]) -> None:
        found = differences(stored, json.loads(dump(now)))
        if found:
            raise StoreError(
                f"{self._database.where} {belongs}: {found}. Use the settings "
                "it was started with, or another store or run name."
            )
