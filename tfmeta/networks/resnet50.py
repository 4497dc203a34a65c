"""ResNet-50 (He et al., https://arxiv.org/abs/1512.03385): bottleneck blocks, the stride in the 3x3 convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmeta.lazy import keras
from tfmeta.networks import parts
from tfmeta.networks.preset import Preset

STEM = 64
# Output width, blocks and first stride of every stage. The middle of a block has a quarter of the output's width.
STAGES = ((256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2))


def resnet50(input_shape: Sequence[int], classes: int, width: float = 1.0, *, small_images: bool | None = None) -> Any:
    """Returns ResNet-50.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: number of logits.
        width: multiplies all widths, which are rounded to multiples of 8.
        small_images: whether to begin with a 3x3 convolution without stride and pooling, and to halve only while 4
            pixels remain; by default when a side has at most 64 pixels.
    """
    small = parts.is_small(input_shape, small_images)
    image, x = parts.image_input(input_shape)
    x = parts.convolution(x, parts.scaled(STEM, width), 3 if small else 7, 1 if small else 2, "stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    if not small:
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    strides = parts.fitting_strides(min(x.shape[1:3]), [stride for *_, stride in STAGES], small)
    for stage, ((filters, repeats, _), stride) in enumerate(zip(STAGES, strides, strict=True), 1):
        for block in range(1, repeats + 1):
            middle, out = parts.scaled(filters // 4, width), parts.scaled(filters, width)
            x = _bottleneck(x, middle, out, stride if block == 1 else 1, block == 1, f"stage{stage}_block{block}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name="resnet50")


def _bottleneck(x: Any, middle: int, filters: int, stride: int, project: bool, name: str) -> Any:
    # ReLU layers rather than Activation layers: MetaPruning's repository counts these.
    shortcut = parts.convolution(x, filters, 1, stride, f"{name}_shortcut") if project else x
    for number, (kernel, step) in enumerate(((1, 1), (3, stride)), 1):
        x = parts.convolution(x, middle, kernel, step, f"{name}_{number}")
        x = keras.layers.ReLU(name=f"{name}_{number}_relu")(x)
    x = parts.convolution(x, filters, 1, 1, f"{name}_3")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _paper(input_shape: Sequence[int] = (224, 224, 3), classes: int = 1000) -> Any:
    return resnet50(input_shape, classes, small_images=False)


def _preset() -> Preset:
    # All blocks of a stage are joined by additions, so the last convolution of its first block names the group.
    outputs = ["stem_conv", *(f"stage{stage}_block1_3_conv" for stage in range(1, len(STAGES) + 1))]
    encodings: dict[str, tuple[str, ...]] = {"stem_conv": ("stem_conv",)}
    ties = []
    for stage, (_, repeats, _) in enumerate(STAGES, 1):
        for block in range(1, repeats + 1):
            name = f"stage{stage}_block{block}"
            ties.append((f"{name}_1_conv", f"{name}_2_conv"))
            for layer in (*(["shortcut"] if block == 1 else []), "1", "2", "3"):
                before = outputs[stage - 1] if block == 1 else outputs[stage]
                encodings[f"{name}_{layer}_conv"] = (f"{name}_1_conv", before, outputs[stage])
    return Preset(
        build=_paper,
        pinned=(outputs[-1],),
        ties=tuple(ties),
        ids=(*outputs[:-1], *(first for first, _ in ties)),
        encodings=encodings,
        hidden=dict.fromkeys(encodings, 32),
        affine=frozenset(),
    )


METAPRUNING = _preset()
