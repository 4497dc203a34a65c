"""VGG with batch normalisation for CIFAR-size images (Simonyan and Zisserman, https://arxiv.org/abs/1409.1556)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmeta.errors import UserError
from tfmeta.lazy import keras
from tfmeta.networks import parts

WIDTHS = (64, 128, 256, 512, 512)
# Depth to the number of convolutions in every stage.
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(input_shape: Sequence[int], classes: int, width: float = 1.0, *, depth: int = 16) -> Any:
    """Returns a VGG with one dense layer, as is usual on small images, instead of three.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: number of logits.
        width: multiplies all widths, which are rounded to multiples of 8.
        depth: 11, 13, 16 or 19.
    """
    if depth not in DEPTHS:
        raise UserError(f"VGG has a depth of {', '.join(map(str, DEPTHS))}, received {depth}.")
    image, x = parts.image_input(input_shape)
    for stage, (base, repeats) in enumerate(zip(WIDTHS, DEPTHS[depth], strict=True), 1):
        for index in range(1, repeats + 1):
            x = parts.convolution(x, parts.scaled(base, width), 3, 1, f"stage{stage}_{index}")
            x = parts.activation(x, "relu", f"stage{stage}_{index}")
        if min(x.shape[1:3]) > 1:
            x = keras.layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return keras.Model(image, parts.classifier(x, classes), name=f"vgg{depth}")
