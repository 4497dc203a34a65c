"""MobileNetV1 (Howard et al., https://arxiv.org/abs/1704.04861): depthwise and pointwise convolutions in turn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tfmeta.errors import UserError
from tfmeta.lazy import keras
from tfmeta.networks import parts
from tfmeta.networks.preset import Preset

STEM = 32
# Width and stride of the 13 blocks. The five blocks of 512 channels in the middle are alike.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
_ALIKE = 5


def mobilenet_v1(
    input_shape: Sequence[int],
    classes: int,
    width: float = 1.0,
    *,
    blocks: int = len(BLOCKS),
    small_images: bool | None = None,
) -> Any:
    """Returns MobileNetV1.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: number of logits.
        width: multiplies all widths, which are rounded to multiples of 8.
        blocks: number of blocks, 8 to 13; fewer than 13 leave out some of the five that are alike.
        small_images: whether to take strides for small images (the stem none, and halving only while 4 pixels
            remain); by default when a side has at most 64 pixels.
    """
    fewest = len(BLOCKS) - _ALIKE
    if not fewest <= blocks <= len(BLOCKS):
        raise UserError(f"MobileNetV1 has {fewest} to {len(BLOCKS)} blocks, received {blocks}.")
    shape = (*BLOCKS[:6], *BLOCKS[6 : blocks - 2], *BLOCKS[-2:])
    small = parts.is_small(input_shape, small_images)
    image, x = parts.image_input(input_shape)
    x = parts.convolution(x, parts.scaled(STEM, width), 3, 1 if small else 2, "stem")
    x = parts.activation(x, "relu", "stem")
    strides = parts.fitting_strides(min(x.shape[1:3]), [stride for _, stride in shape], small)
    for index, ((filters, _), stride) in enumerate(zip(shape, strides, strict=True), 1):
        x = parts.depthwise(x, 3, stride, f"block{index}_dw")
        x = parts.activation(x, "relu", f"block{index}_dw")
        x = parts.convolution(x, parts.scaled(filters, width), 1, 1, f"block{index}_pw")
        x = parts.activation(x, "relu", f"block{index}_pw")
    return keras.Model(image, parts.classifier(x, classes), name="mobilenet_v1")


def _paper(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Any:
    return mobilenet_v1(input_shape, classes, small_images=False)


def _preset() -> Preset:
    groups = ["stem_conv", *(f"block{index}_pw_conv" for index in range(1, len(BLOCKS) + 1))]
    encodings: dict[str, tuple[str, ...]] = {"stem_conv": ("stem_conv",)}
    for index, pair in enumerate(itertools.pairwise(groups), 1):  # (input, output) of every block
        encodings[f"block{index}_dw_conv"] = encodings[f"block{index}_pw_conv"] = pair
    return Preset(
        build=_paper,
        pinned=(groups[-1],),
        ties=(),
        ids=tuple(groups[:-1]),
        encodings=encodings,
        hidden=dict.fromkeys(encodings, 32),
        affine=frozenset(["stem_bn", *(f"block{index}_dw_bn" for index in range(1, len(BLOCKS) + 1))]),
    )


METAPRUNING = _preset()
