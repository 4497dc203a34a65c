"""Calibration images: taken from the training pipeline, and checked; wrong ones are the usual cause of a bad int8 file.

Three things tell real images from others. A model's first layers know what they were trained on: a Rescaling wants raw
pixels, and the first batch norm has kept mean and spread of what it saw. Neighbouring pixels of pictures are alike,
those of random numbers are not. And the range is known where the scale of the pixels or reference samples are given.
Without any of these nothing tells images that were scaled twice from good ones: then reference samples are asked for.
"""

from __future__ import annotations

import hashlib
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta import tasks, training
from tfmeta.errors import ExportError
from tfmeta.export import converter
from tfmeta.lazy import keras

if TYPE_CHECKING:
    from tfmeta.data.splits import Split

MIN_IMAGES = 100
_MOST_FOR_CLASSES = 1000  # they are all in memory: 0.6 GB at 224 x 224
_MAX_SPREAD_RATIO = 8.0
_UNIT_RANGE = 1.0 + 1e-3
# Scaled twice by 255 or 127.5 is a factor of 100 and more. A network that was trained for a few steps only has
# statistics that are still off by up to 8 (they begin at 1, and the spread of its first layer may be far from that).
_MAX_FIRST_LAYER_RATIO = 16.0
# In standard deviations, of the median channel: 0.1 for images of the training set, 0.8 for those in 0..1 where the
# network was trained on -1..1.
_MAX_FIRST_LAYER_SHIFT = 0.5
# Correlation of pixels with their neighbours: 0.4 and more in pictures, 0.01 in random numbers.
_MIN_NEIGHBOUR_CORRELATION = 0.1
_MIN_SIDE = 4  # smaller images have too few neighbours
# Scaled twice they fill a 127th of the range of pixels, or less; pictures of a dark room, of 16 levels or so, more.
_MIN_PIXEL_RANGE = 1 / 64
_PIXEL_SLACK = 1 / 8  # resizing may overshoot

# Model → digests of what `check_calibration` let pass with it: the files of all schemes are made with the same images.
_passed: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def from_split(split: Split, count: int, seed: int) -> np.ndarray:
    """Returns about ``count`` images float32 `[N, H, W, C]` of the training split, as many of every class as possible.

    At least one of every class is taken, since one that was never seen may need a wider range, unless there are more
    than 1000 classes; all images, where the split has no more. Images with a class for each pixel show several at once:
    they are drawn at random.

    Args:
        split: the *training* split: what the model was trained on, scaled as in training, without augmentation.
        count: how many, at least 100 unless the split is smaller.
        seed: draws them.

    Raises:
        ExportError: far too few are asked for.
    """
    classes = 1 if split.label_shape else len(np.unique(split.labels))
    if count < min(MIN_IMAGES, split.size):
        raise ExportError(
            f"Expected at least {MIN_IMAGES} calibration images. Received: {count}, of {split.size:,} training images. "
            "Ask for more; 300 take a second or two."
        )
    return split.sample(max(count, classes) if classes <= _MOST_FOR_CLASSES else count, seed)[0]


def checked_images(model: keras.Model, images: np.ndarray, what: str) -> np.ndarray:
    """Returns ``images`` as float32, after checking that ``model`` can be fed with them.

    Args:
        model: a Keras model with one image input.
        images: `[N, H, W, C]` float, prepared as in training.
        what: what they are, for error texts ("calibration images").

    Raises:
        ExportError: not an array of float images of the model's shape, empty, or with values that
            are no numbers.
    """
    expected = tuple(model.inputs[0].shape[1:])
    if not isinstance(images, np.ndarray):
        raise ExportError(
            f"Expected {what} as one numpy array [N, {_dims(expected)}]. Received: {type(images).__name__}."
        )
    if images.shape[1:] != expected or images.shape[0] == 0:
        raise ExportError(
            f"Expected {what} of shape [N, {_dims(expected)}] with N above 0. Received: {list(images.shape)}."
        )
    if not np.issubdtype(images.dtype, np.floating):
        raise ExportError(
            f"Expected {what} in float32, prepared as in training. Received: {images.dtype}. "
            "Take them from the training pipeline; raw pixels are scaled otherwise."
        )
    images = np.ascontiguousarray(images, dtype=np.float32)
    if not np.all(np.isfinite(images)):
        raise ExportError(f"Expected finite {what}. Received: NaN or infinity among them.")
    return images


