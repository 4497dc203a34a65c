"""What layers compute, given weights that are cropped to the channels of a structure.

The functions take as many channels as the weights have, so one compiled function serves every structure. Layers that
have none here run as the Keras layers they are, at full width (`PruningNet`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfmeta.errors import GraphError
from tfmeta.graph.channel_graph import Node, is_kernel
from tfmeta.lazy import keras, tf

# Weights of one layer by name.
Weights = Mapping[str, Any]


def _conv2d(inputs: Any, weights: Weights, config: Mapping[str, Any]) -> Any:
    kernel, groups, strides = weights["kernel"], config["groups"], config["strides"]
    if max(config["kernel_size"]) == 1 < max(strides):
        # The same function. TensorFlow 2.21 (oneDNN, AVX-512) writes past its memory in the gradient of the kernel of
        # a 1x1 convolution with stride, with under 16 input channels and a batch that threads cannot share evenly.
        inputs, strides = inputs[:, :: strides[0], :: strides[1]], 1
    options = {
        "strides": strides,
        "padding": config["padding"].upper(),
        "dilations": config["dilation_rate"],
    }
    if groups == 1:
        return tf.nn.conv2d(inputs, kernel, **options)
    # Grouped kernels run on CPU through XLA only, which is far slower than one convolution a group.
    parts = zip(tf.split(inputs, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(part, piece, **options) for part, piece in parts], -1)


def _conv2d_transpose(inputs: Any, weights: Weights, config: Mapping[str, Any], size: Sequence[int | None]) -> Any:
    kernel = weights["kernel"]
    shape = [tf.shape(inputs)[0], *size, tf.shape(kernel)[2]]
    return tf.nn.conv2d_transpose(inputs, kernel, tf.stack(shape), config["strides"], config["padding"].upper())


def _separable_conv2d(inputs: Any, weights: Weights, config: Mapping[str, Any]) -> Any:
    middle = _depthwise_conv2d(inputs, {"kernel": weights["depthwise_kernel"]}, config)
    return tf.nn.conv2d(middle, weights["pointwise_kernel"], 1, "VALID")


def _depthwise_conv2d(inputs: Any, weights: Weights, config: Mapping[str, Any]) -> Any:
    kernel, dilation = weights["kernel"], config["dilation_rate"]
    if max(dilation) > 1:  # TensorFlow's own dilation needs a number of channels that is known when it is traced
        kernel = _dilated(kernel, *dilation)
    return tf.nn.depthwise_conv2d(inputs, kernel, (1, *config["strides"], 1), config["padding"].upper())


def _dilated(kernel: Any, rows: int, columns: int) -> Any:
    """Returns a kernel `[kh, kw, C, m]` with zeros between its taps."""
    height, width = kernel.shape[:2]
    shape = tf.shape(kernel)
    spread = tf.pad(kernel[:, None, :, None], [[0, 0], [0, rows - 1], [0, 0], [0, columns - 1], [0, 0], [0, 0]])
    spread = tf.reshape(spread, [height * rows, width * columns, shape[2], shape[3]])
    return spread[: (height - 1) * rows + 1, : (width - 1) * columns + 1]


def _dense(inputs: Any, weights: Weights, config: Mapping[str, Any]) -> Any:
    return tf.tensordot(inputs, weights["kernel"], 1) if inputs.shape.rank != 2 else inputs @ weights["kernel"]


_LINEAR: Mapping[str, Callable[..., Any]] = {
    "Conv2D": _conv2d,
    "SeparableConv2D": _separable_conv2d,
    "DepthwiseConv2D": _depthwise_conv2d,
    "Dense": _dense,
}


# Computed in float32 and rounded at the end, as in Keras.


def _layer_norm(inputs: Any, weights: Weights, config: Mapping[str, Any]) -> Any:
    x = tf.cast(inputs, tf.float32)
    rank = x.shape.rank
    axis = config["axis"] if isinstance(config["axis"], list | tuple) else [config["axis"]]
    mean, variance = tf.nn.moments(x, [a % rank for a in axis], keepdims=True)
    return _affine((x - mean) * tf.math.rsqrt(variance + config["epsilon"]), weights)


def _group_norm(inputs: Any, weights: Weights, config: Mapping[str, Any], channels: int) -> Any:
    shape = tf.shape(inputs)
    each = config["groups"] in (-1, channels)
    parts = [shape[-1], 1] if each else [config["groups"], shape[-1] // config["groups"]]
    x = tf.reshape(tf.cast(inputs, tf.float32), [shape[0], -1, *parts])
    mean, variance = tf.nn.moments(x, [1, 3], keepdims=True)
    x = tf.reshape((x - mean) * tf.math.rsqrt(variance + config["epsilon"]), shape)
    return _affine(x, weights)


def _affine(x: Any, weights: Weights) -> Any:
    x = x * weights["gamma"] if "gamma" in weights else x
    return x + weights["beta"] if "beta" in weights else x


def _layer_scale(inputs: Any, weights: Weights) -> Any:
    return inputs * tf.cast(next(iter(weights.values())), inputs.dtype)


def _prelu(inputs: Any, weights: Weights) -> Any:
    return tf.nn.relu(inputs) - tf.cast(weights["alpha"], inputs.dtype) * tf.nn.relu(-inputs)


_OTHER = ("BatchNormalization", "Conv2DTranspose", "LayerNormalization", "GroupNormalization", "LayerScale", "PReLU")
_WEIGHTED = frozenset((*_LINEAR, *_OTHER))


def has_own_code(node: Node) -> bool:
    """Returns whether a layer with weights is computed here, on the active channels only.

    All others run as the Keras layers they are, at full width (`PruningNet`).
    """
    return node.op in _WEIGHTED and not (node.op == "Conv2DTranspose" and _dilates(node.call.config))


def _dilates(config: Mapping[str, Any]) -> bool:
    return any(rate != 1 for rate in config["dilation_rate"])


# Layer types to the kernel that ends them, whose last axis holds the outputs.
LAST_KERNELS = {
    "Conv2D": "kernel",
    "Dense": "kernel",
    "DepthwiseConv2D": "kernel",
    "SeparableConv2D": "pointwise_kernel",
}


def is_linear(node: Node) -> bool:
    """Returns whether the node is a convolution or dense layer without an activation: a scale can be folded in."""
    return node.op in LAST_KERNELS and node.call.config.get("activation", "linear") == "linear"


def apply_layer(node: Node, inputs: Any, weights: Weights) -> Any:
    """Returns what the layer ``node`` computes with the given weights; not for batch normalisation."""
    config = node.call.config
    if node.op == "LayerScale":
        return _layer_scale(inputs, weights)
    if node.op == "PReLU":
        return _prelu(inputs, weights)
    if node.op == "LayerNormalization":
        return tf.cast(_layer_norm(inputs, weights, config), inputs.dtype)
    if node.op == "GroupNormalization":
        return tf.cast(_group_norm(inputs, weights, config, node.call.input_shapes[0][-1]), inputs.dtype)
    return _apply_linear(node, inputs, weights)


def _apply_linear(node: Node, inputs: Any, weights: Weights) -> Any:
    if node.op == "Conv2D" and "in_per_group" not in node.roles:
        kernel = weights["kernel"]  # one group a channel: a depthwise convolution with its kernel axes folded
        shape = tf.shape(kernel)
        folded = tf.reshape(kernel, [shape[0], shape[1], -1, node.shape[-1] // node.call.input_shapes[0][-1]])
        outputs = _depthwise_conv2d(inputs, {"kernel": tf.cast(folded, inputs.dtype)}, node.call.config)
    elif node.op == "Conv2DTranspose":
        kernel = {"kernel": tf.cast(weights["kernel"], inputs.dtype)}
        outputs = _conv2d_transpose(inputs, kernel, node.call.config, node.shape[:-1])
    else:
        cast = {name: tf.cast(weight, inputs.dtype) for name, weight in weights.items() if is_kernel(name)}
        outputs = _LINEAR[node.op](inputs, cast, node.call.config)
    if "bias" in weights:
        outputs = tf.nn.bias_add(outputs, tf.cast(weights["bias"], outputs.dtype))
    # Mixed precision rounds probabilities near 0 and 1 too much for a loss.
    outputs = tf.cast(outputs, tf.float32) if node.gives_probabilities else outputs
    return keras.activations.get(node.call.config.get("activation"))(outputs)


def reshape(node: Node, inputs: Any) -> Any:
    """Returns what the `Flatten` or `Reshape` layer ``node`` computes on cropped channels."""
    shape = [-1 if place == node.channel_axes[0] else size for place, size in enumerate(node.shape)]
    if None in shape:
        raise GraphError(
            f"Layer {node.layer!r} ({node.op}) has the shape {node.shape}. Expected fixed height and width."
        )
    return tf.reshape(inputs, [tf.shape(inputs)[0], *shape])
