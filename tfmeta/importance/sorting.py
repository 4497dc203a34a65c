"""Puts the most important channels first, so that a structure, which keeps the first ones, keeps the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmeta.errors import SpaceError
from tfmeta.graph import keras_layer
from tfmeta.graph.calls import Labels
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.reader import layers_of
from tfmeta.graph.rebuild import rebuild


def sort_channels(model: Any, scores: Sequence[np.ndarray]) -> Any:
    """Returns a model that computes what ``model`` computes, with the channels of every group by falling score.

    Pruned to a structure, it equals ``model`` pruned to `Selection.largest` of that structure and these scores.
    Channels that arrays in the model's code are joined to keep their order: the arrays cannot be sorted with them.

    Args:
        model: a built Functional or Sequential model; it is not changed.
        scores: one array `[size]` a searchable group, as a criterion of `tfmeta.importance` gives them; ties keep
            their order.

    Returns:
        A plain Keras model of the same layers. Models inside it are dissolved.

    Raises:
        GraphError: the model cannot be read.
        SpaceError: the scores do not fit the model.
    """
    graph = ChannelGraph.from_model(model)
    order = _order(graph, scores)
    result = rebuild(graph, np.ones(graph.num_channels, bool))
    sources, targets = layers_of(model), layers_of(result)
    for node in {node.layer: node for node in graph.nodes if node.weights and not node.constants}.values():
        named = keras_layer.weights(sources[node.layer]).items()
        for (name, weight), target in zip(named, targets[node.layer].weights, strict=True):
            value = np.asarray(weight)
            for dimension, axis in enumerate(node.weight_axes(name)):
                if axis is not None:
                    value = value.take(_places(graph.axes[axis], order), dimension)
            target.assign(value)
    return result


def _order(graph: ChannelGraph, scores: Sequence[np.ndarray]) -> np.ndarray:
    """`[num_channels]`: the label of the channel that comes to each label's place."""
    sizes = [group.size for group in graph.searchable]
    if [len(score) for score in scores] != sizes:
        raise SpaceError(f"Expected scores of {sizes} channels, received {[len(score) for score in scores]}.")
    joined = (axis for node in graph.nodes if node.constants for axis in node.roles.values())
    fixed = {graph.groups[index].name for axis in joined for index in graph.groups_of_axis(axis)}
    order = np.arange(graph.num_channels)
    for group, score in zip(graph.searchable, scores, strict=True):
        if group.name not in fixed:
            best = np.argsort(-np.asarray(score), kind="stable")
            order[group.offset : group.offset + group.size] = group.offset + best
    return order


def _places(labels: Labels, order: np.ndarray) -> np.ndarray:
    """`[len(labels)]`: the old place of what comes to each place of an axis.

    A label that stands in the axis several times (after a flatten, for example) is followed occurrence by occurrence.
    """
    by_label = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_label], np.arange(len(order)))
    occurrence = np.empty(len(labels), np.int64)
    occurrence[by_label] = np.arange(len(labels)) - starts[labels[by_label]]
    return by_label[starts[order[labels]] + occurrence]