def check_calibration(
    model: keras.Model,
    images: np.ndarray,
    *,
    min_images: int = MIN_IMAGES,
    reference: np.ndarray | None = None,
    pixel_scale: tuple[float, float] | None = None,
) -> None:
    """Refuses calibration images that cannot tell the quantizer the ranges of real ones.

    What it let pass before, it lets pass at once, as long as model, weights and images are the same.

    Args:
        model: the Keras model to be quantized.
        images: `[N, H, W, C]` float32, as `checked_images` returns them.
        min_images: the least number of images that is enough.
        reference: other real images `[M, H, W, C]` float32, to compare the range with.
        pixel_scale: (scale, offset) with which pixels from 0 to 255 become what the model reads, where it is known.

    Raises:
        ExportError: too few images, all alike, random, scaled twice or otherwise than what the model was trained
            on, than ``reference`` or than ``pixel_scale``; nothing that their range could be held against; or the
            model answers them with values that are no numbers.
    """
    passed = _passed.setdefault(model, set())
    digest = _digest(model, images, reference, (min_images, pixel_scale))
    if digest not in passed:
        _check(model, images, min_images, reference, pixel_scale)
        passed.add(digest)


def _digest(model: keras.Model, images: np.ndarray, reference: np.ndarray | None, options: tuple[Any, ...]) -> str:
    """Of all that the answer depends on, but for the layers of ``model``, which do not change."""
    found = hashlib.sha256(repr(options).encode())
    weights = (keras.ops.convert_to_numpy(weight) for weight in model.weights)
    for array in (images, *(() if reference is None else (reference,)), *weights):
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data if array.size else b"")
    return found.hexdigest()


def _check(
    model: keras.Model,
    images: np.ndarray,
    min_images: int,
    reference: np.ndarray | None,
    pixel_scale: tuple[float, float] | None,
) -> None:
    if len(images) < min_images:
        raise ExportError(
            f"Expected at least {min_images} calibration images. Received: {len(images)}. Give "
            "more, from the training split, or lower min_calibration_images if these few cover "
            "every class."
        )
    if all(np.array_equal(image, images[0]) for image in images):
        raise ExportError(
            "Expected calibration images that differ. Received: copies of one image. Take them from the training split."
        )
    _check_range(model, images, reference, pixel_scale)
    _check_neighbours(images, reference)
    norm = _trained_batch_norm(model)
    if norm is None and reference is None and pixel_scale is None and _pixel_scaling(model) is None:
        raise ExportError(
            "Expected something to hold the range of the calibration images against, since images that were scaled "
            "twice spoil a file unnoticed: this model has neither a Rescaling of pixels nor a batch normalisation that "
            f"was trained. Received: calibration images from {images.min():.3g} to {images.max():.3g} alone. Pass "
            "reference_samples=images as well, others than these, prepared as the app will prepare them."
        )
    if norm is not None:
        _check_first_layer(model, norm, images)
    # The quantizer ends the whole process, without an exception, when a range is not a number.
    for answers in training.answers(model, images):
        if not np.all(np.isfinite(answers)):
            raise ExportError(
                "Expected a model that answers the calibration images with finite numbers. "
                "Received: NaN or infinity. Check that they are prepared as in training."
            )


def _check_range(
    model: keras.Model,
    images: np.ndarray,
    reference: np.ndarray | None,
    pixel_scale: tuple[float, float] | None,
) -> None:
    low, high = float(images.min()), float(images.max())
    scaling = _pixel_scaling(model)
    if scaling is not None and high <= _UNIT_RANGE and low >= -_UNIT_RANGE:
        raise ExportError(
            f"Expected calibration images in 0 to 255, which layer {scaling!r} of the model "
            f"scales. Received: {low:.3g} to {high:.3g}. They seem to be scaled twice; feed the "
            "images that the model was trained on."
        )
    if pixel_scale is not None:
        _check_pixel_range(low, high, *pixel_scale)
    if reference is None:
        return
    spread, expected = _spread(images), _spread(reference)
    if not expected / _MAX_SPREAD_RATIO <= spread <= expected * _MAX_SPREAD_RATIO:
        raise ExportError(
            "Expected calibration images of about the same range as the reference samples "
            f"({reference.min():.3g} to {reference.max():.3g}). Received: {low:.3g} to "
            f"{high:.3g}. Prepare both as in training."
        )


def _check_pixel_range(low: float, high: float, scale: float, offset: float) -> None:
    darkest, brightest = sorted((offset, 255.0 * scale + offset))
    whole = brightest - darkest
    slack = _PIXEL_SLACK * whole
    if low < darkest - slack or high > brightest + slack or high - low < _MIN_PIXEL_RANGE * whole:
        raise ExportError(
            f"Expected calibration images within {darkest:.3g} to {brightest:.3g}, and not a sliver of it: what pixels "
            f"from 0 to 255 become, times {scale:.3g} plus {offset:.3g}. Received: {low:.3g} to {high:.3g}. Scale them "
            "as in training and once only."
        )


