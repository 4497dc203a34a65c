"""Files that are made once and kept, until they take too much room."""

from __future__ import annotations

import collections
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tfmeta import files
from tfmeta.errors import UserError

# A thousand structures of ResNet-50 would take 50 GB. What was measured is in the store; the files only save the
# conversion when something is measured again on another device.
MAX_BYTES = 1 << 30


class ModelFiles:
    """A folder of .tflite files by key.

    Args:
        folder: where; None takes a temporary folder, which `close` deletes.
        max_bytes: beyond it the files that were used longest ago are deleted.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, max_bytes: int = MAX_BYTES) -> None:
        self._temporary = None if folder is not None else tempfile.TemporaryDirectory(prefix="tfmeta-latency-")
        self._folder = Path(self._temporary.name if self._temporary is not None else folder or "")
        self._max_bytes = max_bytes
        self._held: collections.Counter[Path] = collections.Counter()

    def get(self, key: str, make: Callable[[], bytes]) -> Path:
        """Returns the file of ``key``, written whole or not at all with what ``make`` returns if it is not there."""
        path = self._folder / f"{key}.tflite"
        if path.is_file():
            path.touch()
        else:
            files.write_bytes(path, make())
            self._make_room()
        return path

    def hold(self, path: Path) -> None:
        """Keeps the file at ``path``, which waits to be measured, however much room the others take."""
        self._held[path] += 1

    def release(self, path: Path) -> None:
        """Undoes one `hold`."""
        self._held[path] -= 1

    @property
    def full(self) -> bool:
        """Whether the files that are held take all the room there is."""
        held = [path for path, times in self._held.items() if times > 0]
        return sum(path.stat().st_size for path in held) >= self._max_bytes

    def close(self) -> None:
        """Deletes a temporary folder; a given one stays."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _make_room(self) -> None:
        known = sorted((path.stat().st_mtime_ns, path) for path in self._folder.glob("*.tflite"))
        excess = sum(path.stat().st_size for _, path in known) - self._max_bytes
        for _, path in known[:-2]:  # never the two that are measured side by side
            if excess > 0 and not self._held[path]:
                excess -= path.stat().st_size
                path.unlink(missing_ok=True)


def sha256_of_reference(path: Path) -> str:
    """Returns the SHA-256 of a model file of the user's, in hexadecimal digits.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(f"Cannot read the reference model {path}: {error.strerror}. Give a .tflite file.") from error
