"""The order in which the channels stand: what a `Structure` keeps."""

from __future__ import annotations

import numpy as np

from tfmeta.importance.question import Question, Scores


def scores(question: Question) -> Scores:
    """Returns scores that fall from the first channel to the last."""
    return [np.linspace(1, 0, group.size, endpoint=False) for group in question.graph.searchable]