def _check_neighbours(images: np.ndarray, reference: np.ndarray | None) -> None:
    if min(images.shape[1:3]) < _MIN_SIDE:
        return
    correlation = _neighbour_correlation(images)
    if correlation >= _MIN_NEIGHBOUR_CORRELATION:
        return
    # Data that is like noise by nature is let through when the reference samples are too.
    if reference is None or _neighbour_correlation(reference) >= _MIN_NEIGHBOUR_CORRELATION:
        raise ExportError(
            "Expected real images for calibration. Received: neighbouring pixels that have nothing to do with each "
            f"other (correlation {correlation:.2f}), as in random numbers. Take images from the training split; if "
            "your data is like that, pass some of it as reference_samples too."
        )


def _neighbour_correlation(images: np.ndarray) -> float:
    """The mean correlation of each pixel with the one below and the one to the right."""
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    sums = np.zeros(3)
    for part in _batches(images):
        centred = part - mean
        pairs = (centred, centred), (centred[:, 1:], centred[:, :-1]), (centred[:, :, 1:], centred[:, :, :-1])
        sums += [np.sum(one * other) for one, other in pairs]
    # The pairs of neighbours are fewer than the pixels, by one row or one column.
    height, width = images.shape[1:3]
    variance, below, right = sums / images.size * [1.0, height / (height - 1), width / (width - 1)]
    return float((below + right) / (2.0 * variance)) if variance > 0.0 else 1.0


def _check_first_layer(model: keras.Model, norm: keras.layers.BatchNormalization, images: np.ndarray) -> None:
    """Compares what the first batch norm would see with what it saw in training."""
    mean, variance = _statistics(norm)
    tap = converter.tapped(model, [norm.input])
    count, total, squares = 0, 0.0, 0.0
    for answers in training.answers(tap, images[:MIN_IMAGES]):
        off = answers.reshape(-1, len(mean)).astype(np.float64) - mean
        count, total, squares = count + len(off), total + off.sum(axis=0), squares + np.square(off).sum(axis=0)
    mean_off = total / count
    spread = np.sqrt(variance + norm.epsilon)
    ratio = float(np.median(np.sqrt(np.maximum(squares / count - np.square(mean_off), 0.0)) / spread))
    shift = float(np.median(np.abs(mean_off) / spread))
    advice = (
        f"Received: images from {images.min():.3g} to {images.max():.3g}. Take them from the training pipeline, scaled "
        "as there and once only."
    )
    if not 1.0 / _MAX_FIRST_LAYER_RATIO <= ratio <= _MAX_FIRST_LAYER_RATIO:
        raise ExportError(
            f"Expected calibration images of the range that the model was trained on: before layer {norm.name!r} they "
            f"spread {ratio:.2g} times as far as the training images did. {advice}"
        )
    if shift > _MAX_FIRST_LAYER_SHIFT:
        raise ExportError(
            f"Expected calibration images of the range that the model was trained on: before layer {norm.name!r} "
            f"their mean is {shift:.2g} standard deviations off that of the training images. {advice}"
        )


def _trained_batch_norm(model: keras.Model) -> keras.layers.BatchNormalization | None:
    """The first batch norm, if it has seen images."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, len(layer.input.shape) - 1):
            mean, variance = _statistics(layer)
            as_keras_made_it = np.all(mean == 0.0) and np.all(variance == 1.0)
            return None if as_keras_made_it else layer
    return None


def _statistics(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, an entry a channel."""
    mean, variance = (keras.ops.convert_to_numpy(value) for value in (norm.moving_mean, norm.moving_variance))
    return np.asarray(mean), np.asarray(variance)


def _pixel_scaling(model: keras.Model) -> str | None:
    # A Rescaling by about 1/255 or 1/127.5 says that the model wants raw pixels.
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling) and np.all(np.abs(np.asarray(layer.scale)) < 0.02):
            return str(layer.name)
    return None


def _spread(images: np.ndarray) -> float:
    """The standard deviation."""
    mean = images.mean(dtype=np.float64)
    squares = sum(float(np.sum(np.square(part - mean))) for part in _batches(images))
    return float(np.sqrt(squares / images.size))


def _batches(images: np.ndarray) -> list[np.ndarray]:
    """Views of a few images each: in float64, all of them would take twice their memory for every step."""
    return training.batches_of(images, tasks.at_a_time(images.shape[1:3]))


def _dims(shape: tuple[int | None, ...]) -> str:
    return ", ".join(str(size) for size in shape)
