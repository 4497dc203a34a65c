"""The idx files of MNIST and Fashion-MNIST (format: http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfmeta.errors import DataError

_NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
FILE_NAMES = tuple(f"{name}.gz" for name in _NAMES.values())
_UBYTE = 0x08  # the only element type of these files

Pair = tuple[NDArray[np.uint8], NDArray[np.int32]]


def find(folders: Iterable[Path]) -> dict[str, Path] | None:
    """Returns the paths of the four files in the first folder that has any of them.

    Keys are ``train_images``, ``train_labels``, ``test_images``, ``test_labels``; the files may be
    gzipped or not. ``None`` when no folder has one.

    Raises:
        DataError: a folder has some of the four files, but not all.
    """
    for folder in folders:
        found = {key: path for key, name in _NAMES.items() if (path := _present(folder, name))}
        if len(found) == len(_NAMES):
            return found
        if found:
            missing = ", ".join(f"{_NAMES[key]}[.gz]" for key in _NAMES if key not in found)
            raise DataError(
                f"{folder} holds {len(found)} of the 4 files of the data set. Missing: {missing}. "
                "Put them there too, or remove the others."
            )
    return None


def read_pair(images_path: Path, labels_path: Path, side: int, num_classes: int) -> Pair:
    """Returns images uint8 `[N, side, side, 1]` and labels int32 `[N]`.

    Raises:
        DataError: a file is not an idx file of that kind, is cut short, or the two do not match.
    """
    images, labels = read(images_path, 3), read(labels_path, 1)
    if images.shape[1:] != (side, side):
        raise DataError(
            f"Expected images of {side}x{side} pixels in {images_path}. Received: {images.shape[1]}x{images.shape[2]}."
        )
    if len(images) != len(labels):
        raise DataError(
            f"Expected as many labels as images. Received: {len(images)} images in {images_path}, "
            f"{len(labels)} labels in {labels_path}."
        )
    if len(labels) and labels.max() >= num_classes:
        raise DataError(f"Expected labels from 0 to {num_classes - 1} in {labels_path}. Received: {labels.max()}.")
    return images[..., None], labels.astype(np.int32)


def read(path: Path, rank: int) -> NDArray[np.uint8]:
    """Returns the array in an idx file of unsigned bytes with ``rank`` dimensions.

    Raises:
        DataError: wrong magic number, or more or fewer bytes than the header tells.
    """
    data = _content(path)
    magic = bytes((0, 0, _UBYTE, rank))
    header = 4 + 4 * rank
    if data[:4] != magic or len(data) < header:
        raise DataError(
            f"{path} is not an idx file of {rank} dimension(s). Expected it to begin with the "
            f"bytes {magic.hex()}. Received: {data[:4].hex() or 'an empty file'}. "
            "Get the file again."
        )
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", rank, offset=4))
    if len(data) - header != math.prod(shape):
        raise DataError(
            f"{path} is cut short or too long: its header tells {math.prod(shape)} bytes of data "
            f"(shape {shape}). Received: {len(data) - header}. Get the file again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}). Get the file again.") from error


def _present(folder: Path, name: str) -> Path | None:
    # Both spellings are about: train-images-idx3-ubyte and train-images.idx3-ubyte.
    spellings = (name, name.replace("-idx", ".idx"))
    paths = (folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)
