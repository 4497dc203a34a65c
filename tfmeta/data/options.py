"""Options of the data: where it lies, how it is split and how images reach the model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfmeta.errors import DataError

INPUT_RANGES = ("0..255", "0..1", "-1..1")
FITS = ("auto", "pad", "resize")


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How a data set is found, split and shaped. The defaults of all data live here.

    Attributes:
        data_dir: folder that is looked in first; ``None``: only the usual places.
        download: whether a data set that is on no local path may be fetched from its publisher.
        seed: draws the search split and the subsets; the test split never depends on it.
        search_fraction: share of every class of the training images that becomes the search split.
        search_size: number of images of the search split, the same from every class; takes the
            place of ``search_fraction``.
        test_fraction: share of every class that becomes the test split where the data set has no
            official one.
        train_size: keep only so many training images, balanced over the classes, for quick runs.
        test_size: keep only so many test images, balanced over the classes, for quick runs.
        image_size: height and width in pixels that every image gets; ``None``: the data set's own.
        fit: how images get there: ``"resize"`` stretches, ``"pad"`` puts black borders around the
            image (and shrinks it first, aspect ratio kept, when it is too large); ``"auto"``: the
            data set's own way.
        input_range: range of the pixel values in a batch: ``"0..255"``, ``"0..1"`` or ``"-1..1"``.
        memory_limit_mb: image folders and streams that need less than this as decoded images are
            decoded once and held in memory; larger ones are read again in every epoch.

    Raises:
        DataError: an option is out of its range.
    """

    data_dir: str | None = None
    download: bool = True
    seed: int = 0
    search_fraction: float = 0.1
    search_size: int | None = None
    test_fraction: float = 0.2
    train_size: int | None = None
    test_size: int | None = None
    image_size: int | None = None
    fit: str = "auto"
    input_range: str = "0..255"
    memory_limit_mb: int = 1024

    def __post_init__(self) -> None:
        for name in ("search_fraction", "test_fraction"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise DataError(f"Expected {name} between 0 and 1 (both excluded). Received: {value}.")
        for name in ("search_size", "train_size", "test_size", "image_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"Expected {name} of 1 or more, or none. Received: {value}.")
        for name in ("seed", "memory_limit_mb"):
            value = getattr(self, name)
            if value < 0:
                raise DataError(f"Expected {name} of 0 or more. Received: {value}.")
        _one_of("fit", self.fit, FITS)
        _one_of("input_range", self.input_range, INPUT_RANGES)
        if self.data_dir is not None and not Path(self.data_dir).expanduser().is_dir():
            raise DataError(
                f"data_dir is not a folder. Received: {self.data_dir!r}. Give an existing folder, "
                "or leave it out to look in the usual places."
            )

    @property
    def folder(self) -> Path | None:
        """The folder ``data_dir`` as a path, ``~`` resolved; ``None`` when it is not given."""
        return None if self.data_dir is None else Path(self.data_dir).expanduser()


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(f"Unknown {name} {value!r}. Expected one of: {', '.join(known)}.")
