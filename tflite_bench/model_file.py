"""A model file that was looked at before any device is troubled with it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib

from tflite_bench.errors import ModelFileError

# A TFLite file is a flatbuffer, which carries its identifier in bytes 4 to 7.
_IDENTIFIER = b"TFL3"


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A file that begins like a TFLite model.

    Attributes:
        path: where it lies.
        sha256: hash of its content, 64 hex digits.
        size_bytes: its size.
    """

    path: pathlib.Path
    sha256: str
    size_bytes: int


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Returns the file's hash and size.

    Raises:
        ModelFileError: there is no such file, it cannot be read, is empty, or is no TFLite model.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ModelFileError(f"Expected a .tflite file. Received a folder: {path}.")
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.tell()
    except FileNotFoundError as error:
        raise ModelFileError(f"No such model file: {path}. Check the path.") from error
    except OSError as error:
        raise ModelFileError(f"Cannot read {path}: {error.strerror}.") from error
    if not head:
        raise ModelFileError(f"Expected a .tflite file. Received an empty file: {path}. Export it again.")
    if head[4:] != _IDENTIFIER:
        raise ModelFileError(
            f"Expected a .tflite file. Received: {path}, which is none: it lacks the identifier TFL3 at byte 4."
        )
    return ModelFile(path, sha256, size_bytes)
