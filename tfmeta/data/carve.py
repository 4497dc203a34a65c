"""Balanced, seeded choices of images by their labels.

Indices only: nothing here sees a pixel. The same labels and a generator in the same state give the
same choice. An image whose label is a map of classes has no one class to be balanced by: such images
count as of one class, which is a random choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfmeta.errors import DataError

Indices = NDArray[np.int64]

_LISTED = 5  # classes that an error names


def carve_fraction(
    labels: NDArray[np.integer],
    fraction: float,
    rng: np.random.Generator,
    *,
    class_names: Sequence[str],
    parts: Sequence[str],
) -> tuple[Indices, Indices]:
    """Returns (kept, carved) indices: the same share of every class is carved.

    Every class gives at least one image and keeps at least one for each of the other parts. Both
    results ascend, are disjoint and together hold every index.

    Args:
        labels: `[N]` class of each image, or `[N, H, W]` maps.
        fraction: share of each class to carve, between 0 and 1.
        rng: draws the images.
        class_names: one name a class, for the error text.
        parts: every split that these images must serve, the carved one last.

    Raises:
        DataError: a class has fewer images than there are parts.
    """
    labels, class_names = _strata(labels, class_names)
    counts = _counts(labels, class_names, parts)
    quotas = np.clip(np.rint(counts * fraction).astype(np.int64), 1, counts - len(parts) + 1)
    return _divide(labels, quotas, rng)


def carve_count(
    labels: NDArray[np.integer],
    count: int,
    rng: np.random.Generator,
    *,
    class_names: Sequence[str],
    parts: Sequence[str],
) -> tuple[Indices, Indices]:
    """Returns (kept, carved) indices: ``count`` images, as equally many of each class as there are.

    Arguments and errors are those of :func:`carve_fraction`; a ``count`` that does not reach every
    class, or takes too much from them all, is a ``DataError`` as well.
    """
    labels, class_names = _strata(labels, class_names)
    counts = _counts(labels, class_names, parts)
    available = counts - len(parts) + 1
    if not len(counts) <= count <= available.sum():
        raise DataError(
            f"Expected a {parts[-1]} split of {len(counts)} to {available.sum()} images "
            f"({len(counts)} classes, {counts.sum()} images; each class gives one at least and "
            f"keeps one at least). Received: {count}."
        )
    return _divide(labels, _even_quotas(available, count), rng)


def balanced(labels: NDArray[np.integer], count: int, rng: np.random.Generator) -> Indices:
    """Returns `[min(count, N)]` ascending indices with as equally many of each class as there are.

    Classes that are too small give all they have and the others make up for it. Where there are more classes than
    images to take, it is drawn which of them give one.
    """
    labels, _ = _strata(labels)
    counts = np.bincount(labels)
    present = np.flatnonzero(counts)
    if count < len(present):
        quotas = np.zeros_like(counts)
        quotas[rng.permutation(present)[:count]] = 1
    else:
        quotas = _even_quotas(counts, min(count, len(labels)))
    return _divide(labels, quotas, rng)[1]


def _strata(labels: NDArray[np.integer], class_names: Sequence[str] = ()) -> tuple[NDArray[np.integer], Sequence[str]]:
    """Returns the class that each image is chosen by, and the names of these classes."""
    return (labels, class_names) if labels.ndim == 1 else (np.zeros(len(labels), np.int64), ("all images",))


def _counts(labels: NDArray[np.integer], class_names: Sequence[str], parts: Sequence[str]) -> NDArray[np.int64]:
    counts = np.bincount(labels, minlength=len(class_names)).astype(np.int64)
    small = np.flatnonzero(counts < len(parts))
    if small.size:
        listed = ", ".join(f"{class_names[i]!r} has {counts[i]}" for i in small[:_LISTED])
        more = f", and {small.size - _LISTED} more classes" if small.size > _LISTED else ""
        raise DataError(
            f"Every class needs at least {len(parts)} images, one for each of the splits "
            f"{', '.join(parts)}; but {listed}{more}. Add images, or remove the class."
        )
    return counts


def _even_quotas(available: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Fills the classes level by level, none above what is available."""
    quotas = np.zeros_like(available)
    while (left := count - int(quotas.sum())) > 0:  # ends: each round closes a class or deals all
        room = np.flatnonzero(available > quotas)
        each = left // len(room)
        if each == 0:
            quotas[room[:left]] += 1
        else:
            quotas[room] += np.minimum(each, available[room] - quotas[room])
    return quotas


def _divide(
    labels: NDArray[np.integer], quotas: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Returns (the others, ``quotas[c]`` random indices of each class c), both ascending."""
    carved = np.zeros(len(labels), bool)
    for label, quota in enumerate(quotas):
        carved[rng.permutation(np.flatnonzero(labels == label))[:quota]] = True
    return np.flatnonzero(~carved), np.flatnonzero(carved)
