"""From the images of a data set to its ``Splits``: the one place where splits are carved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfmeta.data.augment import NONE, Augmentation
from tfmeta.data.carve import balanced, carve_count, carve_fraction
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import Source
from tfmeta.data.splits import Split, Splits

# Second words of the seeds, so that the draws for different purposes have nothing in common.
_SEARCH, _TRAIN_SUBSET, _TEST_SUBSET = 1, 2, 3
# A test split that is carved is the same for every seed: results of several seeds stay comparable.
_TEST_SEED = 20190814


def assemble(
    name: str,
    train: Source,
    test: Source | None,
    options: DataOptions,
    *,
    class_names: tuple[str, ...],
    search: Source | None = None,
    augmentation: Augmentation = NONE,
    fit: str = "resize",
) -> Splits:
    """Returns the three splits, each image in one of them at most.

    Args:
        name: name of the data set.
        train: all training images.
        test: the official test images; ``None``: carved from ``train`` with a fixed seed.
        options: sizes and seeds.
        class_names: one name a class.
        search: images for the search split; ``None``: carved from ``train``.
        augmentation: what the data set recommends.
        fit: how its images got their size where the options leave it to the data set.

    Raises:
        DataError: a class is too small to be divided, or a size asks for too much.
    """
    if test is None:
        kept, carved = carve_fraction(
            train.labels,
            options.test_fraction,
            np.random.default_rng(_TEST_SEED),
            class_names=class_names,
            parts=("train", "search", "test") if search is None else ("train", "test"),
        )
        train, test = train.subset(kept), train.subset(carved)
    if search is None:
        kept, carved = _search_indices(train, options, class_names)
        train, search = train.subset(kept), train.subset(carved)
    elif options.search_size is not None:
        search = _smaller(search, options.search_size, (options.seed, _SEARCH))
    train = _smaller(train, options.train_size, (options.seed, _TRAIN_SUBSET))
    test = _smaller(test, options.test_size, (options.seed, _TEST_SUBSET))
    return Splits(
        name,
        Split(train, options.input_range),
        Split(search, options.input_range),
        Split(test, options.input_range),
        class_names,
        train.image_shape,
        augmentation,
        fit if options.fit == "auto" else options.fit,
    )


def _search_indices(
    train: Source, options: DataOptions, class_names: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng((options.seed, _SEARCH))
    parts = ("train", "search")
    if options.search_size is not None:
        return carve_count(train.labels, options.search_size, rng, class_names=class_names, parts=parts)
    return carve_fraction(train.labels, options.search_fraction, rng, class_names=class_names, parts=parts)


def _smaller(source: Source, size: int | None, seed: tuple[int, int]) -> Source:
    if size is None or size >= len(source.labels):
        return source
    return source.subset(balanced(source.labels, size, np.random.default_rng(seed)))
