"""Sums of absolute weights (Li et al., Pruning Filters for Efficient ConvNets, https://arxiv.org/abs/1608.08710)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.importance.question import Question, Scores


def l1_scores(graph: ChannelGraph, model: Any) -> Scores:
    """Returns how large each channel's filters are: one array `[size]` a searchable group, for `Selection.largest`.

    The score of a channel is the sum of the absolute kernel weights that make or filter it, scaled to a mean of 1 in
    every layer, and averaged over the layers of its group.
    """
    return scores(Question(model, graph, np.random.default_rng(0)))  # nothing is drawn


def scores(question: Question) -> Scores:
    """Returns, over the layers of each group, means of the sums of the absolute weights of every channel's filters."""
    return question.by_group(question.over_filters(lambda filters: np.abs(filters).sum(1)))
