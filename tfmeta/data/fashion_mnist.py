"""Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28x28 grey, 10 classes.

Xiao, Rasul, Vollgraf 2017, https://arxiv.org/abs/1708.07747; files and licence (MIT):
https://github.com/zalandoresearch/fashion-mnist.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from tfmeta.data import idx, places
from tfmeta.data.assemble import assemble
from tfmeta.data.augment import Augmentation
from tfmeta.data.fitting import fit_array
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import ArraySource
from tfmeta.data.splits import Splits
from tfmeta.errors import DataError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
SIDE = 28  # pixels, as stored
_SIZE = 32  # pixels, padded: halves five times
# SHA-256 of the unpacked files, in the order of ``idx.FILE_NAMES``: the gzip around them differs
# between the publishers.
_CONTENT_SHA256 = (
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


def load(options: DataOptions) -> Splits:
    """Returns Fashion-MNIST, padded to 32x32x1 unless told otherwise.

    Looked for in ``data_dir``, in the folder of Debian's package ``dataset-fashion-mnist`` and in
    the Keras cache, then downloaded into the latter.

    Raises:
        DataError: the files are nowhere and cannot be fetched, or are damaged.
    """
    fit = "pad" if options.fit == "auto" else options.fit
    train, test = (
        ArraySource(fit_array(images, options.image_size or _SIZE, fit), labels) for images, labels in read(options)
    )
    return assemble(
        "fashion_mnist",
        train,
        test,
        options,
        class_names=CLASSES,
        augmentation=Augmentation(flip=True, pad_crop=2),
        fit=fit,
    )


def read(options: DataOptions) -> tuple[idx.Pair, idx.Pair]:
    """Returns the (images, labels) of training and of test, found as `load` does.

    Raises:
        DataError: as for `load`.
    """
    cache = places.keras_cache() / "fashion-mnist"
    own = places.own_folders(options, "fashion_mnist", "fashion-mnist")
    paths = idx.find([*own, DEBIAN_FOLDER, cache])
    if paths is None:
        paths = _download(cache, options)
    train, test = (
        idx.read_pair(paths[f"{part}_images"], paths[f"{part}_labels"], SIDE, len(CLASSES))
        for part in ("train", "test")
    )
    return train, test


def _download(cache: Path, options: DataOptions) -> dict[str, Path]:
    advice = (
        f"Put {', '.join(idx.FILE_NAMES)} (from https://github.com/zalandoresearch/fashion-mnist) "
        "into one folder and give that as data_dir, or install Debian's package "
        "dataset-fashion-mnist."
    )
    if not options.download:
        raise places.absent("Fashion-MNIST", advice)
    for name, expected in zip(idx.FILE_NAMES, _CONTENT_SHA256, strict=True):
        path = places.download(_URL + name, cache / name, None, advice)
        _verify(path, expected)
    paths = idx.find([cache])
    if paths is None:
        raise DataError(f"The downloaded files are not in {cache}. {advice}")
    return paths


def _verify(path: Path, expected: str) -> None:
    """Removes a download that is not what the publisher offers, and says so."""
    try:
        with gzip.open(path) as file:
            received = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError) as error:
        received = f"unreadable ({error})"
    if received != expected:
        path.unlink()
        raise DataError(
            f"The download of {path.name} is not the published file. Expected SHA-256 {expected} "
            f"of the unpacked content. Received: {received}. It was removed; try again."
        )
