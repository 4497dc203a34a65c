"""MobileNetV2 (Sandler et al., https://arxiv.org/abs/1801.04381): inverted residuals with linear bottlenecks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmeta.lazy import keras
from tfmeta.networks import parts
from tfmeta.networks.preset import Preset

# Widths of stem, the seven stages and head; then expansion, blocks and first stride of every stage.
WIDTHS = (32, 16, 24, 32, 64, 96, 160, 320, 1280)
STAGES = ((1, 1, 1), (6, 2, 2), (6, 3, 2), (6, 4, 2), (6, 3, 1), (6, 3, 2), (6, 1, 1))
# MetaPruning's repository starts from about 1.4 times the widths.
METAPRUNING_WIDTHS = (44, 22, 33, 44, 88, 132, 224, 448, 1280)


def mobilenet_v2(
    input_shape: Sequence[int],
    classes: int,
    width: float = 1.0,
    *,
    widths: Sequence[int] = WIDTHS,
    expand_first: bool = False,
    small_images: bool | None = None,
) -> Any:
    """Returns MobileNetV2.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: number of logits.
        width: multiplies all widths, which are rounded to multiples of 8; the head does not shrink below 1.0.
        widths: full widths of stem, seven stages and head.
        expand_first: the first block has an expanding convolution too, though its expansion is 1.
        small_images: whether to take strides for small images (the stem none, and halving only while 4 pixels
            remain); by default when a side has at most 64 pixels.
    """
    stem, *outputs = (parts.scaled(base, width) for base in widths[:-1])
    small = parts.is_small(input_shape, small_images)
    image, x = parts.image_input(input_shape)
    x = parts.convolution(x, stem, 3, 1 if small else 2, "stem")
    x = parts.activation(x, "relu6", "stem")
    wanted = [stride if block == 0 else 1 for _, repeats, stride in STAGES for block in range(repeats)]
    strides = iter(enumerate(parts.fitting_strides(min(x.shape[1:3]), wanted, small), 1))
    for (expansion, repeats, _), filters in zip(STAGES, outputs, strict=True):
        for block in range(repeats):
            index, stride = next(strides)
            middle = expansion * x.shape[-1] if expansion > 1 or expand_first else None
            y = _inverted_residual(x, middle, filters, stride, f"block{index}")
            # Not also where rounded widths happen to agree: what is joined must not depend on the width.
            x = keras.layers.Add(name=f"block{index}_add")([x, y]) if block else y
    x = parts.convolution(x, parts.scaled(widths[-1], max(1.0, width)), 1, 1, "head")
    x = parts.activation(x, "relu6", "head")
    return keras.Model(image, parts.classifier(x, classes), name="mobilenet_v2")


def _inverted_residual(x: Any, middle: int | None, filters: int, stride: int, name: str) -> Any:
    """Expands to ``middle`` channels (None: not at all), filters them, and projects to ``filters``."""
    if middle:
        x = parts.convolution(x, middle, 1, 1, f"{name}_expand")
        x = parts.activation(x, "relu6", f"{name}_expand")
    x = parts.depthwise(x, 3, stride, f"{name}_dw")
    x = parts.activation(x, "relu6", f"{name}_dw")
    return parts.convolution(x, filters, 1, 1, f"{name}_project")


def _paper(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Any:
    return mobilenet_v2(input_shape, classes, widths=METAPRUNING_WIDTHS, expand_first=True, small_images=False)


def _preset() -> Preset:
    # The blocks of a stage are joined by additions, so its first block's projection names the stage's group.
    repeats = [count for _, count, _ in STAGES]
    firsts = [1 + sum(repeats[:stage]) for stage in range(len(STAGES))]
    outputs = ["stem_conv"]  # group of the stem's and then of every block's output
    for first, count in zip(firsts, repeats, strict=True):
        outputs += [f"block{first}_project_conv"] * count
    blocks = range(1, len(outputs))
    encodings: dict[str, tuple[str, ...]] = {"stem_conv": ("stem_conv",), "head_conv": (outputs[-1],)}
    for index in blocks:
        for part in ("expand", "dw", "project"):
            middle = f"block{index}_expand_conv"
            encodings[f"block{index}_{part}_conv"] = (middle, outputs[index - 1], outputs[index])
    return Preset(
        build=_paper,
        pinned=("head_conv",),
        ties=(),
        ids=(*outputs, *(f"block{index}_expand_conv" for index in blocks)),
        encodings=encodings,
        hidden={layer: 64 if layer.startswith("block") else 32 for layer in encodings},
        affine=frozenset(),
    )


METAPRUNING = _preset()
