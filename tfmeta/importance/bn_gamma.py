"""Absolute scales of batch normalisation (Liu et al., Network Slimming, https://arxiv.org/abs/1708.06519)."""

from __future__ import annotations

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph import keras_layer
from tfmeta.importance.question import Question, Scores


def scores(question: Question) -> Scores:
    """Returns, over the batch normalisations of each group, the mean of their absolute scales.

    Raises:
        UserError: a group has none.
    """
    graph = question.graph
    totals, counts = np.zeros(graph.num_channels), np.zeros(graph.num_channels)
    for node in {node.layer: node for node in graph.nodes if node.op == "BatchNormalization"}.values():
        gamma = keras_layer.weights(question.layers[node.layer]).get("gamma")
        if gamma is not None:
            places = graph.axes[node.roles["in"]]
            np.add.at(totals, places, np.abs(np.asarray(gamma, np.float64)))
            np.add.at(counts, places, 1)
    for group in graph.searchable:
        if not counts[group.offset]:
            raise UserError(
                f"The criterion 'bn_gamma' needs a batch normalisation with a scale behind every group of channels, "
                f"and {group.name!r} has none. Take l1 or l2."
            )
    return question.by_group(totals / np.maximum(counts, 1))
