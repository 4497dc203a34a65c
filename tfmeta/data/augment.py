"""Augmentation of whole batches, as a pure function of a seed.

Every image of a batch gets its own random draw, and no op runs once per image. Moving pixels
(flip, shift, cutout) happens on the bytes, before they become floats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfmeta.errors import DataError
from tfmeta.lazy import tf

if TYPE_CHECKING:
    from tensorflow import Tensor


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image. The default is nothing.

    Attributes:
        flip: mirror left and right, with probability one half.
        pad_crop: pad by so many pixels on every side and cut the old size out at a random place
            (He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2, pad by 4). The border is
            black; in a map of classes it is of class 0, which should be the background.
        cutout: side in pixels of a square that is blanked at a random place, also partly outside
            (DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552).
        brightness: the pixels are multiplied by a number from `1 - brightness` to `1 + brightness`.
        contrast: likewise the distances of the pixels from the mean of their image.
        min_crop_area: below 1, a rectangle of random place, aspect ratio (3/4 to 4/3) and share of
            the area (from this to 1) is cut out and resized to the old size, as usual for
            ImageNet (Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, section 6).

    Raises:
        DataError: a value is out of its range.
    """

    flip: bool = False
    pad_crop: int = 0
    cutout: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    min_crop_area: float = 1.0

    def __post_init__(self) -> None:
        for name in ("pad_crop", "cutout"):
            if getattr(self, name) < 0:
                raise DataError(f"Expected {name} of 0 or more pixels. Received: {getattr(self, name)}.")
        for name in ("brightness", "contrast"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise DataError(f"Expected {name} from 0 to 1. Received: {getattr(self, name)}.")
        if not 0.0 < self.min_crop_area <= 1.0:
            raise DataError(
                f"Expected min_crop_area above 0 and up to 1 (1 crops nothing). Received: {self.min_crop_area}."
            )

    def changed(self, texts: Sequence[str]) -> Augmentation:
        """Returns a copy with other values, given as a user types them: "flip=1", "pad_crop=4", "contrast=0.2".

        Raises:
            DataError: an unknown name, or a value that is no number or out of its range.
        """
        known = {field.name: type(field.default) for field in dataclasses.fields(self)}
        values = {}
        for text in texts:
            name, _, value = text.partition("=")
            if name not in known:
                raise DataError(
                    f"Expected augmentation as name=value with a name of {', '.join(known)}. Received: {text!r}."
                )
            try:
                values[name] = known[name](float(value))
            except ValueError as error:
                raise DataError(f"Expected a number for the augmentation {name!r}. Received: {value!r}.") from error
        return dataclasses.replace(self, **values)

    @property
    def moves(self) -> bool:
        """Whether pixels change places without being mixed."""
        return self.flip or self.pad_crop > 0


NONE = Augmentation()


def augmented(images: Tensor, augmentation: Augmentation, seed: Tensor) -> Tensor:
    """Returns the images with random changes, float32 `[B, H, W, C]` in the range they came in.

    Args:
        images: uint8 or float32 `[B, H, W, C]` with static H, W and C.
        augmentation: what may happen.
        seed: int32 or int64 `[2]`; the same seed gives the same result.
    """
    whole_bytes = images.dtype == tf.uint8
    seeds = tf.unstack(tf.random.split(seed, 5))  # one for each kind, so that kinds do not interact
    if augmentation.moves:
        images = _moved(images, augmentation, seeds[0])
    if augmentation.cutout:
        images = _cut_out(images, augmentation.cutout, seeds[1])
    if augmentation.min_crop_area < 1.0:
        images = _resized_crops(images, augmentation.min_crop_area, seeds[2])
    images = tf.cast(images, tf.float32)
    if augmentation.brightness:
        images = images * _factors(images, augmentation.brightness, seeds[3])
    if augmentation.contrast:
        mean = tf.reduce_mean(images, [1, 2, 3], keepdims=True)
        images = mean + (images - mean) * _factors(images, augmentation.contrast, seeds[4])
    if whole_bytes and (augmentation.brightness or augmentation.contrast):
        images = tf.clip_by_value(images, 0.0, 255.0)
    return images


def augmented_maps(maps: Tensor, augmentation: Augmentation, seed: Tensor) -> Tensor:
    """Returns maps of classes whose pixels went where `augmented` with the same seed moved those of their images.

    Args:
        maps: integers `[B, H, W]` with static H and W.
        augmentation: what may happen. Blanked and brightened pixels keep their class.
        seed: int32 or int64 `[2]`.
    """
    seeds = tf.unstack(tf.random.split(seed, 5))
    maps = maps[..., None]
    if augmentation.moves:
        maps = _moved(maps, augmentation, seeds[0])
    if augmentation.min_crop_area < 1.0:
        # Classes cannot be mixed; as floats they are exact.
        maps = tf.cast(_resized_crops(maps, augmentation.min_crop_area, seeds[2], "NEAREST"), maps.dtype)
    return maps[..., 0]


def _moved(images: Tensor, augmentation: Augmentation, seed: Tensor) -> Tensor:
    """Shift and flip as one gather of rows and one of pixels."""
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    pad = augmentation.pad_crop
    draws = tf.random.stateless_uniform([batch, 3], seed, 0, 2 * pad + 1, tf.int32, "philox")
    rows = draws[:, :1] + tf.range(height)
    columns = tf.broadcast_to(tf.range(width), [batch, width])
    if augmentation.flip:
        bits = tf.random.stateless_uniform([batch, 1], seed + 1, 0, 2, tf.int32, "philox")
        columns = tf.where(bits > 0, width - 1 - columns, columns)
    columns = columns + draws[:, 1:2]
    if pad:
        images = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        images = tf.gather(images, rows, axis=1, batch_dims=1)
    lines = tf.reshape(images, [batch * height, width + 2 * pad, channels])
    lines = tf.gather(lines, tf.repeat(columns, height, axis=0), axis=1, batch_dims=1)
    return tf.reshape(lines, [batch, height, width, channels])


def _cut_out(images: Tensor, side: int, seed: Tensor) -> Tensor:
    """Blanks a square in each image.

    The paper writes zeros into normalised images, which is the mean of the data set; the mean of
    the image itself comes closest to that without statistics of the data set.
    """
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    centres = tf.random.stateless_uniform([batch, 2], seed, dtype=tf.float32, alg="philox")
    top = tf.cast(centres[:, :1] * height, tf.int32) - side // 2
    left = tf.cast(centres[:, 1:] * width, tf.int32) - side // 2
    # Columns and channels as one axis: broadcasting over a short last axis is slow.
    rows, columns = tf.range(height), tf.repeat(tf.range(width), channels)
    in_rows = (rows >= top) & (rows < top + side)
    in_columns = (columns >= left) & (columns < left + side)
    lines = tf.reshape(images, [batch, height, width * channels])
    mean = tf.reduce_mean(tf.cast(lines, tf.float32), [1, 2], keepdims=True)
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    lines = tf.where(inside, tf.cast(mean, images.dtype), lines)
    return tf.reshape(lines, [batch, height, width, channels])


def _resized_crops(images: Tensor, min_area: float, seed: Tensor, interpolation: str = "BILINEAR") -> Tensor:
    """Cuts a random rectangle out of each image and resizes it to the old size."""
    batch, (height, width, _) = tf.shape(images)[0], images.shape[1:]
    draws = tf.random.stateless_uniform([4, batch], seed, dtype=tf.float32, alg="philox")
    area = min_area + draws[0] * (1.0 - min_area)
    stretch = tf.exp((draws[1] * 2.0 - 1.0) * 0.5 * tf.math.log(4.0 / 3.0))
    # Cropped to the image where the usual code draws again: a loop per image would be needed.
    tall = tf.minimum(tf.sqrt(area) * stretch, 1.0)
    wide = tf.minimum(tf.sqrt(area) / stretch, 1.0)
    # From the pixel centres of the result to those of the image: x -> wide * (x + 1/2) + left - 1/2
    left = draws[2] * (1.0 - wide) * width + 0.5 * wide - 0.5
    top = draws[3] * (1.0 - tall) * height + 0.5 * tall - 0.5
    zero = tf.zeros_like(wide)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([wide, zero, left, zero, tall, top, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode="NEAREST",
    )


def _factors(images: Tensor, strength: float, seed: Tensor) -> Tensor:
    """Returns `[B, 1, 1, 1]` numbers from 1 - strength to 1 + strength."""
    shape = [tf.shape(images)[0], 1, 1, 1]
    return tf.random.stateless_uniform(shape, seed, 1.0 - strength, 1.0 + strength, alg="philox")
