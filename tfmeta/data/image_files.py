"""Pictures in files: decoded when a batch needs them, or all at once when they fit in memory."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfmeta import progress
from tfmeta.data.fitting import fit_tensor
from tfmeta.data.sources import ArraySource, Order, indexed_batches
from tfmeta.errors import DataError
from tfmeta.lazy import tf

if TYPE_CHECKING:
    from tensorflow import Tensor
    from tensorflow.data import Dataset

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
_CHANNELS = 3
_LISTED = 5  # broken files that an error names
# First bytes of each format, and the mark near the end of a file that is whole (BMP has none).
_MARKS = (
    (b"\xff\xd8\xff", b"\xff\xd9"),
    (b"\x89PNG\r\n\x1a\n", b"IEND"),
    (b"GIF8", b"\x3b"),
    (b"BM", b""),
)
_TAIL_BYTES = 64


class FileSource:
    """Pictures that are read and decoded again in every epoch."""

    def __init__(self, paths: Sequence[Path], labels: NDArray[np.int32], size: int, fit: str) -> None:
        self._paths = np.array([str(path) for path in paths], dtype=object)
        self._labels = labels
        self._size = size
        self._fit = fit

    @property
    def labels(self) -> NDArray[np.int32]:
        """`[N]` class of each picture."""
        return self._labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        return self._size, self._size, _CHANNELS

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Always uint8."""
        return np.dtype(np.uint8)

    def subset(self, indices: NDArray[np.int64]) -> FileSource:
        """Returns the source of the files at ``indices``."""
        source = FileSource((), self._labels[indices], self._size, self._fit)
        source._paths = self._paths[indices]
        return source

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decodes the pictures at ``indices``; a broken one is a ``DataError``."""
        return _decoded(self._paths[indices], self._size, self._fit)

    def batches(self, order: Order) -> Dataset:
        """Returns the batches; reading a broken picture ends them with an error naming the file."""
        with tf.device("/CPU:0"):
            labels = tf.constant(self._labels)

        def decode(indices: Tensor) -> NDArray[np.uint8]:
            return np.stack([self._decode(path) for path in self._paths[indices.numpy()]])

        def read(epoch: Tensor, step: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
            # Python, so that an error can name the file; decoding itself runs without its lock.
            images = tf.py_function(decode, [indices], tf.uint8)
            images.set_shape([indices.shape[0], *self.image_shape])
            return epoch, step, images, tf.gather(labels, indices)

        return indexed_batches(len(self._labels), order).map(
            read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def in_memory(self) -> ArraySource:
        """Returns the same pictures decoded; broken ones are a ``DataError`` that names them."""
        return ArraySource(_decoded(self._paths, self._size, self._fit), self._labels)

    @property
    def decoded_bytes(self) -> int:
        """What the decoded pictures take."""
        return len(self._labels) * self._size * self._size * _CHANNELS

    def check(self) -> None:
        """Looks at the first and last bytes of every file, and decodes only suspicious ones.

        Raises:
            DataError: files that are no pictures or are cut short; the text names them.
        """
        paths = progress.bar(self._paths, "checking pictures", total=len(self._paths), unit="file")
        _raise_broken([b for path in paths if (b := self._broken(path))])

    def _broken(self, path: str) -> str | None:
        if _looks_whole(path):
            return None
        try:
            self._decode(path)
        except DataError as error:
            return str(error)
        return None

    def _decode(self, path: str) -> NDArray[np.uint8]:
        return decode_file(path, self._size, self._fit)


def decode_file(path: str | os.PathLike[str], size: int, fit: str) -> NDArray[np.uint8]:
    """Returns the picture as uint8 `[size, size, 3]`; of an animation the first frame.

    Raises:
        DataError: the file cannot be read or decoded; the text names it.
    """
    try:
        content = Path(path).read_bytes()
        with tf.device("/CPU:0"):
            image = tf.io.decode_image(content, channels=_CHANNELS, expand_animations=False)
            return fit_tensor(image, size, fit).numpy()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except tf.errors.OpError as error:
        reason = (error.message or "").split("[Op:")[0].split("}}")[-1].strip()
        raise DataError(f"{path} is not a picture that can be decoded ({reason}).") from error


def _looks_whole(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(16)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _TAIL_BYTES))
            tail = file.read()
    except OSError:
        return False
    if head.startswith(b"BM"):
        return length >= int.from_bytes(head[2:6], "little")
    return any(head.startswith(first) and last in tail for first, last in _MARKS)


def _decoded(paths: NDArray[np.object_], size: int, fit: str) -> NDArray[np.uint8]:
    images = np.empty((len(paths), size, size, _CHANNELS), np.uint8)

    def decode(place: int) -> str | None:
        try:
            images[place] = decode_file(paths[place], size, fit)
        except DataError as error:
            return str(error)
        return None

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(decode, range(len(paths)))
        bar = progress.bar(results, "decoding pictures", total=len(paths), unit="file")
        _raise_broken([error for error in bar if error])
    return images


def _raise_broken(errors: list[str]) -> None:
    if errors:
        more = f" And {len(errors) - _LISTED} more." if len(errors) > _LISTED else ""
        raise DataError(
            f"{len(errors)} picture(s) are broken. {' '.join(errors[:_LISTED])}{more} Repair or remove them."
        )
