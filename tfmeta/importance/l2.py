"""Euclidean norms of filters (He et al., Soft Filter Pruning, https://arxiv.org/abs/1808.06866)."""

from __future__ import annotations

import numpy as np

from tfmeta.importance.question import Question, Scores


def scores(question: Question) -> Scores:
    """Returns, over the layers of each group, means of the norms of every channel's filters."""
    return question.by_group(question.over_filters(lambda filters: np.linalg.norm(filters, axis=1)))
