"""Where the images of a split come from, behind one small interface.

A source hands out batches in an order that is a pure function of (seed, epoch), so that training
that starts again in the middle sees exactly what it would have seen.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfmeta.errors import DataError
from tfmeta.lazy import tf

if TYPE_CHECKING:
    from tensorflow import Tensor
    from tensorflow.data import Dataset


@dataclasses.dataclass(frozen=True)
class Order:
    """In what order, and for how long, the images come.

    Attributes:
        batch_size: images in a batch; the last one of an epoch may be smaller.
        shuffle_seed: with (this, epoch) the images are shuffled; ``None``: the stored order.
        first_epoch: number of the first epoch.
        epochs: number of epochs.
        drop_remainder: leave a smaller last batch out.

    Raises:
        DataError: a value is out of its range.
    """

    batch_size: int
    shuffle_seed: int | None = None
    first_epoch: int = 0
    epochs: int = 1
    drop_remainder: bool = False

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("first_epoch", 0), ("epochs", 1)):
            if getattr(self, name) < least:
                raise DataError(f"Expected {name} of {least} or more. Received: {getattr(self, name)}.")
        if self.shuffle_seed is not None and not 0 <= self.shuffle_seed < 2**63:
            raise DataError(f"Expected shuffle_seed from 0 to 2^63 - 1. Received: {self.shuffle_seed}.")

    def steps(self, size: int) -> int:
        """Returns the number of batches in an epoch of ``size`` images."""
        if self.drop_remainder and size < self.batch_size:
            raise DataError(
                f"The split has {size} images, fewer than one batch of {self.batch_size}, so "
                "dropping the remainder leaves nothing. Take a smaller batch_size, or keep the "
                "remainder."
            )
        return size // self.batch_size if self.drop_remainder else -(-size // self.batch_size)


class Source(Protocol):
    """Labelled images that can be divided and handed out in batches.

    A label is a class, or a map `[H, W]` with a class for each pixel; the shapes below leave that out.
    """

    @property
    def labels(self) -> NDArray[np.integer]:
        """`[N]` class of each image, in the stored order."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 (0..255), or float32 for images that are used as they are."""

    def subset(self, indices: NDArray[np.int64]) -> Source:
        """Returns the source of the images at ``indices`` (ascending)."""

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Returns the images at ``indices``, `[len(indices), H, W, C]`, in that order."""

    def batches(self, order: Order) -> Dataset:
        """Returns (epoch int64, step int64, images `[B, H, W, C]`, integer labels `[B]`) elements."""


class ArraySource:
    """Images in memory, of the type they were stored in."""

    def __init__(self, images: NDArray[Any], labels: NDArray[np.integer]) -> None:
        self._images = images
        self._labels = labels

    @property
    def labels(self) -> NDArray[np.integer]:
        """`[N]` class of each image."""
        return self._labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, channels = self._images.shape[1:]
        return height, width, channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored images."""
        return self._images.dtype

    def subset(self, indices: NDArray[np.int64]) -> ArraySource:
        """Returns the source of the images at ``indices``, copied."""
        return ArraySource(self._images[indices], self._labels[indices])

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Returns the images at ``indices``."""
        return self._images[indices]

    def batches(self, order: Order) -> Dataset:
        """Returns the batches, cut by the indices that :func:`indexed_batches` draws."""
        with tf.device("/CPU:0"):  # the batches are cut on the CPU, wherever the model computes
            images, labels = tf.constant(self._images), tf.constant(self._labels)

        def gather(epoch: Tensor, step: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
            return epoch, step, tf.gather(images, indices), tf.gather(labels, indices)

        return indexed_batches(len(self._labels), order).map(
            gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )


def compact(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Returns maps of classes as bytes where these can hold them: at four bytes they would outweigh their images."""
    small = labels.size and 0 <= int(labels.min()) <= int(labels.max()) <= np.iinfo(np.uint8).max
    return labels.astype(np.uint8 if small else np.int32)


def indexed_batches(size: int, order: Order) -> Dataset:
    """Returns (epoch int64, step int64, indices int32 `[B]`) elements over ``size`` images."""
    steps = order.steps(size)

    def one_epoch(epoch: Tensor) -> Dataset:
        indices = tf.range(size)
        if order.shuffle_seed is not None:
            seed = tf.random.fold_in(epoch_seed(order.shuffle_seed, epoch), 0)
            keys = tf.random.stateless_uniform([size], seed, None, None, tf.int32, "philox")
            indices = tf.argsort(keys, stable=True)

        def cut(step: Tensor) -> tuple[Tensor, ...]:
            start = step * order.batch_size
            batch = indices[start : start + order.batch_size]
            if order.drop_remainder:
                batch.set_shape([order.batch_size])
            return epoch, step, batch

        return tf.data.Dataset.range(steps).map(cut)

    return epoch_numbers(order).flat_map(one_epoch)


def epoch_numbers(order: Order) -> Dataset:
    """Returns the numbers of the epochs as int64 elements."""
    return tf.data.Dataset.range(order.first_epoch, order.first_epoch + order.epochs)


def epoch_seed(seed: int, epoch: Tensor) -> Tensor:
    """Returns the int64 `[2]` seed of an epoch, a pure function of both arguments."""
    return tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch)
