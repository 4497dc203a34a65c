"""Calibration images that would spoil an int8 file are refused, each with its reason."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from keras import layers

from tfmeta.data.sources import ArraySource
from tfmeta.data.splits import Split
from tfmeta.errors import ExportError
from tfmeta.export import calibration, converter
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


def _split(sizes, dtype=np.uint8):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    images = np.zeros((len(labels), 6, 6, 1), dtype)
    images[:, 0, 0, 0] = labels
    return Split(ArraySource(images, labels.astype(np.int32)))


def test_images_from_a_split_are_balanced_and_cover_every_class():
    # 120 of three classes is 40 of each; 150 classes get one each although 100 images were asked for.
    _, counts = np.unique(from_split(_split([400, 60, 50]), 120, seed=0)[:, 0, 0, 0], return_counts=True)
    assert counts.tolist() == [40, 40, 40]
    assert len(np.unique(from_split(_split([2] * 150), 100, seed=0)[:, 0, 0, 0])) == 150


def test_one_of_every_class_only_where_that_is_1000_images_at_most():
    assert len(from_split(_split([1] * 1000), 100, seed=0)) == 1000
    many = _split([2] * 1001, np.uint16)
    drawn = from_split(many, 100, seed=0)[:, 0, 0, 0]
    assert len(drawn) == len(np.unique(drawn)) == 100
    # Of classes from everywhere: the mean of 100 out of 0 to 1000 is 500 with a standard deviation of 28.
    assert 400 < drawn.mean() < 600


def test_what_passed_is_not_checked_again_until_something_changes(images, monkeypatch):
    image = keras.Input((6, 6, 1))
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(image)))
    asked = []
    monkeypatch.setattr(calibration.training, "answers", lambda model, images: asked.append(len(images)) or ())
    check_calibration(model, images, reference=images)
    check_calibration(model, images.copy(), reference=images.copy())
    assert asked == [100]
    check_calibration(model, images[:99], reference=images, min_images=99)
    assert asked == [100, 99]
    check_calibration(model, images, pixel_scale=(1 / 255, 0.0))
    check_calibration(model, images, reference=images[:50])
    assert asked == [100, 99, 100, 100]
    model.weights[0].assign(model.weights[0] + 1)  # trained further
    check_calibration(model, images, reference=images)
    check_calibration(keras.models.clone_model(model), images, reference=images)
    assert asked == [100, 99, 100, 100, 100, 100]
    images[0, 0, 0, 0] = 1000.0  # in the same array
    with pytest.raises(ExportError, match="about the same range"):
        check_calibration(model, images, reference=images[50:])
    with pytest.raises(ExportError, match="about the same range"):  # what did not pass is refused again
        check_calibration(model, images, reference=images[50:])


def test_sums_in_batches_are_those_of_all_at_once(monkeypatch):
    images = np.random.default_rng(0).normal(3, 2, (23, 7, 5, 2)).astype(np.float32).cumsum(axis=1, dtype=np.float32)
    centred = images - images.mean(axis=(0, 1, 2), dtype=np.float64)
    below, right = np.mean(centred[:, 1:] * centred[:, :-1]), np.mean(centred[:, :, 1:] * centred[:, :, :-1])
    monkeypatch.setattr(calibration.tasks, "at_a_time", lambda *shapes: 10)
    found = calibration._neighbour_correlation(images)
    assert found == pytest.approx((below + right) / (2 * np.mean(np.square(centred))), rel=1e-12)
    assert calibration._spread(images) == pytest.approx(images.astype(np.float64).std(), rel=1e-12)
    assert calibration._neighbour_correlation(np.ones((12, 4, 4, 1), np.float32)) == 1.0


def test_the_first_layer_is_judged_in_batches(reader, digits, monkeypatch):
    monkeypatch.setattr(calibration.tasks, "at_a_time", lambda *shapes: 30)
    norm = calibration._trained_batch_norm(reader)
    seen = np.asarray(converter.tapped(reader, [norm.input])(digits[0][:100] + 3), np.float64)
    mean, spread = np.asarray(norm.moving_mean), np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    shift = np.median(np.abs(seen.mean(axis=(0, 1, 2)) - mean) / spread)
    with pytest.raises(ExportError, match=f"their mean is {shift:.2g} standard deviations off"):
        check_calibration(reader, digits[0][:100] + 3)
    seen = np.asarray(converter.tapped(reader, [norm.input])(digits[0][:100] * 255), np.float64)
    ratio = np.median(seen.std(axis=(0, 1, 2)) / spread)
    with pytest.raises(ExportError, match=re.escape(f"they spread {ratio:.2g} times as far")):
        check_calibration(reader, digits[0][:100] * 255)


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
