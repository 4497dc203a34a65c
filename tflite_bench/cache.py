"""The user's cache folder: what is worth keeping between calls, and can be made again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from tflite_bench.errors import DeviceError

_MACHINE_ID = pathlib.Path("/etc/machine-id")


def cache_folder(*parts: str) -> pathlib.Path:
    """Returns ``$XDG_CACHE_HOME/tflite_bench``, or ``~/.cache/tflite_bench``, or a folder below it.

    The folder is made where it is missing. Of the environment only an absolute path counts, as the XDG
    specification has it: https://specifications.freedesktop.org/basedir-spec/latest/

    Raises:
        DeviceError: it cannot be made.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = pathlib.Path(given) if os.path.isabs(given) else pathlib.Path(os.path.expanduser("~")) / ".cache"
    folder = base.joinpath("tflite_bench", *parts)
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def computer_id() -> str:
    """Returns what tells this computer from all others, names of which may be equal.

    That is a hash of /etc/machine-id, which is not to be shown (``man machine-id``), or of a random text that is kept
    in the cache folder where there is none.

    Raises:
        DeviceError: the cache folder cannot be used.
    """
    try:
        text = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        text = ""
    if not text:
        path = cache_folder() / "computer"
        with told(path):
            with contextlib.suppress(FileExistsError), path.open("x", encoding="ascii") as file:
                file.write(secrets.token_hex(16))
            text = path.read_text(encoding="ascii")
    return hashlib.sha256(f"tflite_bench {text}".encode()).hexdigest()[:16]


@contextmanager
def told(path: pathlib.Path) -> Iterator[None]:
    """Context manager: trouble of the system with ``path`` in the cache becomes an error that says what to do.

    Raises:
        DeviceError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise DeviceError(
            f"Cannot use {path} in the cache: {error.strerror or error}. Make room, or set XDG_CACHE_HOME to a folder "
            "that can be written."
        ) from error


@contextmanager
def written_whole(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Context manager: a file that takes the place of ``path`` on leaving, whole and on the disk, or not at all.

    Raises:
        DeviceError: it cannot be made or finished; what the block raises stays as it is.
    """
    with told(path):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".", suffix=".part")
    file = os.fdopen(descriptor, "wb")
    try:
        try:
            yield file
            with told(path):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with told(path):
                file.close()  # writes what is left, which may fail again
        with told(path):
            os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: pathlib.Path, data: Mapping[str, Any]) -> None:
    """Writes ``data`` to ``path``, whole or not at all."""
    with written_whole(path) as file, told(path):
        file.write((json.dumps(data, indent=2, sort_keys=True) + "\n").encode())


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns what `write_json` wrote, or None where there is nothing that can be read."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
