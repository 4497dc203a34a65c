"""Networks that tests share: five tiny ones, one for every way in which channels are coupled, and whole families.

Models are made once a test run (`tiny`, `family`) and must be left as they are.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmeta import ChannelGraph, SearchSpace, Selection, Structure, prune
from tfmeta.graph.reader import layers_of
from tfmeta.lazy import keras
from tfmeta.networks import NETWORKS
from tfmeta.registry import resolve

IMAGE = (8, 8, 3)
CLASSES = 4


def _conv(x: Any, filters: int, kernel: int, name: str, **options: Any) -> Any:
    return keras.layers.Conv2D(filters, kernel, padding="same", name=name, **options)(x)


def _bn_relu(x: Any, name: str) -> Any:
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _head(image: Any, x: Any, name: str) -> Any:
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(x), name=name)


def plain() -> Any:
    """Convolutions in a row, and a Flatten that spreads each channel over 16 inputs of a dense layer."""
    image = keras.Input(IMAGE, name="image")
    x = _bn_relu(_conv(image, 6, 3, "conv1"), "conv1")
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = _bn_relu(_conv(x, 8, 3, "conv2", use_bias=False), "conv2")
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(5, "relu", name="dense")(x)
    return keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(x), name="plain")


def residual() -> Any:
    """A block with an identity shortcut, and one with a projection."""
    image = keras.Input(IMAGE, name="image")
    stem = _bn_relu(_conv(image, 6, 3, "stem"), "stem")
    x = _bn_relu(_conv(stem, 5, 3, "a1"), "a1")
    x = keras.layers.Add(name="a_add")([stem, _conv(x, 6, 3, "a2")])
    a = keras.layers.ReLU(name="a_relu")(x)
    x = _bn_relu(_conv(a, 7, 3, "b1", strides=2), "b1")
    x = keras.layers.Add(name="b_add")([_conv(x, 8, 3, "b2"), _conv(a, 8, 1, "b_short", strides=2)])
    return _head(image, _bn_relu(x, "b"), "residual")


def depthwise() -> Any:
    """Depthwise convolutions: one to one, with a multiplier, and written as a convolution with groups."""
    image = keras.Input(IMAGE, name="image")
    x = _bn_relu(_conv(image, 6, 3, "stem"), "stem")
    x = _bn_relu(keras.layers.DepthwiseConv2D(3, padding="same", name="dw1")(x), "dw1")
    x = _bn_relu(_conv(x, 8, 1, "pw1"), "pw1")
    x = _bn_relu(keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="dw2")(x), "dw2")
    x = _bn_relu(_conv(x, 10, 1, "pw2"), "pw2")
    x = _bn_relu(_conv(x, 10, 3, "dw3", groups=10), "dw3")
    return _head(image, x, "depthwise")


def concat() -> Any:
    """Two branches side by side, normalised and read as one."""
    image = keras.Input(IMAGE, name="image")
    x = _bn_relu(_conv(image, 6, 3, "stem"), "stem")
    x = keras.layers.Concatenate(name="join")([_conv(x, 5, 1, "left"), x, _conv(x, 7, 3, "right")])
    x = _bn_relu(x, "join")
    return _head(image, _bn_relu(_conv(x, 9, 1, "after"), "after"), "concat")


def squeeze_excite() -> Any:
    """Channels scaled by a factor each, which a small bottleneck computes from their means."""
    image = keras.Input(IMAGE, name="image")
    x = _bn_relu(_conv(image, 8, 3, "stem"), "stem")
    s = keras.layers.GlobalAveragePooling2D(name="se_pool")(x)
    s = keras.layers.Reshape((1, 1, 8), name="se_reshape")(s)
    s = _conv(s, 3, 1, "se_reduce", activation="relu")
    s = _conv(s, 8, 1, "se_expand", activation="sigmoid")
    x = keras.layers.Multiply(name="se_scale")([x, s])
    return _head(image, _bn_relu(_conv(x, 6, 1, "after"), "after"), "squeeze_excite")


def grouped() -> Any:
    """A convolution in three groups, each of which reads and makes its own channels."""
    image = keras.Input(IMAGE, name="image")
    x = _bn_relu(_conv(image, 6, 3, "stem"), "stem")
    x = _bn_relu(_conv(x, 9, 3, "grouped", groups=3), "grouped")
    return _head(image, _bn_relu(_conv(x, 7, 1, "after"), "after"), "grouped")


def split_group() -> Any:
    """A concatenation added to the output of one layer, whose channels so fall into two groups."""
    image = keras.Input(IMAGE, name="image")
    left, right, whole = (_conv(image, size, 3, name) for name, size in (("left", 3), ("right", 5), ("whole", 8)))
    x = keras.layers.Concatenate(name="join")([left, right])
    x = keras.layers.Add(name="add")([x, whole])
    return _head(image, _bn_relu(x, "add"), "split_group")


def shared_layer() -> Any:
    """One convolution called on two tensors, its outputs side by side, one of them twice."""
    image = keras.Input(IMAGE, name="image")
    shared = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="shared")
    first, second = shared(_conv(image, 4, 1, "first")), shared(_conv(image, 4, 3, "second"))
    x = keras.layers.Concatenate(name="join")([first, second, first])
    return _head(image, _bn_relu(_conv(x, 6, 1, "after"), "after"), "shared_layer")


TINY: dict[str, Callable[[], Any]] = {
    function.__name__: function for function in (plain, residual, depthwise, concat, squeeze_excite)
}
# Rarer couplings, which the laws of pruning and cost must hold for too.
ODD: dict[str, Callable[[], Any]] = {function.__name__: function for function in (grouped, split_group, shared_layer)}


def _application(name: str, **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        model = getattr(keras.applications, name)
        return model(input_shape=(32, 32, 3), weights=None, classes=10, classifier_activation=None, **options)

    return build


def _network(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: resolve(NETWORKS, name, "network")((32, 32, 3), 10, **options)


# Keras' and the project's own families, narrow where a narrow one says as much.
FAMILIES: dict[str, Callable[[], Any]] = {
    "MobileNet": _application("MobileNet", alpha=0.5),
    "MobileNetV2": _application("MobileNetV2", alpha=0.5),
    "ResNet50": _application("ResNet50"),
    "ResNet50V2": _application("ResNet50V2"),
    "VGG16": _application("VGG16"),
    "EfficientNetB0": _application("EfficientNetB0"),
    "fcn": _network("fcn", width=0.5, stages=3),
    "mobilenet_v1": _network("mobilenet_v1", width=0.5, blocks=9),
    "mobilenet_v2": _network("mobilenet_v2", width=0.5),
    "resnet": _network("resnet", depth=14),
    "resnet50": _network("resnet50", width=0.25),
    "unet": _network("unet", width=0.5, levels=2),
    "vgg": _network("vgg", width=0.25),
}


@functools.cache
def tiny(name: str) -> Any:
    """Returns one of the tiny networks with random weights."""
    return randomise((TINY | ODD)[name](), np.random.default_rng(1))


@functools.cache
def family(name: str) -> Any:
    """Returns a network of one of the families with random weights."""
    return randomise(FAMILIES[name](), np.random.default_rng(2))


def in_double_precision(name: str) -> Any:
    """Returns `family` with the same random weights, computing in float64."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        return randomise(FAMILIES[name](), np.random.default_rng(2))
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


