"""Augmentation against the same done image by image in numpy, and its seeds."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.making import numbered
from tfmeta.data.augment import NONE, Augmentation, augmented
from tfmeta.errors import DataError

KINDS = {
    "flip": Augmentation(flip=True),
    "pad_crop": Augmentation(pad_crop=2),
    "both": Augmentation(flip=True, pad_crop=2),
    "cutout": Augmentation(cutout=4),
    "brightness": Augmentation(brightness=0.3),
    "contrast": Augmentation(contrast=0.3),
    "crop": Augmentation(min_crop_area=0.3),
}
IMAGES = numbered(64, (10, 12, 3))


def run(images, augmentation, seed=7):
    return augmented(tf.constant(images), augmentation, tf.constant([seed, 0], tf.int64)).numpy()


def shifts_and_flips(image, pad):
    """Returns every image that a shift by up to ``pad`` pixels and a flip can make."""
    height, width, _ = image.shape
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    windows = [
        padded[top : top + height, left : left + width] for top in range(2 * pad + 1) for left in range(2 * pad + 1)
    ]
    return [*windows, *(window[:, ::-1] for window in windows)]


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shape_and_range_stay_and_the_seed_decides(kind, dtype):
    images = IMAGES.astype(dtype)
    first = run(images, KINDS[kind])
    assert first.dtype == np.float32
    assert first.shape == IMAGES.shape
    if dtype == np.uint8:
        assert first.min() >= 0.0 and first.max() <= 255.0
    np.testing.assert_array_equal(first, run(images, KINDS[kind]))
    assert np.any(first != run(images, KINDS[kind], seed=8))


def test_no_augmentation_changes_nothing():
    np.testing.assert_array_equal(run(IMAGES, NONE), IMAGES)


def test_every_image_is_one_of_its_own_shifts_and_flips():
    result = run(IMAGES, KINDS["both"])
    choices = [
        next(k for k, choice in enumerate(shifts_and_flips(image, 2)) if np.array_equal(choice, new))
        for image, new in zip(IMAGES, result, strict=True)
    ]
    # 64 images over 2 * 25 choices: were the draws not independent, far fewer would appear. The
    # expected number of different ones is 50 * (1 - (49/50)^64) = 36.3, standard deviation below 3.
    assert len(set(choices)) >= 25


def test_about_half_of_the_images_are_flipped_and_none_is_moved():
    result = run(IMAGES, KINDS["flip"])
    flipped = [np.array_equal(new, old[:, ::-1]) for old, new in zip(IMAGES, result, strict=True)]
    kept = [np.array_equal(new, old) for old, new in zip(IMAGES, result, strict=True)]
    assert all(f != k for f, k in zip(flipped, kept, strict=True))
    assert 14 <= sum(flipped) <= 50  # 32 +- 4.5 standard deviations of 4


def test_cutout_blanks_one_square_with_the_mean():
    images = IMAGES.astype(np.float32)
    result = run(images, KINDS["cutout"])
    changed = np.any(result != images, axis=-1)
    for image, new, mask in zip(images, result, changed, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert 1 <= len(rows) <= 4 and 1 <= len(columns) <= 4
        box = new[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.testing.assert_allclose(box, image.mean(), rtol=1e-5)


def test_brightness_and_contrast_are_what_they_say():
    images = IMAGES.astype(np.float32)
    brighter = run(images, KINDS["brightness"])
    factors = brighter.sum((1, 2, 3)) / images.sum((1, 2, 3))
    assert 0.7 <= factors.min() < factors.max() <= 1.3
    np.testing.assert_allclose(brighter, images * factors[:, None, None, None], rtol=1e-4)
    contrast = run(images, KINDS["contrast"]) - images.mean((1, 2, 3), keepdims=True)
    distance = images - images.mean((1, 2, 3), keepdims=True)
    factors = (contrast * distance).sum((1, 2, 3)) / (distance**2).sum((1, 2, 3))
    assert 0.7 <= factors.min() < factors.max() <= 1.3
    expected = distance * factors[:, None, None, None]
    np.testing.assert_allclose(contrast, expected, atol=0.05)


def test_a_random_crop_of_a_ramp_is_a_flatter_ramp_inside_its_range():
    # On f(x, y) = (x, y) bilinear resizing is exact, so a crop of a share `wide` of the width turns
    # the slope 1 into `wide`; area >= 0.3 and aspect ratio <= 4/3 give wide >= sqrt(0.3 * 3/4).
    y, x = np.mgrid[0:32, 0:32].astype(np.float32)
    images = np.repeat(np.stack([x, y], -1)[None], 50, axis=0)
    result = run(images, KINDS["crop"])
    slopes = [
        result[:, 16, 17, 0] - result[:, 16, 16, 0],
        result[:, 17, 16, 1] - result[:, 16, 16, 1],
    ]
    for slope in slopes:
        assert np.sqrt(0.3 * 0.75) - 1e-3 <= slope.min() < slope.max() <= 1.0 + 1e-3
    assert slopes[0].std() > 0.05
    assert (slopes[0] * slopes[1]).min() >= 0.3 * 0.75 - 1e-3
    assert result.min() >= 0.0 and result.max() <= 31.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pad_crop": -1}, "pad_crop of 0 or more"),
        ({"cutout": -2}, "cutout of 0 or more"),
        ({"contrast": 1.5}, "contrast from 0 to 1"),
        ({"min_crop_area": 0.0}, "min_crop_area above 0"),
    ],
)
def test_a_wrong_value_is_told(wrong, message):
    with pytest.raises(DataError, match=message):
        Augmentation(**wrong)
