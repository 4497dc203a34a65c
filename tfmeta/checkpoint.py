"""Weights on disk: written whole or not at all, and never by crashing on a full disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfmeta import files

# What HDF5 adds to the values: room for names, types and trees.
_OVERHEAD_BYTES = 1 << 16
_OVERHEAD_BYTES_PER_VARIABLE = 1 << 13


def save_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes the weights of a Keras model, and its optimizer's state where it is compiled, to a `*.weights.h5` file.

    Raises:
        OSError: the disk is full, or the folder cannot be written. An older file at ``path`` stays as it was.
    """
    variables = [*model.variables, *(model.optimizer.variables if model.optimizer is not None else ())]
    values = sum(variable.value.numpy().nbytes for variable in variables)
    with files.replacing(path) as temporary:
        # HDF5 ends the whole process with a segmentation fault when a disk is full, so it is asked before.
        _reserve(temporary, values + _OVERHEAD_BYTES + _OVERHEAD_BYTES_PER_VARIABLE * len(variables), Path(path))
        model.save_weights(temporary)


def _reserve(temporary: Path, size: int, path: Path) -> None:
    try:
        with open(temporary, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
