"""CIFAR-10: 50,000 + 10,000 colour photographs, 32x32, 10 classes."""

from __future__ import annotations

from tfmeta.data.cifar import CifarFiles, load_cifar
from tfmeta.data.options import DataOptions
from tfmeta.data.splits import Splits

FILES = CifarFiles(
    name="cifar10",
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test="test_batch.bin",
    label_bytes=1,
)
_NAMES = "airplane automobile bird cat deer dog frog horse ship truck"
CLASSES = tuple(_NAMES.split())


def load(options: DataOptions) -> Splits:
    """Returns CIFAR-10, see :func:`tfmeta.data.cifar.load_cifar`."""
    return load_cifar(FILES, CLASSES, options)
