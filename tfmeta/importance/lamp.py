"""Squared norms as a share of those that are at least as large, which can be compared between layers.

Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning, https://arxiv.org/abs/2010.07611, here for whole
channels of a group instead of single weights.
"""

from __future__ import annotations

import numpy as np

from tfmeta.importance.question import Question, Scores


def _shares(squares: np.ndarray) -> np.ndarray:
    order = np.argsort(squares, kind="stable")
    ahead = np.cumsum(squares[order][::-1])[::-1]  # of this and all larger ones
    shares = np.empty_like(squares)
    shares[order] = squares[order] / np.maximum(ahead, 1e-12)
    return shares


def scores(question: Question) -> Scores:
    """Returns every channel's share in the squared norms of itself and of the larger channels of its group."""
    squares = question.by_group(question.over_filters(lambda filters: (filters**2).sum(1)))
    return [_shares(group) for group in squares]
