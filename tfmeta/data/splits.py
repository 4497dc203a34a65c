"""``Splits``: the three parts of a data set, and ``Split``: one of them as batches for a model."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfmeta import tasks
from tfmeta.data.augment import NONE, Augmentation, augmented, augmented_maps
from tfmeta.data.carve import balanced
from tfmeta.data.options import INPUT_RANGES
from tfmeta.data.sources import Order, Source, epoch_seed
from tfmeta.errors import DataError
from tfmeta.lazy import tf

if TYPE_CHECKING:
    from tensorflow import Tensor
    from tensorflow.data import Dataset

# range -> (scale, offset) that bring 0..255 there
# Input range to the scale and offset that bytes are brought to it with.
SCALES = {"0..255": (1.0, 0.0), "0..1": (1.0 / 255.0, 0.0), "-1..1": (1.0 / 127.5, -1.0)}

# Images that tell one split from another; all of them may be more than memory holds.
_TOLD_BY = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Labelled images of one purpose.

    In the shapes, `B` is the batch size, `N` the number of images, `H, W, C` the image shape. A label
    is a class, or a map `[H, W]` with a class for each pixel; the shapes of labels leave that out.

    Attributes:
        source: where the images come from.
        input_range: range of the pixel values handed out, see
            :class:`tfmeta.data.options.DataOptions`; a user's own float images stay as they are.
    """

    source: Source
    input_range: str = INPUT_RANGES[0]

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.source.labels)

    @property
    def labels(self) -> NDArray[np.integer]:
        """`[N]` class of each image, in the stored order."""
        return self.source.labels

    @property
    def label_shape(self) -> tuple[int, ...]:
        """() where a label is a class, (H, W) where it is a map of classes."""
        return self.labels.shape[1:]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.source.image_shape

    @property
    def pixel_scale(self) -> tuple[float, float] | None:
        """(scale, offset) with which pixels of 0..255 become what the model gets; None: they are used as given."""
        return SCALES[self.input_range] if self.source.dtype == np.uint8 else None

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the labels, of the first images and of the input range: what another split has another of.

        Splits that differ in later images alone have the same one.
        """
        labels = np.ascontiguousarray(self.labels).astype(np.int32)
        images = self.source.take(np.arange(min(_TOLD_BY, self.size)))
        told = hashlib.sha256(repr((labels.shape, images.shape, str(images.dtype), self.input_range)).encode())
        told.update(labels.tobytes())
        told.update(np.ascontiguousarray(images).tobytes())
        return told.hexdigest()

    def steps(self, batch_size: int, *, drop_remainder: bool = False) -> int:
        """Returns the number of batches in one epoch."""
        return Order(batch_size, drop_remainder=drop_remainder).steps(self.size)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        first_epoch: int = 0,
        epochs: int = 1,
        augment: Augmentation | None = None,
        drop_remainder: bool = False,
    ) -> Dataset:
        """Returns a ``tf.data.Dataset`` of (images float32 `[B, H, W, C]`, labels int32 `[B]`).

        Order and augmentation are pure functions of (shuffle_seed, epoch): the batches of epochs
        k, k+1, ... are the same whether the epochs before were drawn or not. The data set can be
        iterated again and then gives the same once more.

        Args:
            batch_size: images in a batch; the last batch of an epoch may be smaller.
            shuffle_seed: seed of order and augmentation; ``None``: the stored order, and the
                augmentation of seed 0.
            first_epoch: number of the first epoch.
            epochs: number of epochs.
            augment: random changes of the images; ``None``: none.
            drop_remainder: leave out a last batch that is smaller.

        Raises:
            DataError: a value out of its range, or nothing is left.
        """
        order = Order(batch_size, shuffle_seed, first_epoch, epochs, drop_remainder)
        # Random draws for the pictures must differ from those for the order: another first word.
        seed = (order.shuffle_seed or 0) ^ (1 << 62)

        def finish(epoch: Tensor, step: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
            images.set_shape([order.batch_size if drop_remainder else None, *self.image_shape])
            if augment is not None and augment != NONE:
                drawn = tf.random.fold_in(epoch_seed(seed, epoch), step)
                images = augmented(images, augment, drawn)
                if self.label_shape:
                    labels = augmented_maps(tf.ensure_shape(labels, [None, *self.label_shape]), augment, drawn)
            return self._scaled(images), tf.cast(labels, tf.int32)

        dataset = self.source.batches(order).map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        count = tf.data.experimental.assert_cardinality(order.steps(self.size) * epochs)
        return dataset.apply(count).prefetch(tf.data.AUTOTUNE)

    def sample(self, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Returns ``count`` images float32 `[count, H, W, C]` and their labels int32 `[count]`.

        As equally many of every class as there are (drawn at random where labels are maps), in
        random order; all images when the split has no more than ``count``.
        """
        if count < 1:
            raise DataError(f"Expected a sample of 1 image or more. Received: count={count}.")
        rng = np.random.default_rng(seed)
        indices = rng.permutation(balanced(self.labels, count, rng))
        with tf.device("/CPU:0"):
            images = self._scaled(tf.constant(self.source.take(indices))).numpy()
        return images, self.labels[indices].astype(np.int32)

    def _scaled(self, images: Tensor) -> Tensor:
        """Returns float32 images in ``input_range``; augmented bytes arrive as 0..255 floats."""
        images = tf.cast(images, tf.float32)
        scale, offset = SCALES[self.input_range]
        if self.source.dtype != np.uint8 or (scale, offset) == (1.0, 0.0):
            return images
        return images * scale + offset


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """A data set in three disjoint parts.

    Attributes:
        name: name of the data set as it was asked for.
        train: what weights are trained on.
        search: carved from the training images and never trained on; ranks the structures.
        test: for the final report only.
        class_names: one name a class; the label is the index.
        image_shape: (H, W, C) of every image.
        augmentation: what the data set recommends for training.
        fit: how images got their size: "resize" or "pad", see :class:`tfmeta.data.options.DataOptions`.
    """

    name: str
    train: Split
    search: Split
    test: Split
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    augmentation: Augmentation = NONE
    fit: str = "resize"

    def __post_init__(self) -> None:
        for part in ("train", "search", "test"):
            split: Split = getattr(self, part)
            if split.size == 0:
                raise DataError(f"The {part} split of {self.name!r} is empty. Expected images in it.")
            if split.image_shape != self.image_shape:
                raise DataError(
                    f"Expected images of shape {self.image_shape} in the {part} split of "
                    f"{self.name!r}. Received: {split.image_shape}."
                )
            if split.label_shape not in ((), self.image_shape[:2]) or split.label_shape != self.label_shape:
                raise DataError(
                    f"Expected labels that are all classes, or all maps of {list(self.image_shape[:2])} pixels, in the "
                    f"{part} split of {self.name!r}. Received: {list(split.label_shape)} a label, and "
                    f"{list(self.label_shape)} in the train split."
                )
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= self.num_classes:
                raise DataError(
                    f"Expected labels from 0 to {self.num_classes - 1} in the {part} split of "
                    f"{self.name!r} ({self.num_classes} classes). Received: {low} to {high}."
                )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """() where a label is a class, (H, W) where it is a map of classes."""
        return self.train.label_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What a network for this data answers for one image: a score for each class, or for each class and pixel."""
        return (*self.label_shape, self.num_classes)

    @property
    def task(self) -> tasks.Task:
        """What the networks of this data do, and how they are judged."""
        return tasks.of(self.label_shape)