ALL = (*TINY, *ODD, *FAMILIES)


def any_net(name: str) -> Any:
    """Returns a tiny network or one of a family."""
    return family(name) if name in FAMILIES else tiny(name)


@dataclass(frozen=True)
class Pruned:
    """A network, a random structure or selection of its channels, and what `prune` made of it."""

    model: Any
    graph: ChannelGraph
    choice: Structure | Selection
    small: Any

    @property
    def structure(self) -> Structure:
        """The widths of the choice."""
        return self.choice if isinstance(self.choice, Structure) else self.choice.structure


@functools.cache
def pruned(name: str) -> tuple[Pruned, ...]:
    """Returns random prunings of a network: a structure and a selection; some more of a tiny one."""
    model = any_net(name)
    graph = ChannelGraph.from_model(model)
    space = SearchSpace.from_graph(graph, multiple_of=1)
    rng = np.random.default_rng(4)
    choices: list[Structure | Selection] = []
    for structure in [space.sample(rng) for _ in range(1 if name in FAMILIES else 3)]:
        scores = [rng.random(group.size) for group in graph.searchable]
        choices += [structure, Selection.largest(space.mutate(structure, rng, 0.5), scores)]
    if name not in FAMILIES:
        choices += [Structure((1,) * len(graph.searchable)), space.full()]
    return tuple(Pruned(model, graph, choice, prune(model, choice)) for choice in choices)


