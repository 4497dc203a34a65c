"""Canvases of Fashion-MNIST items: every pixel is what its class says, and every item lies on one canvas."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data import making
from tfmeta import data
from tfmeta.data import Augmentation, DataOptions
from tfmeta.data.augment import augmented, augmented_maps
from tfmeta.data.fashion_canvas import composed
from tfmeta.errors import DataError

SIDE = 28


def _squares(count):
    """Items of one brightness each, 17 and up, so that a pixel tells whose it is; class is number modulo 10."""
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    images[:, 4:20, 6:24] = np.arange(17, 17 + count, dtype=np.uint8)[:, None, None]
    images[:, 25, 25] = 3  # too dark to be part of an item
    return images, making.cyclic(count, 10)


def test_a_pixel_has_the_class_of_the_item_that_is_seen_there():
    images, labels = _squares(120)
    canvases, maps = composed(images, labels, 50, 3, np.random.default_rng(0))
    assert (canvases.shape, maps.shape) == ((40, 50, 50, 1), (40, 50, 50))
    numbers = canvases[..., 0].astype(int) - 17
    expected = np.where(canvases[..., 0] == 0, 0, labels[np.maximum(numbers, 0)] + 1)
    np.testing.assert_array_equal(maps, expected)
    # The items of a canvas are its own, and the one on top is seen whole: 16 x 18 pixels in one piece.
    owners = [set(np.unique(one[one >= 0])) for one in numbers]
    assert len(set.union(*owners)) == sum(len(one) for one in owners)
    assert all(
        max(np.sum(one == item) for item in items) == 16 * 18 for one, items in zip(numbers, owners, strict=True)
    )


def test_items_lie_everywhere_and_never_beyond_the_edge():
    images, labels = _squares(200)
    canvases, _ = composed(images, labels, 40, 1, np.random.default_rng(1))
    seen = canvases[..., 0] > 0
    assert np.all(seen.sum((1, 2)) == 16 * 18), "one item on each, whole"
    tops = {int(np.argmax(one.any(1))) for one in seen}
    assert tops == set(range(4, 40 - SIDE + 4 + 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return making.mnist_folder(tmp_path_factory.mktemp("fashion"), train=60, test=20)


def _load(folder, name="fashion_canvas", **options):
    return data.load(name, DataOptions(data_dir=str(folder), download=False, **options))


def test_number_of_items_and_size_are_options(folder):
    splits = _load(folder)
    assert splits.image_shape == (64, 64, 1) and splits.output_shape == (64, 64, 11)
    assert (splits.train.size + splits.search.size, splits.test.size) == (15, 5)
    assert splits.class_names[:2] == ("background", "T-shirt/top")
    assert splits.task.name == "segmentation"
    splits = _load(folder, "fashion_canvas:2", image_size=32, train_size=9, search_size=4, test_size=3)
    assert splits.image_shape == (32, 32, 1)
    assert (splits.train.size, splits.search.size, splits.test.size) == (9, 4, 3)
    assert splits.train.source.labels.dtype == np.uint8, "bytes, for the sake of memory"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fashion_canvas:none", {}, r"fashion_canvas:ITEMS with a number of 1 or more\. Received: 'none'"),
        ("fashion_canvas:0", {}, "Received: '0'"),
        ("fashion_canvas", {"image_size": 20}, "Expected image_size of 28 or more.*Received: 20"),
        ("fashion_canvas:21", {}, r"at least 21 images.*Received: 20"),
        ("fashion_canvas:60", {}, r"Every class needs at least 2 images.*'all images' has 1|at least 60 images"),
    ],
)
def test_canvases_that_cannot_be_made(name, options, message, folder):
    with pytest.raises(DataError, match=message):
        _load(folder, name, **options)


def test_pixels_and_their_classes_move_together(folder):
    splits = _load(folder)
    augmentation = splits.augmentation.changed(["flip=1", "pad_crop=5", "cutout=0"])
    plain = np.concatenate([labels.numpy() for _, labels in splits.train.batches(8)])
    moved = []
    for images, labels in splits.train.batches(8, augment=augmentation):
        np.testing.assert_array_equal(images.numpy()[..., 0] > 0, labels.numpy() > 0)
        moved.append(labels.numpy())
    moved = np.concatenate(moved)
    assert moved.dtype == np.int32
    assert all(np.any(a != b) for a, b in zip(moved, plain, strict=True))


def test_resized_crops_take_the_classes_along():
    _, maps = composed(*_squares(60), 40, 2, np.random.default_rng(0))
    images = np.where(maps > 0, 200, 0).astype(np.uint8)[..., None]
    crop, seed = Augmentation(min_crop_area=0.3), tf.constant([5, 0], tf.int64)
    cropped, moved = augmented(images, crop, seed).numpy()[..., 0], augmented_maps(maps, crop, seed).numpy()
    assert set(np.unique(moved)) <= set(np.unique(maps)), "classes are not mixed"
    np.testing.assert_array_equal(moved[cropped == 200] > 0, True)
    np.testing.assert_array_equal(moved[cropped == 0], 0)
    assert np.mean((cropped > 0) & (cropped < 200)) < 0.1, "only edges are mixed"
    assert np.mean([np.any(a != b) for a, b in zip(moved, maps, strict=True)]) > 0.9, "else nothing was cut"
