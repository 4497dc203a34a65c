"""Files that are either whole or absent: written beside their place, synced, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PARTIAL = ".partial-"
_OLD = ".old"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` that takes its place when the block ends without an error.

    The temporary name keeps the suffixes of ``path``, since savers choose their format by suffix. When the block
    raises, the temporary file is removed and ``path`` stays as it was.

    Args:
        path: the file to write or replace; its folder is made if needed.

    Yields:
        The path to write to.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    temporary = folder / target.name
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # a full disk is told without the name of the file
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a saver that failed may leave more than the file


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder that takes the place of ``path`` when the block ends without an error.

    When the block raises, a full disk included, nothing of what it wrote is left, and ``path`` stays as it was. A
    process that is killed while the two folders change places leaves both for `remove_partial`, which ends that.

    Args:
        path: the folder to write or replace; the one above it is made if needed.

    Yields:
        The folder to write to. It has the name of ``path``.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    above = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    new, old = above / target.name, above / f"{target.name}{_OLD}"
    try:
        new.mkdir()
        yield new
        for file in (*new.rglob("*"), new):
            _sync(file)
        if target.exists():
            os.rename(target, old)
        os.rename(new, target)
        _sync(target.parent)
    except BaseException as error:
        if old.exists() and not target.exists():
            os.rename(old, target)
        if isinstance(error, OSError) and str(error.filename or "").startswith(str(new)):
            # Told by the name that the user knows, not by one that is gone.
            told = str(target) + str(error.filename).removeprefix(str(new))
            raise OSError(error.errno, os.strerror(error.errno or 0), told) from error
        raise
    finally:
        shutil.rmtree(above, ignore_errors=True)


@contextlib.contextmanager
def adding(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder whose files come into the folder ``path`` when the block ends without an error.

    They take the places of files of the same names; others stay. When the block raises, ``path`` stays as it was.

    Args:
        path: the folder to add to; it is made if needed.

    Yields:
        The folder to write to.
    """
    target = Path(path)
    made = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    remove_partial(target)
    new = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target))
    try:
        yield new
        found = sorted(new.iterdir())
        for file in found:
            _sync(file)
        for file in found:
            os.replace(file, target / file.name)
        _sync(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if made and not any(target.iterdir()):
            target.rmdir()


def remove_partial(*folders: Path) -> None:
    """Removes from ``folders`` what `replacing` and `replacing_folder` left there when their process was killed.

    Where the folder that was to be replaced had left its place already, the new one takes it: it was whole by then.
    """
    for folder in folders:
        for leftover in folder.glob(f"{_PARTIAL}*"):
            for old in leftover.glob(f"*{_OLD}"):
                new = old.with_suffix("")
                if new.is_dir() and not (folder / new.name).exists():
                    os.rename(new, folder / new.name)
                    _sync(folder)
            shutil.rmtree(leftover, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes ``data`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` to ``path`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def sha256(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of the file at ``path`` in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
