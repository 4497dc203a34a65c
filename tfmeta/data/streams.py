"""A user's own ``tf.data``: elements in a fixed order, one after the other.

A stream that fits in memory is read once and becomes arrays. A larger one is read again in every
epoch: splits are carved by the number of the element, and the order is shuffled in blocks of up to
``SHUFFLE_BUFFER`` elements with a seed made of (shuffle_seed, epoch), so images move about that far
and no farther; a stream whose classes come one after the other should be mixed by its owner first.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfmeta import progress
from tfmeta.data.fitting import fit_tensor, require_size
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import ArraySource, Order, Source, compact, epoch_numbers, epoch_seed
from tfmeta.errors import DataError
from tfmeta.lazy import tf

if TYPE_CHECKING:
    from tensorflow import Tensor
    from tensorflow.data import Dataset

SHUFFLE_BUFFER = 8192
_BUFFER_BYTES = 2**28
_SCAN_BATCH = 256
_MOST_ELEMENTS = 100_000_000  # a stream that is longer never ends
_COMPARED = 2048  # labels that are read a second time, to notice an order that changes


class StreamSource:
    """Images that a ``tf.data.Dataset`` of (image, label) yields, always in the same order."""

    def __init__(self, dataset: Dataset, labels: NDArray[np.int32], numbers: NDArray[np.int64], total: int) -> None:
        """Keeps the elements with the given ``numbers`` (ascending) of ``total`` ones."""
        self._dataset = dataset
        self._labels = labels
        self._numbers = numbers
        self._total = total

    @property
    def labels(self) -> NDArray[np.int32]:
        """`[N]` class of each image."""
        return self._labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, channels = self._dataset.element_spec[0].shape
        return height, width, channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or float32."""
        return np.dtype(self._dataset.element_spec[0].dtype.as_numpy_dtype)

    def subset(self, indices: NDArray[np.int64]) -> StreamSource:
        """Returns the source of the elements at ``indices`` of this one."""
        return StreamSource(self._dataset, self._labels[indices], self._numbers[indices], self._total)

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Reads the stream up to the last wanted element."""
        places = {int(number): place for place, number in enumerate(self._numbers[indices])}
        images = np.empty((len(indices), *self.image_shape), self.dtype)
        chosen = self.subset(np.unique(indices))._elements()
        for number, image, _ in chosen.take(len(places)).as_numpy_iterator():
            images[places[int(number)]] = image
        return images

    def batches(self, order: Order) -> Dataset:
        """Returns the batches; shuffled, the images move about ``SHUFFLE_BUFFER`` places."""
        order.steps(len(self._labels))
        elements = self._elements()

        def one_epoch(epoch: Tensor) -> Dataset:
            chosen = elements
            if order.shuffle_seed is not None:
                chosen = self._shuffled(elements, epoch_seed(order.shuffle_seed, epoch))
            batches = chosen.batch(order.batch_size, drop_remainder=order.drop_remainder)
            return batches.enumerate().map(lambda step, batch: (epoch, step, *batch[1:]))

        return epoch_numbers(order).flat_map(one_epoch)

    def _shuffled(self, elements: Dataset, seed: Tensor) -> Dataset:
        """Shuffles block by block, the blocks beginning elsewhere with every seed.

        ``Dataset.shuffle`` keeps a state of its own, so that what an epoch gives would depend on
        the epochs before it.
        """
        image_bytes = int(np.prod(self.image_shape)) * self.dtype.itemsize
        block = max(1, min(SHUFFLE_BUFFER, _BUFFER_BYTES // image_bytes, len(self._labels)))
        start = tf.random.stateless_uniform([], seed, 0, block, tf.int64, "philox")

        def mix(number: Tensor, elements: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            keys = tf.random.stateless_uniform(
                tf.shape(elements[0]),
                tf.random.fold_in(seed, number),
                None,
                None,
                tf.int32,
                "philox",
            )
            places = tf.argsort(keys, stable=True)
            return tuple(tf.gather(column, places) for column in elements)

        blocks = elements.take(start).batch(block).concatenate(elements.skip(start).batch(block))
        return blocks.enumerate().map(mix).unbatch()

    def _elements(self) -> Dataset:
        """Returns (number, image, label) of the elements that belong here."""
        kept = np.zeros(self._total, bool)
        kept[self._numbers] = True
        with tf.device("/CPU:0"):
            mask = tf.constant(kept)
        numbered = self._dataset.enumerate().map(lambda number, pair: (number, *pair))
        return numbered.filter(lambda number, image, label: mask[number])


def from_dataset(dataset: Dataset, part: str, options: DataOptions) -> Source:
    """Returns a source of a user's data set: arrays if they fit in memory, else the stream.

    Args:
        dataset: unbatched (image, label) elements: image `[H, W]` or `[H, W, C]` of uint8 or
            floating point, label an integer scalar, or `[H, W]` with the class of each pixel. It must
            end and keep its order.
        part: what it is, for the error texts ("train").
        options: image size, fit and memory limit.

    Raises:
        DataError: other elements, no element, no end, images of several sizes, an order that
            changes, or maps of classes that do not fit into memory.
    """
    dataset = _prepared(dataset, part, options)
    shape, dtype = dataset.element_spec[0].shape, dataset.element_spec[0].dtype
    limit = options.memory_limit_mb * 2**20 // (shape.num_elements() * dtype.size)
    images: list[NDArray[Any]] = []
    labels: list[NDArray[np.integer]] = []
    count = 0
    for batch_images, batch_labels in _scan(dataset, part):
        labels.append(compact(batch_labels) if batch_labels.ndim > 1 else batch_labels)
        count += len(batch_labels)
        if count <= limit:
            images.append(batch_images)
        else:
            images.clear()
        if count > _MOST_ELEMENTS:
            raise DataError(f"The {part} data set does not end. Remove repeat() from it.")
    if not labels:
        raise DataError(f"The {part} data set is empty. Expected (image, label) elements.")
    all_labels = np.concatenate(labels)
    if images:
        return ArraySource(np.concatenate(images), all_labels)
    if all_labels.ndim > 1:
        raise DataError(
            f"Expected {part} data with a label for each pixel that fits into memory_limit_mb="
            f"{options.memory_limit_mb}. Received: {count:,} images of shape {tuple(shape)}. Raise the limit, or give "
            "fewer or smaller images."
        )
    _check_order(dataset, all_labels, part)
    return StreamSource(dataset, all_labels, np.arange(count), count)


def _prepared(dataset: Dataset, part: str, options: DataOptions) -> Dataset:
    """Returns the data set with uint8 or float32 images of one static shape and int32 labels."""
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or spec[0].shape.rank not in (2, 3):
        raise DataError(
            f"Expected unbatched (image [H, W, C], label) elements in the {part} data set (if it "
            f"is batched, call unbatch() on it). Received: {spec}."
        )
    if spec[1].shape.as_list() not in ([], spec[0].shape[:2].as_list()) or not spec[1].dtype.is_integer:
        raise DataError(
            f"Expected an integer scalar as label in the {part} data set, or one integer for each pixel (of a one-hot "
            f"vector take tf.argmax). Received: {spec[1].dtype.name} of shape {spec[1].shape}."
        )
    if tf.data.experimental.cardinality(dataset) == tf.data.INFINITE_CARDINALITY:
        raise DataError(f"The {part} data set does not end. Remove repeat() from it.")
    height_width = spec[0].shape[:2]
    if options.image_size is None and None in height_width.as_list():
        raise DataError(
            f"The images of the {part} data set have no fixed size (shape {spec[0].shape}). "
            "Give image_size, or resize them in your function."
        )
    if spec[1].shape.rank:
        require_size(height_width.as_list(), options, part)
    fit = "resize" if options.fit == "auto" else options.fit

    def prepare(image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        image = image if image.shape.rank == 3 else image[..., None]
        image = image if image.dtype == tf.uint8 else tf.cast(image, tf.float32)
        if options.image_size is not None:
            image = fit_tensor(image, options.image_size, fit)
        return image, tf.cast(label, tf.int32)

    return dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _scan(dataset: Dataset, part: str) -> Any:
    batches = dataset.batch(_SCAN_BATCH).as_numpy_iterator()
    return progress.bar(batches, f"reading {part} data", unit=f"x{_SCAN_BATCH} images")


def _check_order(dataset: Dataset, labels: NDArray[np.int32], part: str) -> None:
    again = dataset.map(lambda image, label: label).take(_COMPARED).as_numpy_iterator()
    second = np.fromiter(itertools.islice(again, _COMPARED), np.int32)
    if not np.array_equal(second, labels[: len(second)]):
        raise DataError(
            f"The {part} data set yields another order each time, so no split can be carved "
            "from it. Remove shuffle() from it (batches are shuffled here), or raise "
            "memory_limit_mb to hold it in memory."
        )