def written(folder: Path, *schemes: str) -> list[Path]:
    """Writes a classifier of images `[8, 8, 1]` into the folder, as <scheme>.tflite; returns the paths."""
    from tfmeta.export.tflite import export_tflite

    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    model = keras.Model(image, keras.layers.Dense(3)(x))
    ramps = np.linspace(0, 1, 64 * 20, dtype=np.float32).reshape(20, 8, 8, 1)
    return [export_tflite(model, folder / f"{one}.tflite", one, reference_samples=ramps).path for one in schemes]


def randomise(model: Any, rng: np.random.Generator) -> Any:
    """Gives every weight of ``model`` a random value, batch-norm statistics included; returns the model.

    Kernels are scaled to keep the size of the activations, and statistics are near those of images, so that deep
    networks neither fade out nor overflow, and what comes out depends on what went in.
    """
    for layer in layers_of(model).values():
        if isinstance(layer, keras.layers.Normalization):
            if layer.input_mean is None:
                layer.adapt(rng.uniform(0, 255, (4, *layer.input.shape[1:])).astype("float32"))
            continue
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if weight.name.endswith("kernel"):
                depthwise = weight.name == "depthwise_kernel" or "Depthwise" in type(layer).__name__
                inputs = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
                value = rng.normal(0, np.sqrt(2 / inputs), shape)
            elif weight.name in ("gamma", "moving_variance") or "LayerScale" in type(layer).__name__:
                value = rng.uniform(0.5, 1.5, shape)
            else:
                value = rng.normal(0, 0.2, shape)
            weight.assign(value)
    _near_statistics(model, rng)
    return model


def _near_statistics(model: Any, rng: np.random.Generator) -> None:
    norms = [la for la in layers_of(model).values() if isinstance(la, keras.layers.BatchNormalization)]
    if not norms or len(model.inputs) > 1:
        return
    _take_statistics(norms, model, 8)
    for layer in norms:
        size = layer.moving_mean.shape[0]
        spread = np.sqrt(np.array(layer.moving_variance) + 1e-3)
        layer.moving_mean.assign(np.array(layer.moving_mean) + rng.normal(0, 0.2, size) * spread)
        layer.moving_variance.assign(spread**2 * rng.uniform(0.5, 1.5, size))


def _take_statistics(norms: list[Any], model: Any, count: int) -> None:
    momentums = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(colours(model, count), training=True)
    for layer, momentum in zip(norms, momentums, strict=True):
        layer.momentum = momentum


def settle(model: Any, rng: np.random.Generator) -> Any:
    """Lets a network answer as a trained one does, in single precision too; returns the model.

    Kernels stay as Keras drew them, batch norms get the statistics of images and damp a little, and what is constant is
    moved, so that no layer does nothing. After `randomise` the deepest networks are chaotic: rounding decides there.
    """
    norms = [la for la in layers_of(model).values() if isinstance(la, keras.layers.BatchNormalization)]
    _take_statistics(norms, model, 64)
    for layer in layers_of(model).values():
        for weight in () if isinstance(layer, keras.layers.Normalization) else layer.weights:
            value = np.array(weight)
            if layer in norms or (value.size and np.all(value == value.flat[0])):
                if weight.name == "moving_variance":
                    weight.assign(value * rng.uniform(1.05, 1.15, value.shape))
                else:
                    weight.assign(value * rng.uniform(0.95, 1.05, value.shape) + rng.normal(0, 0.01, value.shape))
    return model


def images(model: Any, count: int = 2, seed: int = 3) -> np.ndarray:
    """Returns `[count, H, W, C]` float32 random pixels 0..255 for a family, -1..1 for a tiny network."""
    rng = np.random.default_rng(seed)
    low, high = (-1, 1) if model.input.shape[1:] == IMAGE else (0, 255)
    return rng.uniform(low, high, (count, *model.input.shape[1:])).astype("float32")


def colours(model: Any, count: int = 2, seed: int = 3) -> np.ndarray:
    """Returns `images` that differ in colour by patches: those of noise alone look alike to deep networks."""
    noise = images(model, count, seed)
    height, width, channels = noise.shape[1:]
    patches = images(model, 1, seed + 1).std() * np.random.default_rng(seed).normal(0, 1, (count, 2, 2, channels))
    patches = patches.repeat(height // 2 + 1, 1).repeat(width // 2 + 1, 2)[:, :height, :width]
    return (noise / 2 + patches).astype("float32")
