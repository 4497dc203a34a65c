"""Calibration images that would spoil an int8 file are refused, each with its reason."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmeta.data.sources import ArraySource
from tfmeta.data.splits import Split
from tfmeta.errors import ExportError
from tfmeta.export.calibration import check_calibration, checked_images, from_split


@pytest.fixture(scope="module")
def model() -> keras.Model:
    image = keras.Input((6, 6, 1))
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(image)))


@pytest.fixture
def images() -> np.ndarray:
    # Ramps in random directions: neighbouring pixels are alike, as in pictures.
    rng = np.random.default_rng(1)
    slopes = rng.random((2, 100, 1, 1, 1))
    rows, columns = np.arange(6).reshape(1, 6, 1, 1), np.arange(6).reshape(1, 1, 6, 1)
    return ((slopes[0] * rows + slopes[1] * columns) / 10).astype(np.float32)


def test_good_images_pass_and_become_float32(model, images):
    checked = checked_images(model, images.astype(np.float64), "calibration images")
    check_calibration(model, checked, reference=images)
    assert checked.dtype == np.float32


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda images: images.tolist(), "numpy array .*Received: list"),
        (lambda images: images[..., 0], r"\[N, 6, 6, 1\].*Received: \[100, 6, 6\]"),
        (lambda images: images[:0], r"N above 0. Received: \[0, 6, 6, 1\]"),
        (lambda images: (images * 255).astype(np.uint8), "float32.*Received: uint8"),
        (lambda images: images / np.float32(0.0), "Expected finite calibration images"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_images_that_do_not_fit_the_model(model, images, spoil, message):
    with pytest.raises(ExportError, match=message):
        checked_images(model, spoil(images), "calibration images")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda images: images[:99], "at least 100 calibration images. Received: 99"),
        (lambda images: np.repeat(images[:1], 100, axis=0), "copies of one image"),
        (lambda images: images / 255, "about the same range as the reference"),
        (lambda images: images * 255, "about the same range as the reference"),
    ],
)
def test_images_that_mislead_the_quantizer(model, images, spoil, message):
    with pytest.raises(ExportError, match=message):
        check_calibration(model, spoil(images).astype(np.float32), reference=images)


@pytest.mark.parametrize("draw", ["random", "standard_normal"])
def test_random_numbers_are_no_images(model, images, draw):
    numbers = getattr(np.random.default_rng(1), draw)((100, 6, 6, 1), dtype=np.float32)
    with pytest.raises(ExportError, match=r"neighbouring pixels.*random numbers\. Take images from the training split"):
        check_calibration(model, numbers)
    with pytest.raises(ExportError, match="random numbers"):
        check_calibration(model, numbers, reference=images)
    check_calibration(model, numbers, reference=numbers)  # where real images are like that, so may calibration be


def test_a_range_that_nothing_can_be_held_against(model, images):
    # No batch norm and no Rescaling: a file of images scaled twice agrees with its model on these very images.
    with pytest.raises(ExportError, match=r"calibration images from 0 to \S+ alone\. Pass reference_samples="):
        check_calibration(model, images)
    check_calibration(model, images, reference=images)
    check_calibration(model, images, pixel_scale=(1 / 255, 0.0))
    untrained = keras.Sequential([keras.Input((6, 6, 1)), layers.BatchNormalization(), layers.Flatten()])
    with pytest.raises(ExportError, match="Pass reference_samples="):
        check_calibration(untrained, images)


@pytest.mark.parametrize(("scale", "offset"), [(1 / 255, 0.0), (1 / 127.5, -1.0)])
def test_images_that_do_not_have_the_range_of_pixels(model, images, scale, offset):
    pixels = 255 * images / images.max()
    once = (pixels * scale + offset).astype(np.float32)
    check_calibration(model, once, pixel_scale=(scale, offset))
    check_calibration(model, once / 4, pixel_scale=(scale, offset))  # pictures of a dark room
    check_calibration(model, pixels, pixel_scale=(1.0, 0.0))
    for wrong, wanted in (
        (pixels, (scale, offset)),
        (once * np.float32(scale) + np.float32(offset), (scale, offset)),
        (once, (1.0, 0.0)),
    ):
        for reference in (None, wrong):  # which may be wrong in the same way
            with pytest.raises(ExportError, match=r"images within \S+ to \S+, .* as in training and once only"):
                check_calibration(model, wrong, pixel_scale=wanted, reference=reference)


# A network that knows from training what comes in: digits in 0..1.
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda images: images / 255, r"'\w+' they spread 0\.00\d+ times as far.*Received: images from 0 to 0\.0039"),
        (lambda images: images * 255, "spread .* times as far as the training images"),
        (lambda images: images + 3, r"mean is \S+ standard deviations off.*scaled as there and once only"),
    ],
)
def test_images_that_the_first_layer_was_not_trained_on(reader, digits, spoil, message):
    images = digits[0][:100]
    check_calibration(reader, images)
    with pytest.raises(ExportError, match=message):
        check_calibration(reader, spoil(images).astype(np.float32))


def _split(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    images = np.zeros((len(labels), 6, 6, 1), np.uint8)
    images[:, 0, 0, 0] = labels
    return Split(ArraySource(images, labels.astype(np.int32)))


def test_images_from_a_split_are_balanced_and_cover_every_class():
    # 120 of three classes is 40 of each; 150 classes get one each although 100 images were asked for.
    _, counts = np.unique(from_split(_split([400, 60, 50]), 120, seed=0)[:, 0, 0, 0], return_counts=True)
    assert counts.tolist() == [40, 40, 40]
    assert len(np.unique(from_split(_split([2] * 150), 100, seed=0)[:, 0, 0, 0])) == 150


def test_far_too_few_images_of_a_split():
    with pytest.raises(ExportError, match=r"at least 100 calibration images\. Received: 20, of 510 training images"):
        from_split(_split([400, 60, 50]), 20, seed=0)
    assert len(from_split(_split([20, 10]), 30, seed=0)) == 30  # there are no more


def test_fewer_images_when_the_caller_says_so(model, images):
    check_calibration(model, images[:10], min_images=10, reference=images)


def test_scaled_images_for_a_model_that_scales_itself(images):
    image = keras.Input((6, 6, 1))
    scaled = layers.Rescaling(1 / 255, name="to_unit")(image)
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(scaled)))
    check_calibration(model, images * 255)
    with pytest.raises(ExportError, match=r"layer 'to_unit'.*scaled twice"):
        check_calibration(model, images)


def test_model_that_answers_with_infinity(images):
    image = keras.Input((6, 6, 1))
    model = keras.Model(image, layers.Flatten()(layers.Rescaling(3e38)(image)) * 1e10)
    with pytest.raises(ExportError, match="answers the calibration images with finite numbers"):
        check_calibration(model, images, reference=images)
