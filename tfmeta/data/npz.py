"""Data sets in one ``.npz`` file, as Keras stores MNIST: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfmeta.errors import DataError

_KEYS = ("x_train", "y_train", "x_test", "y_test")

Pair = tuple[NDArray[np.uint8], NDArray[np.int32]]


def read_npz(path: Path, image_shape: tuple[int, int, int], num_classes: int) -> tuple[Pair, Pair]:
    """Returns the (images, labels) of training and of test.

    Images are uint8 `[N, H, W, C]`, labels int32 `[N]`. A grey image may be stored without its
    channel axis, and labels as `[N, 1]`.

    Raises:
        DataError: not such a file, an array is missing or of another shape or type, or pickled.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:  # unpickling would execute the file
            arrays = {key: archive[key] for key in _KEYS}
    except KeyError as error:
        raise DataError(f"Expected the arrays {', '.join(_KEYS)} in {path}. {error}.") from error
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable .npz file of plain arrays: {error}.") from error
    return (
        _pair(path, arrays["x_train"], arrays["y_train"], image_shape, num_classes),
        _pair(path, arrays["x_test"], arrays["y_test"], image_shape, num_classes),
    )


def _pair(
    path: Path,
    images: NDArray[Any],
    labels: NDArray[Any],
    image_shape: tuple[int, int, int],
    num_classes: int,
) -> Pair:
    if images.dtype != np.uint8 or images.shape[1:] not in (image_shape, _without_one(image_shape)):
        raise DataError(
            f"Expected uint8 images of shape {image_shape} in {path}. Received: {images.dtype} of {images.shape[1:]}."
        )
    if labels.dtype.kind not in "iu" or labels.size != len(images):
        raise DataError(
            f"Expected {len(images)} integer labels in {path}, one an image. "
            f"Received: {labels.dtype} of shape {labels.shape}."
        )
    labels = labels.reshape(-1)
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise DataError(
            f"Expected labels from 0 to {num_classes - 1} in {path}. Received: {labels.min()} to {labels.max()}."
        )
    return images.reshape(-1, *image_shape), labels.astype(np.int32)


def _without_one(shape: tuple[int, int, int]) -> tuple[int, ...]:
    return shape[:2] if shape[2] == 1 else shape
