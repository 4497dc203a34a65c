"""A finished Keras 3 network as a tf_keras network: same topology, same weights, same outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export.legacy.layers import legacy_layer
from tfmeta.export.legacy.packages import tf_keras
from tfmeta.graph.channel_graph import ChannelGraph, Node
from tfmeta.graph.reader import layers_of
from tfmeta.graph.rebuild import rebuild, walk

# The largest difference of an output, as a part of the largest output (of 1 where outputs are smaller).
MAX_DIFFERENCE = 1e-5

Apply = Callable[[Node, Sequence[Any], dict[str, Any]], Any]


def to_legacy(model: Any, images: np.ndarray) -> Any:
    """Returns ``model`` as a tf_keras model with layers of the same names and equal weights.

    Args:
        model: a built Functional or Sequential Keras 3 model. It is not changed.
        images: `[N, H, W, C]` float32 on which both are compared.

    Raises:
        GraphError: the model cannot be read.
        ExportError: tf_keras lacks a layer or computes something else; the text names the layer.
    """
    graph = ChannelGraph.from_model(model)
    layers: dict[str, Any] = {}

    def apply(node: Node, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if node.layer not in layers:
            layers[node.layer] = legacy_layer(node)
        return layers[node.layer](*args, **given(kwargs))

    legacy, sources = built(graph, apply), layers_of(model)
    for node in graph.nodes:
        if node.weights and not node.constants:
            layers[node.layer].set_weights(sources[node.layer].get_weights())
    require_same(graph, model, legacy, images)
    return legacy


def built(graph: ChannelGraph, apply: Apply) -> Any:
    """Returns the tf_keras model that ``apply`` makes of the nodes of ``graph``."""
    inputs = []
    for value in graph.inputs:
        config = graph.nodes[value.node].config
        batch, *shape = config["batch_shape"]
        inputs.append(tf_keras().Input(shape, batch, config["name"], config["dtype"]))
    outputs = walk(graph, inputs, apply)
    single = len(inputs) == 1 and len(outputs) == 1
    return tf_keras().Model(inputs[0] if single else inputs, outputs[0] if single else outputs, name=graph.name)


def given(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of a call that were given, without "training": what the layer was built with."""
    return {name: value for name, value in kwargs.items() if value is not None and name != "training"}


def from_legacy(legacy: Any, model: Any) -> Any:
    """Returns a copy of the Keras 3 ``model`` with the weights of ``legacy``, which has layers of the same names."""
    graph = ChannelGraph.from_model(model)
    copy = rebuild(graph, np.ones(graph.num_channels, bool))
    for layer in {node.layer for node in graph.nodes if node.weights and not node.constants}:
        copy.get_layer(layer).set_weights(legacy.get_layer(layer).get_weights())
    return copy


def require_same(graph: ChannelGraph, model: Any, legacy: Any, images: np.ndarray) -> None:
    """Raises unless both models give the same outputs.

    Deep networks amplify the rounding of their first layers. So where the outputs differ by more than `MAX_DIFFERENCE`,
    every layer is compared by itself, on what it reads in ``model``.

    Raises:
        ExportError: they do not; the text names the first layer that computes something else.
    """
    if difference(model(images, training=False), legacy(images, training=False)) <= MAX_DIFFERENCE:
        return
    differ = _differences(graph, model, legacy, images)
    for node in graph.nodes:
        if differ.get(node.name, 0.0) > MAX_DIFFERENCE:
            raise ExportError(
                "Expected tf_keras to compute what Keras 3 computes. Received: a relative difference of "
                f"{differ[node.name]:.2g} (at most {MAX_DIFFERENCE:g}) in layer {node.layer!r} ({node.op}). Replace "
                "the layer, or export with a scheme that needs no training."
            )


def difference(expected: Any, received: Any) -> float:
    """Returns the largest difference of two tensors as a part of the largest value (of 1 where values are smaller)."""
    expected, received = np.asarray(expected, np.float64), np.asarray(received, np.float64)
    if expected.shape != received.shape:
        return float("inf")
    off = float(np.max(np.abs(expected - received)) / max(1.0, float(np.max(np.abs(expected)))))
    return off if np.isfinite(off) else float("inf")


def _differences(graph: ChannelGraph, model: Any, legacy: Any, images: np.ndarray) -> dict[str, float]:
    """How far the layers of ``legacy`` are from those of ``model``, each on what the latter reads, by node."""
    layers = layers_of(model)
    found: dict[str, float] = {}

    def apply(node: Node, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        expected, received = (
            _called(layer, args, kwargs) for layer in (layers[node.layer], legacy.get_layer(node.layer))
        )
        found[node.name] = difference(expected, received)
        return expected

    walk(graph, [images], apply)
    return found


def _called(layer: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    inference = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}
    return layer(*args, **given(kwargs), **inference)
