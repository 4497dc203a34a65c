"""A small fully convolutional network (Long et al., https://arxiv.org/abs/1411.4038): scores of every scale, summed.

The encoder halves the map with strides. Each of its stages is scored by a 1x1 convolution; coarse scores are enlarged
and added to finer ones. Trained from nothing, so the encoder is a plain one instead of a VGG, and narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmeta.lazy import keras
from tfmeta.networks import parts

# Of the first stage; it doubles with every halving of the map.
WIDTH = 16


def fcn(input_shape: Sequence[int], classes: int, width: float = 1.0, *, stages: int = 4) -> Any:
    """Returns a network with a score for each class and pixel, `[B, H, W, classes]`.

    Args:
        input_shape: (height, width, channels) of the images; the sides are multiples of 2 to the power of ``stages``.
        classes: number of logits.
        width: multiplies all widths, which are rounded to multiples of 8.
        stages: how often the map is halved; the paper has 5 and scores the last three.
    """
    parts.require_halving(input_shape, stages, "An FCN")
    image, x = parts.image_input(input_shape)
    scores = []
    for stage in range(1, stages + 1):
        filters = parts.scaled(WIDTH * 2 ** (stage - 1), width)
        for index, stride in ((1, 2), (2, 1)):
            x = parts.convolution(x, filters, 3, stride, f"stage{stage}_{index}")
            x = parts.activation(x, "relu", f"stage{stage}_{index}")
        scores.append(keras.layers.Conv2D(classes, 1, name=f"score{stage}")(x))
    x = scores.pop()
    for stage in range(stages - 1, 0, -1):
        x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"enlarge{stage}")(x)
        x = keras.layers.Add(name=f"sum{stage}")([scores.pop(), x])
    x = keras.layers.UpSampling2D(2, interpolation="bilinear", name="logits")(x)
    return keras.Model(image, x, name="fcn")
