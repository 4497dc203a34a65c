"""A folder of pictures, one sub-folder a class.

Either ``DIR/train/<class>/*`` and ``DIR/test/<class>/*`` (``val`` counts as ``test`` where there is
none; without both a test split is carved), or ``DIR/<class>/*`` with a test split carved. Files
with other suffixes than those of pictures, and names that begin with a dot, are passed over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmeta.data.assemble import assemble
from tfmeta.data.augment import Augmentation
from tfmeta.data.image_files import SUFFIXES, FileSource
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import Source
from tfmeta.data.splits import Splits
from tfmeta.errors import DataError

_SIZE = 224  # pixels
_TEST_NAMES = ("test", "val")
# From this size on, a random crop still shows enough of the object.
_CROP_FROM = 96


def load(options: DataOptions, folder: str) -> Splits:
    """Returns the pictures of ``folder``, resized to 224x224x3 unless told otherwise.

    Raises:
        DataError: no such folder, no pictures in it, a class with too few of them, a class that
            only the test folder has, or broken files.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"image_folder: {folder!r} is not a folder. Expected one with pictures.")
    train_root = root / "train" if (root / "train").is_dir() else root
    test_root = next((root / name for name in _TEST_NAMES if (root / name).is_dir()), None)
    if train_root == root and test_root is not None:
        raise DataError(
            f"image_folder: {test_root} stands without {root / 'train'}. Expected both, or only one sub-folder a class."
        )
    class_names = _class_names(train_root)
    train = _source(train_root, class_names, options)
    test = None if test_root is None else _source(test_root, class_names, options)
    size = train.image_shape[0]
    return assemble(
        f"image_folder:{folder}",
        train,
        test,
        options,
        class_names=class_names,
        augmentation=Augmentation(flip=True, min_crop_area=0.35 if size >= _CROP_FROM else 1.0),
    )


def _source(root: Path, class_names: tuple[str, ...], options: DataOptions) -> Source:
    paths: list[Path] = []
    labels: list[int] = []
    unknown = set(_class_names(root)) - set(class_names)
    if unknown:
        raise DataError(
            f"image_folder: {root} has classes that the training folder lacks: "
            f"{', '.join(sorted(unknown)[:5])}. Add pictures of them there, or remove them."
        )
    for label, name in enumerate(class_names):
        found = _pictures(root / name) if (root / name).is_dir() else []
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise DataError(_nothing(root))
    fit = "resize" if options.fit == "auto" else options.fit
    source = FileSource(paths, np.array(labels, np.int32), options.image_size or _SIZE, fit)
    if source.decoded_bytes <= options.memory_limit_mb * 2**20:
        return source.in_memory()
    source.check()
    return source


def _class_names(root: Path) -> tuple[str, ...]:
    names = (p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    class_names = tuple(sorted(names))
    if not class_names:
        raise DataError(_nothing(root))
    return class_names


def _pictures(folder: Path) -> list[Path]:
    """Returns the pictures by name, so that the order does not depend on the file system."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _nothing(root: Path) -> str:
    return (
        f"image_folder: no pictures in {root}. Expected sub-folders, one a class, with files that "
        f"end in {', '.join(SUFFIXES)}."
    )
