"""Parts that all network families are made of. Every layer gets an explicit name, so that names mean something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmeta.errors import UserError
from tfmeta.lazy import keras

# PyTorch's values, which the papers' training recipes assume (its momentum of 0.1 is Keras' 0.9). With Keras' own
# momentum of 0.99 the statistics lag too far behind in the short trainings that a search makes.
EPSILON = 1e-5
MOMENTUM = 0.9

# Images up to this size are treated as CIFAR-like: a stem without stride, and fewer strides after it.
SMALL_IMAGE = 64
# On small images the feature map is halved only while this many pixels remain.
SMALLEST_MAP = 4


def image_input(input_shape: Sequence[int]) -> tuple[Any, Any]:
    """Returns the input "image" of raw pixels 0..255 and the same scaled to -1..1."""
    image = keras.Input(tuple(input_shape), name="image")
    return image, keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)


def is_small(input_shape: Sequence[int], small_images: bool | None) -> bool:
    """Returns whether to take CIFAR-like strides: as asked, or by the size of the images when not asked."""
    return min(input_shape[:2]) <= SMALL_IMAGE if small_images is None else small_images


def fitting_strides(size: int, strides: Sequence[int], small: bool) -> tuple[int, ...]:
    """Returns ``strides``, on small images with those left out that would make the map too small.

    Args:
        size: height or width of the map, whichever is less.
        strides: one stride a block.
        small: whether the images are small; else the strides are returned as they are.
    """
    fitting = []
    for stride in strides:
        stride = stride if not small or size // stride >= SMALLEST_MAP else 1
        size //= stride
        fitting.append(stride)
    return tuple(fitting)


def scaled(base: int, width: float) -> int:
    """Returns ``base`` channels times ``width``, as a multiple of 8 (the full width stays what it is)."""
    if not width > 0:
        raise UserError(f"Expected a width above 0, received {width}.")
    return base if width == 1 else max(8, round(base * width / 8) * 8)


def convolution(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    """Returns a convolution without bias, and its batch normalisation, named ``{name}_conv`` and ``{name}_bn``.

    Padding is "same", which pads below and to the right of an even map where PyTorch pads all around. Shapes and costs
    are the same, and phones run it without an extra padding operation.
    """
    x = keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return batch_norm(x, name)


def depthwise(x: Any, kernel: int, stride: int, name: str) -> Any:
    """Returns a depthwise convolution without bias, and its batch normalisation."""
    x = keras.layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        # Keras takes the channel count into the fan-in, though every filter reads one channel; the fan-out is right.
        depthwise_initializer=keras.initializers.VarianceScaling(2.0, mode="fan_out"),
        name=f"{name}_conv",
    )(x)
    return batch_norm(x, name)


def batch_norm(x: Any, name: str) -> Any:
    """Returns the batch normalisation ``{name}_bn``."""
    return keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_bn")(x)


def activation(x: Any, function: str, name: str) -> Any:
    """Returns the activation ``{name}_{function}``."""
    return keras.layers.Activation(function, name=f"{name}_{function}")(x)


def classifier(x: Any, classes: int) -> Any:
    """Returns logits `[B, classes]`: the mean over the whole map and one dense layer.

    The mean is taken by an average pooling with a window of the map's size, which MetaPruning's repository counts as
    multiply-adds (and global pooling not).
    """
    x = keras.layers.AveragePooling2D(tuple(x.shape[1:3]), name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.layers.Dense(classes, name="logits")(x)


def require_halving(input_shape: Sequence[int], times: int, network: str) -> None:
    """Raises unless maps of these images can be halved so often without a rest, so that they fit when they grow again.

    Raises:
        UserError: they cannot.
    """
    height, width = input_shape[:2]
    if times < 1 or height % 2**times or width % 2**times:
        raise UserError(
            f"{network} that halves its maps {times} times takes images whose sides are multiples of "
            f"{2 ** max(times, 1)}, received {height}x{width}. Set --image_size, or halve less often (once at least)."
        )
