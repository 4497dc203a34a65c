"""Bringing images to the height and width that the model wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfmeta.errors import DataError
from tfmeta.lazy import tf

if TYPE_CHECKING:
    from tensorflow import Tensor

    from tfmeta.data.options import DataOptions

_CHUNK = 1024  # images that are resized at a time, since they become floats on the way


def fit_array(images: NDArray[Any], size: int | None, fit: str) -> NDArray[Any]:
    """Returns the images `[N, H, W, C]` as `[N, size, size, C]` of the same dtype.

    Args:
        images: uint8 or float32.
        size: the new height and width; ``None`` changes nothing.
        fit: ``"resize"`` or ``"pad"``, see :class:`tfmeta.data.options.DataOptions`.
    """
    height, width = images.shape[1:3]
    if size is None or (height, width) == (size, size):
        return images
    if fit == "pad" and max(height, width) <= size:  # needs no TensorFlow
        top, left = (size - height) // 2, (size - width) // 2
        borders = ((top, size - height - top), (left, size - width - left))
        return np.pad(images, ((0, 0), *borders, (0, 0)))
    chunks = [images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK)]
    with tf.device("/CPU:0"):
        return np.concatenate([fit_tensor(tf.constant(c), size, fit).numpy() for c in chunks])


def require_size(size: Sequence[int | None], options: DataOptions, part: str) -> None:
    """Raises unless images of this (H, W), which have a class for each pixel, already have the size that is asked for.

    Raises:
        DataError: they do not: a pixel between two classes would have none.
    """
    wanted = options.image_size
    if wanted is not None and tuple(size) != (wanted, wanted):
        raise DataError(
            f"Expected {part} images of {wanted}x{wanted} pixels, since labels for each pixel are not resized here. "
            f"Received: {size[0]}x{size[1]}. Resize images and labels in your function, or leave image_size out."
        )


def fit_tensor(images: Tensor, size: int, fit: str) -> Tensor:
    """Returns `[..., H, W, C]` images as `[..., size, size, C]` of the same dtype.

    Bilinear where the image grows, averaged over areas where it shrinks. H and W need not be known
    statically.
    """
    if images.shape[-3:-1] == (size, size):
        return images
    old, target = tf.shape(images)[-3:-1], tf.constant([size, size])
    if fit == "pad":
        scale = tf.reduce_min(tf.minimum(size / old, 1.0))
        exact = tf.round(tf.cast(old, scale.dtype) * scale)
        target = tf.clip_by_value(tf.cast(exact, tf.int32), 1, size)
    fitted = tf.cond(
        tf.reduce_all(target <= old),
        # Three times as fast as antialiased bilinear, and as free of aliases.
        lambda: tf.image.resize(images, target, "area"),
        lambda: tf.image.resize(images, target, antialias=True),
    )
    # Weighted means stay between 0 and 255, so adding a half rounds.
    fitted = tf.cast(fitted + 0.5, images.dtype) if images.dtype.is_integer else fitted
    if fit == "pad":
        top, left = tf.unstack((size - target) // 2)
        fitted = tf.image.pad_to_bounding_box(fitted, top, left, size, size)
    fitted.set_shape([*images.shape[:-3], size, size, images.shape[-1]])
    return fitted
