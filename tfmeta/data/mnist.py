"""MNIST: 60,000 + 10,000 handwritten digits, 28x28 grey.

LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

from tfmeta.data import idx, places
from tfmeta.data.assemble import assemble
from tfmeta.data.augment import Augmentation
from tfmeta.data.fitting import fit_array
from tfmeta.data.npz import Pair, read_npz
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import ArraySource
from tfmeta.data.splits import Splits

_NPZ = "mnist.npz"
_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
# As published in keras.datasets.mnist.
_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
_ADVICE = f"Put {', '.join(idx.FILE_NAMES)}, or Keras' {_NPZ}, into one folder and give that as data_dir."
_SIDE = 28  # pixels, as stored
_SIZE = 32  # pixels, padded: halves five times
_NUM_CLASSES = 10


def load(options: DataOptions) -> Splits:
    """Returns MNIST, padded to 32x32x1 unless told otherwise.

    Looked for in ``data_dir`` (the four idx files or ``mnist.npz``) and in the Keras cache, then
    downloaded into the latter.

    Raises:
        DataError: the files are nowhere and cannot be fetched, or are damaged.
    """
    fit = "pad" if options.fit == "auto" else options.fit
    train, test = (
        ArraySource(fit_array(images, options.image_size or _SIZE, fit), labels) for images, labels in _read(options)
    )
    return assemble(
        "mnist",
        train,
        test,
        options,
        class_names=tuple("0123456789"),
        augmentation=Augmentation(pad_crop=2),  # a mirrored digit is another sign: no flip
        fit=fit,
    )


def _read(options: DataOptions) -> tuple[Pair, Pair]:
    own = places.own_folders(options, "mnist")
    cache = places.keras_cache()
    paths = idx.find([*own, cache / "mnist"])
    if paths is not None:
        train, test = (
            idx.read_pair(paths[f"{part}_images"], paths[f"{part}_labels"], _SIDE, _NUM_CLASSES)
            for part in ("train", "test")
        )
        return train, test
    candidates = [folder / _NPZ for folder in (*own, cache)]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        if not options.download:
            raise places.absent("MNIST", _ADVICE)
        path = places.download(_URL, cache / _NPZ, _SHA256, _ADVICE)
    return read_npz(path, (_SIDE, _SIDE, 1), _NUM_CLASSES)
