"""Checks the calibration images: wrong ones are the usual cause of an int8 file that guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.lazy import keras

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_IMAGES = 100
_MAX_SPREAD_RATIO = 8.0
_UNIT_RANGE = 1.0 + 1e-3


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
) -> None:
    """Refuses calibration images that cannot tell the quantizer the ranges of real ones.

    Args:
        model: the Keras model to be quantized.
        images: `[N, H, W, C]` float32, as `checked_images` returns them.
        min_images: the least number of images that is enough.
        reference: other real images `[M, H, W, C]` float32, to compare the range with.

    Raises:
        ExportError: too few images, all alike, scaled twice or differently from ``reference``, or
            the model answers them with values that are no numbers.
    """
    if len(images) < min_images:
        raise ExportError(
            f"Expected at least {min_images} calibration images. Received: {len(images)}. Give "
            "more, from the training split, or lower min_calibration_images if these few cover "
            "every class."
        )
    if np.all(images == images[0]):
        raise ExportError(
            "Expected calibration images that differ. Received: copies of one image. Take them from the training split."
        )
    _check_range(model, images, reference)
    # The quantizer ends the whole process, without an exception, when a range is not a number.
    for batch in _batches(images):
        if not np.all(np.isfinite(keras.ops.convert_to_numpy(model(batch, training=False)))):
            raise ExportError(
                "Expected a model that answers the calibration images with finite numbers. "
                "Received: NaN or infinity. Check that they are prepared as in training."
            )


def _check_range(model: keras.Model, images: np.ndarray, reference: np.ndarray | None) -> None:
    low, high = float(images.min()), float(images.max())
    scaling = _pixel_scaling(model)
    if scaling is not None and high <= _UNIT_RANGE and low >= -_UNIT_RANGE:
        raise ExportError(
            f"Expected calibration images in 0 to 255, which layer {scaling!r} of the model "
            f"scales. Received: {low:.3g} to {high:.3g}. They seem to be scaled twice; feed the "
            "images that the model was trained on."
        )
    if reference is None:
        return
    spread, expected = float(images.std()), float(reference.std())
    if not expected / _MAX_SPREAD_RATIO <= spread <= expected * _MAX_SPREAD_RATIO:
        raise ExportError(
            "Expected calibration images of about the same range as the reference samples "
            f"({reference.min():.3g} to {reference.max():.3g}). Received: {low:.3g} to "
            f"{high:.3g}. Prepare both as in training."
        )


def _pixel_scaling(model: keras.Model) -> str | None:
    # A Rescaling by about 1/255 or 1/127.5 says that the model wants raw pixels.
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling) and np.all(np.abs(np.asarray(layer.scale)) < 0.02):
            return str(layer.name)
    return None


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), 64):
        yield images[start : start + 64]


def _dims(shape: tuple[int | None, ...]) -> str:
    return ", ".join(str(size) for size in shape)
