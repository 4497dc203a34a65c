"""The SQLite file under a store: every trouble comes out as an error that says what to do."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfmeta.errors import StoreError

# "tfme": so that another program's SQLite file is not taken for a store.
_APPLICATION_ID = 0x74666D65


class Database:
    """An open SQLite file of a known schema."""

    def __init__(self, path: Path | None, schema: Sequence[str], version: int):
        """Opens ``path``, or makes it with the tables of ``schema``.

        Args:
            path: the file; None keeps everything in memory.
            schema: statements that make the tables.
            version: the version of the schema.

        Raises:
            StoreError: the file is no store, damaged, of another version, or cannot be opened.
        """
        self.where = "the store in memory" if path is None else str(path)
        with self._explained():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path or ":memory:", timeout=30.0, isolation_level=None)
            try:
                self._prepare(schema, version)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def rows(self, query: str, *arguments: str) -> list[tuple[Any, ...]]:
        """Returns all rows of ``query``."""
        with self._explained():
            return self._db.execute(query, arguments).fetchall()

    def row(self, query: str, *arguments: str) -> tuple[Any, ...] | None:
        """Returns the first row of ``query``, or None."""
        rows = self.rows(query, *arguments)
        return rows[0] if rows else None

    def write(self, *statements: tuple[str, Sequence[str | int]]) -> None:
        """Executes ``statements`` (each with its arguments) in one transaction: all or none."""
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for statement, arguments in statements:
                    self._db.execute(statement, arguments)
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already: nothing to roll back then.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def parse(self, text: str) -> Any:
        """Returns the JSON value in ``text``; raises StoreError when it is none."""
        try:
            return json.loads(text)
        except (TypeError, ValueError) as error:
            raise self.damaged(f"an entry is not JSON: {error}") from error

    def damaged(self, detail: str) -> StoreError:
        """Returns the error for content that cannot be read."""
        return StoreError(
            f"The store {self.where} is damaged ({detail}). Restore it from a copy, or move it away to start anew."
        )

    def _prepare(self, schema: Sequence[str], version: int) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        check = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if check != "ok":
            raise self.damaged(" ".join(check.split()))  # SQLite's report has several lines
        if not self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            header = (
                f"PRAGMA application_id = {_APPLICATION_ID}",
                f"PRAGMA user_version = {version}",
            )
            self.write(*((statement, ()) for statement in (*header, *schema)))
            return
        if self._db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            raise StoreError(f"{self.where} is a SQLite file but not a tfmeta store. Give another path.")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found != version:
            raise StoreError(
                f"{self.where} has schema version {found}, this tfmeta reads version {version}. "
                "Use the tfmeta that wrote it, or start a new store."
            )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a mistake in this program, such as use after close
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except OSError as error:
            raise StoreError(f"Cannot open the store {self.where}: {error}.") from error

    def _explain(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorname", "") or ""
        if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR")):
            return self.damaged(str(error))
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return StoreError(
                f"Cannot write to the store {self.where}: {error}. Free some space and run the "
                "same command again; everything before this step is kept."
            )
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CONSTRAINT")):
            return StoreError(
                f"Another process is writing to the store {self.where} ({error}). Wait until it "
                "is done, or use another store."
            )
        return StoreError(f"Cannot use the store {self.where}: {error}. Check the path and its permissions.")


def dump(value: Mapping[str, Any]) -> str:
    """Returns ``value`` as JSON; raises ValueError on NaN, which is not JSON."""
    return json.dumps(value, sort_keys=True, allow_nan=False)
