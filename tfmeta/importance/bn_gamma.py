"""Absolute scales of batch normalisation (Liu et al., Network Slimming, https://arxiv.org/abs/1708.06519).

Groups without one, as in squeeze-and-excite blocks and with scale=False, cannot be scored: no other number is of the
same kind.
"""

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
    without = [group.name for group in graph.searchable if not counts[group.offset]]
    if without:
        raise UserError(
            "The criterion 'bn_gamma' needs a batch normalisation with a scale behind every group of channels, and "
            f"{len(without)} of {len(graph.searchable)} have none, first {without[0]!r}. Take one of l1, l2, fpgm, "
            "lamp, taylor, fisher."
        )
    return question.by_group(totals / np.maximum(counts, 1))
