"""Small data sets on disk, in the formats of the big ones.

Every image carries its own number in its first two pixels, so a test can follow it through splits,
batches and files.
"""

import gzip
import struct
import sys

import numpy as np
import tensorflow as tf


def numbered(count, shape, first=0):
    """Returns uint8 `[count, *shape]` noise whose first row tells the number of the image."""
    images = np.random.default_rng(first).integers(0, 256, (count, *shape), dtype=np.uint8)
    numbers = np.arange(first, first + count)
    images[:, 0, 0, ...] = (numbers // 256).reshape(-1, *[1] * (len(shape) - 2))
    images[:, 0, 1, ...] = (numbers % 256).reshape(-1, *[1] * (len(shape) - 2))
    return images


def numbers_of(images, border=0):
    """Returns the numbers that :func:`numbered` wrote, of images padded by ``border`` pixels."""
    corner = np.asarray(images)[:, border, border : border + 2, 0].astype(int)
    return (corner[:, 0] * 256 + corner[:, 1]).tolist()


def cyclic(count, classes):
    """Returns labels 0, 1, ... classes - 1, 0, 1, ..."""
    return np.arange(count, dtype=np.uint8) % classes


def write_idx(path, array):
    """Writes the idx format from its description: two zeros, 8 = ubyte, rank, sizes, bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(header + array.astype(np.uint8).tobytes())


def mnist_folder(folder, train=60, test=20, suffix=".gz"):
    """Writes the four files of MNIST or Fashion-MNIST with few images."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count, first in (("train", train, 0), ("t10k", test, 1000)):
        images = numbered(count, (28, 28), first)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", cyclic(count, 10))
    return folder


def cifar_records(images, labels, label_bytes):
    """Returns the bytes of CIFAR records: labels (the last counts), then planes R, G, B."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    heads = np.zeros((len(images), label_bytes), np.uint8)
    heads[:, -1] = labels
    return np.concatenate([heads, planes], axis=1).tobytes()


def cifar_folder(folder, name, per_file):
    """Writes the binary version of cifar10 or cifar100 with few images."""
    folder.mkdir(parents=True, exist_ok=True)
    train = [f"data_batch_{i}.bin" for i in range(1, 6)] if name == "cifar10" else ["train.bin"]
    test = "test_batch.bin" if name == "cifar10" else "test.bin"
    classes, label_bytes = (10, 1) if name == "cifar10" else (100, 2)
    for place, file in enumerate([*train, test]):
        images = numbered(per_file, (32, 32, 3), first=place * 1000)
        records = cifar_records(images, cyclic(per_file, classes), label_bytes)
        (folder / file).write_bytes(records)
    return folder


def picture(path, image):
    """Writes one picture; the suffix tells the format."""
    encode = {".png": tf.io.encode_png, ".jpg": tf.io.encode_jpeg}[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(image).numpy())


def class_folders(root, counts, size=8, first=0):
    """Writes ``counts[name]`` numbered PNG pictures a class under ``root``."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for place, image in enumerate(numbered(count, (size, size, 3), first)):
            picture(root / name / f"{place:03d}.png", image)
        first += count
    return root


def user_module(monkeypatch, name, **functions):
    """Makes a module of a user's own importable under ``name``."""
    module = type(sys)(name)
    for key, function in functions.items():
        setattr(module, key, function)
    monkeypatch.setitem(sys.modules, name, module)
