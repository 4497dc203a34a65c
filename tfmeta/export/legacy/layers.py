"""The table of what Keras 3 and tf_keras call differently: one layer of a channel graph as a tf_keras layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export.legacy.packages import tf_keras
from tfmeta.graph.activation import name_of
from tfmeta.graph.channel_graph import Node
from tfmeta.lazy import keras, tf

# Option of Keras 3 → what tf_keras calls it.
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
# Weights are copied and the decay of kernels is the optimizer's, so how they began and what held them does not matter;
# the type is float32 throughout (`converter.with_batch_one` refuses others).
_DROPPED = ("dtype", "seed")
_DROPPED_ENDINGS = ("_initializer", "_regularizer", "_constraint")

# Activations that mean the same in both.
_SAME_ACTIVATIONS = frozenset(
    ("elu", "exponential", "gelu", "linear", "relu", "selu", "sigmoid", "softmax", "softplus", "softsign", "tanh")
)


def _hard_sigmoid(x: Any) -> Any:
    return tf.nn.relu6(x + 3.0) / 6.0  # what tf_keras calls so is another function


def _hard_silu(x: Any) -> Any:
    return x * _hard_sigmoid(x)


def _leaky_relu(x: Any) -> Any:
    return tf.nn.leaky_relu(x, 0.2)


def _relu6(x: Any) -> Any:
    return tf.nn.relu6(x)


def _log_softmax(x: Any) -> Any:
    return tf.nn.log_softmax(x)


_OWN_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
    "leaky_relu": _leaky_relu,
    "log_softmax": _log_softmax,
    "relu6": _relu6,
}


def activation(name: str, layer: str) -> Any:
    """Returns the activation ``name`` of Keras 3 as tf_keras takes it: a name, or a function registered with it.

    Raises:
        ExportError: tf_keras has none that computes the same.
    """
    if name in ("silu", "swish"):
        return "swish"
    if name in _SAME_ACTIVATIONS:
        return name
    if name not in _OWN_ACTIVATIONS:
        known = sorted({*_SAME_ACTIVATIONS, *_OWN_ACTIVATIONS, "silu"})
        raise ExportError(
            f"Layer {layer!r} has the activation {name!r}, which tf_keras lacks. Expected one of: {', '.join(known)}. "
            "Replace it, or export with a scheme that needs no training."
        )
    function = _OWN_ACTIVATIONS[name]
    tf_keras().utils.get_custom_objects()[function.__name__] = function
    return function


def legacy_layer(node: Node, **changes: Any) -> Any:
    """Returns the layer of ``node`` as a tf_keras layer of the same name, without weights.

    Args:
        node: a node of a channel graph, not an input.
        **changes: options to set instead of the layer's own.

    Raises:
        ExportError: tf_keras has no such layer, or not one of its options.
    """
    kind = getattr(tf_keras().layers, node.op, None)
    if kind is None:
        raise ExportError(
            f"Layer {node.layer!r} is a {node.op}, which tf_keras lacks. Schemes that train need it there: replace the "
            "layer, or export with a scheme that needs no training."
        )
    config = {**node.config, **_constants(node), **changes}
    known = {"name", "trainable", *inspect.signature(kind.__init__).parameters}
    options = {}
    for field, value in config.items():
        field = _RENAMED.get(node.op, {}).get(field, field)
        if field in _DROPPED or field.endswith(_DROPPED_ENDINGS):
            continue
        if field in known:
            options[field] = activation(name_of(value), node.layer) if field == "activation" else value
        elif not _is_default(node.op, field, value):
            raise ExportError(
                f"Layer {node.layer!r} ({node.op}) has {field}={value!r}, an option that tf_keras lacks. Leave it at "
                "its default, or export with a scheme that needs no training."
            )
    return kind(**options)


def _is_default(op: str, field: str, value: Any) -> bool:
    """Whether Keras 3 takes ``value`` for the option ``field`` when it is not told."""
    parameter = inspect.signature(getattr(keras.layers, op).__init__).parameters.get(field)
    return (
        value is None
        or value is False
        or value == "channels_last"
        or (parameter is not None and value == parameter.default)
    )


def _constants(node: Node) -> dict[str, Any]:
    """What a `Normalization` has learned from data is an option of the layer in tf_keras."""
    if node.op != "Normalization" or not node.constants:
        return {}
    mean, variance, *_ = (np.asarray(value) for value in node.constants)
    return {"mean": mean, "variance": variance}
