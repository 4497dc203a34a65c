"""Calibration images that would spoil an int8 file are refused, each with its reason."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmeta.errors import ExportError
from tfmeta.export.calibration import check_calibration, checked_images


@pytest.fixture(scope="module")
def model() -> keras.Model:
    image = keras.Input((6, 6, 1))
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(image)))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).random((100, 6, 6, 1), dtype=np.float32)


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


def test_fewer_images_when_the_caller_says_so(model, images):
    check_calibration(model, images[:10], min_images=10)


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
        check_calibration(model, images)
