"""A Keras 3 network as a tf_keras network that quantization-aware training covers without a gap.

The default 8-bit scheme of TFMOT knows convolutions, dense layers, batch normalisation right after those, additions and
the like. What it does not know is written in layers that it does know, or has only its output quantized, so that no
tensor is left without a range. It computes what the network computes; layers that only change training are left out.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export.legacy.layers import activation, legacy_layer
from tfmeta.export.legacy.packages import made, tf_keras, tfmot
from tfmeta.export.legacy.rebuild import built, given, require_same
from tfmeta.graph.activation import name_of
from tfmeta.graph.channel_graph import ChannelGraph, Node, Value
from tfmeta.graph.reader import layers_of

# They do nothing in a file. The short training that follows does without them.
_TRAINING_ONLY = (
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "Identity"),
    *("RandomFlip", "RandomTranslation", "RandomRotation", "RandomZoom", "RandomContrast"),
)
_WITH_KERNEL = ("Conv2D", "DepthwiseConv2D", "Dense")
# Activations that TFMOT quantizes inside the layer that ends with them.
_FUSED = ("linear", "relu", "softmax", "sigmoid", "tanh")
# Layers and activations that TFMOT has no rule for, and that are one operator in a file: the output's range is enough.
_OUTPUT_ONLY = frozenset(("Multiply", "Subtract", "Maximum", "Minimum", "ELU"))
_KNOWN_ACTIVATIONS = ("relu", "gelu", *_FUSED)


def to_quantizable(model: Any, images: np.ndarray, scheme: Any = None) -> Any:
    """Returns a tf_keras model of ``model`` that is ready for quantization-aware training.

    Args:
        model: a built Functional or Sequential Keras 3 model. It is not changed.
        images: `[N, H, W, C]` float32 on which both are compared before anything is quantized.
        scheme: a quantization scheme of TFMOT; its default of 8 bits when None.

    Raises:
        GraphError: the model cannot be read.
        ExportError: a layer cannot be quantized; the text names it.
    """
    graph = ChannelGraph.from_model(model)
    _refuse_shared(graph)
    annotated = built(graph, _Walk(graph, model).apply)
    require_same(graph, model, annotated, images)
    options = {} if scheme is None else {"scheme": scheme}
    with tfmot().quantization.keras.quantize_scope({"OutputQuantized": output_quantized()}):
        try:
            return made(tfmot().quantization.keras.quantize_apply(annotated, **options), "quantize_apply")
        except (RuntimeError, ValueError) as error:
            raise ExportError(
                f"tensorflow-model-optimization cannot quantize {model.name!r}: {str(error).splitlines()[0]} Export "
                'with scheme="int8", or replace the layer.'
            ) from error


class _Walk:
    """Makes the annotated layers of a graph, each with its weights."""

    def __init__(self, graph: ChannelGraph, model: Any) -> None:
        self._model = model
        self._readers = Counter(value for node in graph.nodes for value in node.inputs)
        self._readers.update(graph.outputs)
        self._calls = graph.nodes

    def apply(self, node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Returns the output tensor of ``node``."""
        if node.op in _TRAINING_ONLY:
            return args[0]
        weights = layers_of(self._model)[node.layer].get_weights() if node.weights and not node.constants else []
        if node.op in ("Rescaling", "Normalization"):
            scale, offset = _constant_affine(node)
            return _affine(node, node.layer, args[0], scale, offset)
        if node.op == "BatchNormalization" and not self._follows_kernel(node):
            args = [_unit_kernel(node, node.layer, args[0])]  # TFMOT knows it after a convolution only
        if node.op in _WITH_KERNEL:
            return self._with_kernel(node, args[0], weights)
        if node.op == "Activation":
            return _activate(node, node.layer, args[0], _activation_name(node))
        if node.op == "Average":
            total = _annotated(tf_keras().layers.Add(name=f"{node.layer}_sum"))(*args)
            return _affine(node, node.layer, total, 1 / len(node.inputs), 0.0)
        layer = legacy_layer(node)
        output = _annotated(layer, node.op in _OUTPUT_ONLY)(*args, **given(dict(kwargs)))
        if weights:
            layer.set_weights(weights)
        return output

    def _with_kernel(self, node: Node, x: Any, weights: list[np.ndarray]) -> Any:
        name, config = _activation_name(node), node.config
        ending = {} if name in _FUSED else {"activation": "linear"}
        if node.op == "Conv2D" and config.get("groups", 1) == x.shape[-1] > 1:
            # A depthwise convolution in other words, which has a kernel for training on CPUs and for int8.
            taps = weights[0].shape[:2]
            weights = [weights[0].reshape(*taps, x.shape[-1], -1), *weights[1:]]
            keys = ("name", "kernel_size", "strides", "padding", "dilation_rate", "use_bias", "trainable")
            options = {key: config[key] for key in keys} | {"activation": activation(name, node.layer)} | ending
            layer = tf_keras().layers.DepthwiseConv2D(depth_multiplier=weights[0].shape[-1], **options)
        else:
            layer = legacy_layer(node, **ending)
        x = _annotated(layer)(x)
        layer.set_weights(weights)
        if (name == "linear" and self._relu_follows(node)) or name == "relu6":
            # TFMOT leaves a kernel in float when a ReLU follows it, but not when a batch normalisation is between.
            x = _frozen_norm(f"{node.layer}_norm", x)
        return _activate(node, f"{node.layer}_{name}", x, name) if ending else x

    def _relu_follows(self, node: Node) -> bool:
        value = Value(self._calls.index(node))
        readers = [other for other in self._calls if value in other.inputs]
        while len(readers) == 1 and readers[0].op in _TRAINING_ONLY:
            value = Value(self._calls.index(readers[0]))
            readers = [other for other in self._calls if value in other.inputs]
        return len(readers) == 1 and (readers[0].op == "ReLU" or _activation_name(readers[0]) in ("relu", "relu6"))

    def _follows_kernel(self, node: Node) -> bool:
        """Whether a batch normalisation belongs to the layer before it, which TFMOT then quantizes with it."""
        (source,) = node.inputs
        before = self._calls[source.node]
        while before.op in _TRAINING_ONLY and self._readers[source] == 1:
            (source,) = before.inputs
            before = self._calls[source.node]
        return before.op in _WITH_KERNEL and self._readers[source] == 1 and _activation_name(before) == "linear"


