"""Distances of filters to all others: one near the geometric median can be replaced by the others.

He et al., Filter Pruning via Geometric Median, https://arxiv.org/abs/1811.00250.
"""

from __future__ import annotations

import numpy as np

from tfmeta.importance.question import Question, Scores


def _distances(filters: np.ndarray) -> np.ndarray:
    squares = (filters**2).sum(1)
    between = squares[:, None] + squares - 2 * filters @ filters.T
    return np.sqrt(np.maximum(between, 0)).sum(1)


def scores(question: Question) -> Scores:
    """Returns, over the layers of each group, means of every filter's distance from the others of its layer."""
    return question.by_group(question.over_filters(_distances))
