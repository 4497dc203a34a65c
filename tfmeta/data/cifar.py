"""The files of CIFAR-10 and CIFAR-100: the binary version, as a folder or as the archive.

Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html. A record is one label byte (two for
CIFAR-100: coarse, fine) and 3072 bytes of red, green and blue planes, row by row. The version
for Python is made of pickles and therefore not read.
"""

from __future__ import annotations

import dataclasses
import tarfile
import zlib
from pathlib import Path

import numpy as np

from tfmeta.data import places
from tfmeta.data.assemble import assemble
from tfmeta.data.augment import Augmentation
from tfmeta.data.fitting import fit_array
from tfmeta.data.npz import Pair, read_npz
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import ArraySource
from tfmeta.data.splits import Splits
from tfmeta.errors import DataError

_SIDE = 32  # pixels
_PIXEL_BYTES = 3 * _SIDE * _SIDE
_LARGEST_FILE_BYTES = 200_000_000  # nothing of CIFAR unpacks to more


@dataclasses.dataclass(frozen=True)
class CifarFiles:
    """What the files of one of the two sets are called and how their records begin.

    Attributes:
        name: of the data set.
        archive: file name of the published archive of the binary version.
        md5: of that archive, as published beside it.
        folder: the folder inside the archive.
        train: file names of the training records.
        test: file name of the test records.
        label_bytes: label bytes of a record, the last of which is the label.
    """

    name: str
    archive: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    label_bytes: int

    @property
    def url(self) -> str:
        """Where the archive is published."""
        return f"https://www.cs.toronto.edu/~kriz/{self.archive}"

    @property
    def advice(self) -> str:
        """What a user without network can do."""
        return (
            f"Put {self.archive} (from {self.url}), or its files {', '.join(self.train)} and "
            f"{self.test}, or {self.name}.npz (x_train, y_train, x_test, y_test) into one folder "
            "and give that as data_dir. The version for Python is pickled and not read."
        )


def load_cifar(kind: CifarFiles, class_names: tuple[str, ...], options: DataOptions) -> Splits:
    """Returns the splits of CIFAR-10 or CIFAR-100, 32x32x3 unless told otherwise.

    Looked for in ``data_dir`` and in the Keras cache, then downloaded into the latter; the archive
    is read in place and nothing is unpacked.

    Raises:
        DataError: the files are nowhere and cannot be fetched, or are damaged.
    """
    fit = "resize" if options.fit == "auto" else options.fit
    train, test = (
        ArraySource(fit_array(images, options.image_size or _SIDE, fit), labels)
        for images, labels in _read(kind, len(class_names), options)
    )
    return assemble(
        kind.name,
        train,
        test,
        options,
        class_names=class_names,
        augmentation=Augmentation(flip=True, pad_crop=4),
    )


def _read(kind: CifarFiles, num_classes: int, options: DataOptions) -> tuple[Pair, Pair]:
    cache = places.keras_cache()
    for folder in (
        *places.own_folders(options, kind.name, kind.folder),
        cache / kind.folder,
        cache,
    ):
        if any((folder / name).is_file() for name in (*kind.train, kind.test)):
            return _records(kind, num_classes, folder, _from_folder(kind, folder))
        if (folder / f"{kind.name}.npz").is_file():
            return read_npz(folder / f"{kind.name}.npz", (_SIDE, _SIDE, 3), num_classes)
        if (folder / kind.archive).is_file():
            path = folder / kind.archive
            return _records(kind, num_classes, path, _from_archive(kind, path))
    if not options.download:
        raise places.absent(kind.name, kind.advice)
    path = places.download(kind.url, cache / kind.archive, kind.md5, kind.advice)
    return _records(kind, num_classes, path, _from_archive(kind, path))


def _from_folder(kind: CifarFiles, folder: Path) -> dict[str, bytes]:
    paths = {name: folder / name for name in (*kind.train, kind.test)}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def _from_archive(kind: CifarFiles, path: Path) -> dict[str, bytes]:
    """Reads the wanted members into memory: no name in an archive ever becomes a path."""
    wanted = {f"{kind.folder}/{name}": name for name in (*kind.train, kind.test)}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if member.name in wanted and file and member.size <= _LARGEST_FILE_BYTES:
                    found[wanted[member.name]] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged ({error}). Expected the published archive. Remove it and try again."
        ) from error
    return found


def _records(kind: CifarFiles, num_classes: int, place: Path, contents: dict[str, bytes]) -> tuple[Pair, Pair]:
    missing = [name for name in (*kind.train, kind.test) if name not in contents]
    if missing:
        raise DataError(f"Missing in {place}: {', '.join(missing)}. {kind.advice}")
    parts = [_parse(kind, num_classes, place, name, contents[name]) for name in kind.train]
    train = (np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    return train, _parse(kind, num_classes, place, kind.test, contents[kind.test])


def _parse(kind: CifarFiles, num_classes: int, place: Path, name: str, content: bytes) -> Pair:
    record = kind.label_bytes + _PIXEL_BYTES
    if not content or len(content) % record:
        raise DataError(
            f"{name} in {place} is cut short or of another data set. Expected a multiple of "
            f"{record} bytes ({kind.name}). Received: {len(content)}. Get the file again."
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = rows[:, kind.label_bytes - 1].astype(np.int32)
    if labels.max() >= num_classes:
        raise DataError(
            f"Expected labels from 0 to {num_classes - 1} in {name} in {place}. "
            f"Received: {labels.max()}. Get the file again."
        )
    planes = rows[:, kind.label_bytes :].reshape(-1, 3, _SIDE, _SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
