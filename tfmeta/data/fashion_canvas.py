"""Fashion-MNIST items composed on canvases, with the class of each pixel: a small data set for segmentation.

Made from the files of Fashion-MNIST (`tfmeta.data.fashion_mnist`) when it is loaded, always the same: each item lies at
a random place of exactly one canvas, so canvases that share no split share no item, and later items lie over earlier
ones. A pixel has the class of the item that is seen there, or is background. Canvases of training come from the
training images, those of the test split from the test images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfmeta.data import fashion_mnist
from tfmeta.data.assemble import assemble
from tfmeta.data.augment import Augmentation
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import ArraySource
from tfmeta.data.splits import Splits
from tfmeta.errors import DataError

_SIZE = 64  # pixels of a canvas
# Of how the canvases are composed. They are the same for every seed of the options, which divides them.
_SEED = 20170825
# Around the items lie pixels of 1 or 2, which no one would see as clothes.
_DARKEST = 16


def load(options: DataOptions, items: str) -> Splits:
    """Returns canvases of 64x64x1 pixels (or `image_size`), with maps of 11 classes: background, then the items'.

    Of the 60,000 training images 4 items on each make 15,000 canvases, of the 10,000 test images 2,500.

    Args:
        options: where the files are, how large a canvas is and how canvases are divided.
        items: how many lie on each canvas, a number.

    Raises:
        DataError: no such number, a canvas that is too small, or Fashion-MNIST is not there.
    """
    if not items.isdecimal() or int(items) < 1:
        raise DataError(f"Expected fashion_canvas:ITEMS with a number of 1 or more. Received: {items!r}.")
    size = options.image_size or _SIZE
    if size < fashion_mnist.SIDE:
        raise DataError(f"Expected image_size of {fashion_mnist.SIDE} or more, the size of an item. Received: {size}.")
    train, test = (
        ArraySource(*composed(images[..., 0], labels, size, int(items), np.random.default_rng((_SEED, part))))
        for part, (images, labels) in enumerate(fashion_mnist.read(options))
    )
    return assemble(
        "fashion_canvas",
        train,
        test,
        options,
        class_names=("background", *fashion_mnist.CLASSES),
        augmentation=Augmentation(flip=True),
        fit="pad",
    )


def composed(
    images: NDArray[np.uint8], labels: NDArray[np.integer], size: int, items: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns canvases `[M, size, size, 1]` and the classes of their pixels `[M, size, size]`, 0 for the background.

    Args:
        images: `[N, S, S]` with S up to ``size``; M is N divided by ``items``, and what is left over is left out.
        labels: `[N]` classes of the items; class c becomes c + 1.
        size: of a canvas in pixels.
        items: on each canvas.
        rng: draws which items lie together, and where.

    Raises:
        DataError: there are fewer images than ``items``.
    """
    count, side = len(images) // items, images.shape[1]
    if count == 0:
        raise DataError(f"Expected at least {items} images, for the items of one canvas. Received: {len(images)}.")
    chosen = rng.permutation(len(images))[: count * items].reshape(items, count)
    corners = rng.integers(0, size - side + 1, (items, 2, count))
    canvases = np.zeros((count, size, size), np.uint8)
    maps = np.zeros_like(canvases)
    for indices, (top, left) in zip(chosen, corners, strict=True):  # one item on every canvas at a time
        rows, columns = (start[:, np.newaxis] + np.arange(side) for start in (top, left))
        place = np.arange(count)[:, np.newaxis, np.newaxis], rows[:, :, np.newaxis], columns[:, np.newaxis, :]
        item, classes = images[indices], labels[indices].astype(np.uint8) + 1
        seen = item >= _DARKEST
        canvases[place] = np.where(seen, item, canvases[place])
        maps[place] = np.where(seen, classes[:, np.newaxis, np.newaxis], maps[place])
    return canvases[..., np.newaxis], maps
