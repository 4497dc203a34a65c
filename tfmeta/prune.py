"""Removes channels from a Keras model for real: a smaller plain model with the weights of the kept channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmeta.errors import GraphError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.keras_layer import weights as weights_of
from tfmeta.graph.reader import layers_of
from tfmeta.graph.rebuild import rebuild
from tfmeta.graph.structure import Selection, Structure


def prune(model: Any, choice: Structure | Selection) -> Any:
    """Returns a plain Keras model that has only the chosen channels of ``model``, with their weights.

    It equals the original with the dropped channels zeroed where they are read. It holds standard layers only, so it
    saves, loads and converts without tfmeta.

    Args:
        model: a built Functional or Sequential model; it is not changed.
        choice: a `Structure` keeps the first channels of every group, a `Selection` keeps the channels it names.

    Raises:
        GraphError: the model cannot be read, or a layer's rule does not fit its weights.
        SpaceError: the choice does not fit the model.
    """
    graph = ChannelGraph.from_model(model)
    small = rebuild(graph, graph.kept(choice))
    copy_weights(graph, model, small, choice)
    return small


def copy_weights(graph: ChannelGraph, source: Any, target: Any, choice: Structure | Selection) -> None:
    """Copies the kept part of every weight of ``source`` into ``target``, the rebuilt model of ``choice``."""
    mask = graph.kept(choice)
    sources, targets = layers_of(source), layers_of(target)
    done: set[str] = set()
    for node in graph.nodes:
        if node.layer in done or not node.weights or node.constants:
            continue
        done.add(node.layer)
        new = targets[node.layer].weights
        for (name, old), weight in zip(weights_of(sources[node.layer]).items(), new, strict=True):
            value = graph.cropped(node, name, np.asarray(old), mask)
            if value.shape != tuple(weight.shape):
                raise GraphError(
                    f"Of the weight {name!r} of layer {node.layer!r} ({node.op}) its rule keeps the shape "
                    f"{value.shape}, and the smaller layer has {tuple(weight.shape)}. Expected a rule whose weights "
                    f"give this name a role for each axis of channels. It has: {dict(node.rule.weights)}."
                )
            weight.assign(value)


def source_kernel(model: Any, layer: str) -> Any:
    """Returns the kernel of a layer of ``model``."""
    return next(weight for weight in layers_of(model)[layer].weights if weight.name == "kernel")
