"""The only walk over a channel graph that makes models out of it.

`walk` runs the graph on any kind of tensors, asking for each node what it becomes. `rebuild` runs it on Keras' symbolic
tensors and so gives a plain Functional model. The PruningNet runs the same walk on real images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfmeta.graph.channel_graph import INPUT, ChannelGraph, Node, Value
from tfmeta.lazy import keras

# What a node does: positional and keyword arguments (with tensors in place) to the output tensor.
Apply = Callable[[Node, Sequence[Any], dict[str, Any]], Any]


def walk(graph: ChannelGraph, inputs: Sequence[Any], apply: Apply) -> list[Any]:
    """Runs the graph node by node and returns its output tensors.

    Args:
        graph: the channel graph.
        inputs: one tensor an input of the graph.
        apply: called for every node but the inputs; returns the node's output tensor.
    """
    values: dict[Value, Any] = dict(zip(graph.inputs, inputs, strict=True))
    for index, node in enumerate(graph.nodes):
        if node.op != INPUT:
            args, kwargs = node.arguments
            values[Value(index)] = apply(node, _filled(args, values), _filled(kwargs, values))
    return [values[value] for value in graph.outputs]


def _filled(arguments: Any, values: dict[Value, Any]) -> Any:
    if isinstance(arguments, Value):
        return values[arguments]
    if isinstance(arguments, list):
        return [_filled(item, values) for item in arguments]
    if isinstance(arguments, dict):
        return {key: _filled(item, values) for key, item in arguments.items()}
    return arguments


def rebuild(graph: ChannelGraph, mask: np.ndarray, name: str | None = None) -> Any:
    """Returns a plain Functional Keras model with only the kept channels, freshly initialised.

    Args:
        graph: the channel graph.
        mask: `[num_channels]` bool, the kept channels (`ChannelGraph.kept`).
        name: name of the new model; the graph's name by default.

    Returns:
        A `keras.Model` of standard layers with the names of the original ones.
    """
    layers: dict[str, Any] = {}

    def apply(node: Node, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if node.layer not in layers:
            layers[node.layer] = keras.layers.deserialize(_resized(graph, node, mask))
        return layers[node.layer](*args, **kwargs)

    inputs = [keras.layers.deserialize(dict(graph.nodes[value.node].spec)).output for value in graph.inputs]
    outputs = walk(graph, inputs, apply)
    for node in graph.nodes:
        set_constants(node, layers.get(node.layer))
    single = len(inputs) == 1 and len(outputs) == 1
    return keras.Model(inputs[0] if single else inputs, outputs[0] if single else outputs, name=name or graph.name)


def set_constants(node: Node, layer: Any) -> None:
    """Gives the built layer of ``node`` the constants of the original one."""
    if node.constants:
        layer.load_own_variables({str(index): value for index, value in enumerate(node.constants)})


def _resized(graph: ChannelGraph, node: Node, mask: np.ndarray) -> dict[str, Any]:
    """The serialised layer with the config fields that depend on the widths replaced."""
    counts = {role: int(mask[graph.axes[axis]].sum()) for role, axis in node.roles.items()}
    config = {**node.spec["config"], **node.rule.resize(node.spec["config"], counts)}
    return {**node.spec, "config": config}