def _refuse_shared(graph: ChannelGraph) -> None:
    calls = Counter(node.layer for node in graph.nodes if node.op in (*_WITH_KERNEL, "BatchNormalization"))
    for layer, count in calls.items():
        if count > 1:
            raise ExportError(
                f"Layer {layer!r} is called {count} times. tensorflow-model-optimization quantizes layers that are "
                'called once; use a layer a call, or export with scheme="int8".'
            )


def _activation_name(node: Node) -> str:
    return name_of(node.config.get("activation", "linear"))


def _annotated(layer: Any, only_output: bool = False) -> Any:
    config = output_quantized()() if only_output else None
    return tfmot().quantization.keras.quantize_annotate_layer(layer, quantize_config=config)


def _activate(node: Node, name: str, x: Any, kind: str) -> Any:
    """The activation ``kind`` as layers whose every tensor gets a range."""
    layers = tf_keras().layers
    if kind in ("silu", "swish"):  # two operators in a file: LOGISTIC and MUL
        gate = _annotated(layers.Activation("sigmoid", name=f"{name}_gate"))(x)
        return _annotated(layers.Multiply(name=name), True)([x, gate])
    if kind == "hard_sigmoid":
        x = _affine(node, f"{name}_shift", x, 1.0, 3.0)
        x = _annotated(layers.ReLU(6.0, name=f"{name}_clip"))(x)
        return _affine(node, name, x, 1 / 6, 0.0)
    if kind == "relu6":
        return _annotated(layers.ReLU(6.0, name=name))(x)
    if kind == "leaky_relu":
        return _annotated(layers.LeakyReLU(0.2, name=name))(x)
    layer = layers.Activation(activation(kind, node.layer), name=name)
    return _annotated(layer, kind not in _KNOWN_ACTIVATIONS)(x)


def _unit_kernel(node: Node, name: str, x: Any) -> Any:
    """A convolution that changes nothing, for a batch normalisation to follow. The converter makes one of both."""
    if len(x.shape) != 4:
        raise ExportError(
            f"Layer {node.layer!r} ({node.op}) scales a tensor without height and width, which "
            "tensorflow-model-optimization cannot quantize. Move it before the pooling or right after a Dense layer "
            'without activation, or export with scheme="int8".'
        )
    layer = tf_keras().layers.DepthwiseConv2D(
        1, depthwise_initializer="ones", use_bias=False, trainable=False, name=f"{name}_unit"
    )
    return _annotated(layer)(x)


def _affine(node: Node, name: str, x: Any, scale: Any, offset: Any) -> Any:
    """Returns x * scale + offset, constants or one a channel, as a batch normalisation with frozen statistics.

    A multiplication and an addition would leave the tensor between them without a range.
    """
    return _frozen_norm(name, _unit_kernel(node, name, x), scale, offset)


def _frozen_norm(name: str, x: Any, scale: Any = 1.0, offset: Any = 0.0) -> Any:
    layer = tf_keras().layers.BatchNormalization(name=name, trainable=False)
    x = _annotated(layer)(x)
    shape = x.shape[-1:]
    one, zero = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    gamma, beta = (np.asarray(value, np.float32).reshape(-1) * one for value in (scale, offset))
    layer.set_weights([gamma, beta, zero, one - np.float32(layer.epsilon)])
    return x


def _constant_affine(node: Node) -> tuple[Any, Any]:
    config = node.config
    if node.op == "Rescaling":
        return config["scale"], config["offset"]
    learned = node.constants or (config["mean"], config["variance"])
    mean, variance, *_ = (np.asarray(value, np.float64).reshape(-1) for value in learned)
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return (deviation, mean) if config.get("invert") else (1 / deviation, -mean / deviation)


@functools.cache
def output_quantized() -> Any:
    """Returns the class of TFMOT quantize configs that give a layer's output a range and leave the rest alone."""
    keras_quantization = tfmot().quantization.keras

    class OutputQuantized(keras_quantization.QuantizeConfig):  # type: ignore[name-defined, misc]
        """Quantizes the output to 8 bits, with a moving average of its range."""

        def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
            return []

        def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
            return []

        def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
            pass

        def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
            pass

        def get_output_quantizers(self, layer: Any) -> list[Any]:
            return [
                keras_quantization.quantizers.MovingAverageQuantizer(
                    num_bits=8, per_axis=False, symmetric=False, narrow_range=False
                )
            ]

        def get_config(self) -> dict[str, Any]:
            return {}

    return OutputQuantized
