"""The only walk over a channel graph that makes models out of it.

`walk` runs the graph on any kind of tensors, asking for each node what it becomes. `rebuild` runs it on Keras' symbolic
tensors and so gives a plain Functional model. The PruningNet runs the same walk on real images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfmeta.graph.channel_graph import CONSTANT, ChannelGraph, Node, Value
from tfmeta.lazy import keras

# What a node does: positional and keyword arguments (with tensors in place) to the output tensor, or a list of them.
Apply = Callable[[Node, Sequence[Any], dict[str, Any]], Any]


def walk(
    graph: ChannelGraph,
    inputs: Sequence[Any],
    apply: Apply,
    constant: Callable[[Node], Any] = lambda node: node.constants[0],
    arguments: Callable[[Node], tuple[Any, Any]] = lambda node: node.arguments,
) -> list[Any]:
    """Runs the graph node by node and returns its output tensors.

    Args:
        graph: the channel graph.
        inputs: one tensor an input of the graph.
        apply: called for every node but inputs and constants; returns the node's output tensor, or all of several.
        constant: gives the tensor of a node that is a constant.
        arguments: gives the arguments of a node, with a `Value` in place of each tensor.
    """
    values: dict[Value, Any] = dict(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        if node.op == CONSTANT:
            values[Value(node.index)] = constant(node)
        elif not node.is_source:
            args, kwargs = arguments(node)
            outputs = apply(node, filled(args, values), filled(kwargs, values))
            several = outputs if isinstance(outputs, list | tuple) else [outputs]
            values |= {Value(node.index, place): output for place, output in enumerate(several)}
    return [values[value] for value in graph.outputs]


def filled(arguments: Any, values: Mapping[Value, Any]) -> Any:
    """Returns arguments with tensors in place of `Value`s."""
    if isinstance(arguments, Value):
        return values[arguments]
    if isinstance(arguments, list | tuple):
        items = [filled(item, values) for item in arguments]
        return items if isinstance(arguments, list) else tuple(items)
    if isinstance(arguments, dict):
        return {key: filled(item, values) for key, item in arguments.items()}
    return arguments


def mapped(template: Any, arguments: Any, change: Callable[[Value, Any], Any]) -> Any:
    """Returns a call's arguments with every tensor changed; ``template`` has `Value`s in their places."""
    if isinstance(template, Value):
        return change(template, arguments)
    if isinstance(template, list | tuple):
        items = [mapped(*pair, change) for pair in zip(template, arguments, strict=True)]
        return items if isinstance(template, list) else tuple(items)
    if isinstance(template, dict):
        return {key: mapped(item, arguments[key], change) for key, item in template.items()}
    return arguments


def rebuild(graph: ChannelGraph, mask: np.ndarray, name: str | None = None) -> Any:
    """Returns a plain Functional Keras model with only the kept channels, freshly initialised.

    Args:
        graph: the channel graph.
        mask: `[num_channels]` bool, the kept channels (`ChannelGraph.kept`).
        name: name of the new model; the graph's name by default.

    Returns:
        A `keras.Model` of the original's kinds of layers, with their names. Models inside it are dissolved.
    """
    layers: dict[str, Any] = {}

    def apply(node: Node, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if node.layer not in layers:
            changed = node.rule.follow(node.call, graph.cut(node, mask)) if node.rule.follow else {}
            layers[node.layer] = node.make({**node.config, **changed})
        return layers[node.layer](*args, **kwargs)

    def constant(node: Node) -> np.ndarray:
        return node.constants[0].take(graph.kept_of(Value(node.index), mask).places, node.channel_axes[0])

    def arguments(node: Node) -> tuple[Any, Any]:
        return node.rule.arguments(node.call, graph.cut(node, mask)) if node.rule.arguments else node.arguments

    sources = {value: graph.nodes[value.node] for value in graph.inputs}
    tensors = {value: node.make(dict(node.config)).output for value, node in sources.items()}
    outputs = walk(graph, list(tensors.values()), apply, constant, arguments)
    for node in graph.nodes:
        set_constants(node, layers.get(node.layer))
    tensors |= dict(zip(graph.outputs, outputs, strict=True))
    takes, gives = (filled(form, tensors) for form in graph.forms)
    return keras.Model(takes, gives, name=name or graph.name)


def set_constants(node: Node, layer: Any) -> None:
    """Gives the built layer of ``node`` the constants of the original one."""
    if node.constants and not node.is_source:
        layer.load_own_variables({str(index): value for index, value in enumerate(node.constants)})
