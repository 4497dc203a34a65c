"""The small ResNets for CIFAR-size images (He et al., https://arxiv.org/abs/1512.03385, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmeta.errors import UserError
from tfmeta.lazy import keras
from tfmeta.networks import parts

STEM = 16
# Output width and first stride of every stage.
STAGES = ((16, 1), (32, 2), (64, 2))


def resnet(input_shape: Sequence[int], classes: int, width: float = 1.0, *, depth: int = 20) -> Any:
    """Returns a ResNet of basic blocks.

    Where a stage begins, the shortcut is a 1x1 convolution (option B of the paper), so that the stages' widths can
    vary independently.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: number of logits.
        width: multiplies all widths, which are rounded to multiples of 8.
        depth: number of layers, 6n + 2: 8, 14, 20, 32, 44, 56.
    """
    if depth < 8 or (depth - 2) % 6:
        raise UserError(f"A small ResNet has 6n + 2 layers (8, 14, 20, 32, 44, 56), received {depth}.")
    image, x = parts.image_input(input_shape)
    x = parts.convolution(x, parts.scaled(STEM, width), 3, 1, "stem")
    x = parts.activation(x, "relu", "stem")
    for stage, (filters, first) in enumerate(STAGES, 1):
        for block in range(1, (depth - 2) // 6 + 1):
            stride = first if block == 1 else 1
            x = _basic_block(x, parts.scaled(filters, width), stride, f"stage{stage}_block{block}")
    return keras.Model(image, parts.classifier(x, classes), name=f"resnet{depth}")


def _basic_block(x: Any, filters: int, stride: int, name: str) -> Any:
    project = stride != 1 or x.shape[-1] != filters
    shortcut = parts.convolution(x, filters, 1, stride, f"{name}_shortcut") if project else x
    x = parts.convolution(x, filters, 3, stride, f"{name}_1")
    x = parts.activation(x, "relu", f"{name}_1")
    x = parts.convolution(x, filters, 3, 1, f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return parts.activation(x, "relu", name)
