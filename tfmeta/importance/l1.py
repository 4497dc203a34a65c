"""Sums of absolute weights (Li et al., Pruning Filters for Efficient ConvNets, https://arxiv.org/abs/1608.08710)."""

from __future__ import annotations

import numpy as np

from tfmeta.importance.question import Question, Scores


def scores(question: Question) -> Scores:
    """Returns, over the layers of each group, sums of the absolute weights of every channel's filters."""
    return question.by_group(question.over_filters(lambda filters: np.abs(filters).sum(1)))
