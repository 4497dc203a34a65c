"""A small U-Net (Ronneberger et al., https://arxiv.org/abs/1505.04597): maps shrink, grow again and meet half-way.

With padding, so that every pixel gets scores, with batch normalisation, and a quarter as wide as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmeta.lazy import keras
from tfmeta.networks import parts

# Of the first level; it doubles with every halving of the map.
WIDTH = 16


def unet(
    input_shape: Sequence[int], classes: int, width: float = 1.0, *, levels: int = 3, transpose: bool = True
) -> Any:
    """Returns a U-Net with a score for each class and pixel, `[B, H, W, classes]`.

    Args:
        input_shape: (height, width, channels) of the images; the sides are multiples of 2 to the power of ``levels``.
        classes: number of logits.
        width: multiplies all widths, which are rounded to multiples of 8.
        levels: how often the map is halved; the paper has 4.
        transpose: whether maps grow by transposed convolutions, as in the paper, or bilinearly before a convolution,
            which computes more and has no checkerboard (Odena et al. 2016, https://doi.org/10.23915/distill.00003).
    """
    parts.require_halving(input_shape, levels, "A U-Net")
    widths = [parts.scaled(WIDTH * 2**level, width) for level in range(levels + 1)]
    image, x = parts.image_input(input_shape)
    skips = []
    for level, filters in enumerate(widths[:-1], 1):
        x = _block(x, filters, f"down{level}")
        skips.append(x)
        x = keras.layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = _block(x, widths[-1], "bottom")
    for level, (filters, skip) in reversed(list(enumerate(zip(widths[:-1], skips, strict=True), 1))):
        x = _grown(x, filters, transpose, f"up{level}_grow")
        x = keras.layers.Concatenate(name=f"up{level}_join")([skip, x])
        x = _block(x, filters, f"up{level}")
    return keras.Model(image, keras.layers.Conv2D(classes, 1, name="logits")(x), name="unet")


def _block(x: Any, filters: int, name: str) -> Any:
    for index in (1, 2):
        x = parts.convolution(x, filters, 3, 1, f"{name}_{index}")
        x = parts.activation(x, "relu", f"{name}_{index}")
    return x


def _grown(x: Any, filters: int, transpose: bool, name: str) -> Any:
    if transpose:
        x = keras.layers.Conv2DTranspose(
            filters, 2, 2, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
        )(x)
        x = parts.batch_norm(x, name)
    else:
        x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_pixels")(x)
        x = parts.convolution(x, filters, 3, 1, name)
    return parts.activation(x, "relu", name)
