"""First-order change of the loss when a channel goes (Molchanov et al., https://arxiv.org/abs/1906.10771)."""

from __future__ import annotations

import numpy as np

from tfmeta.importance.gates import Gates
from tfmeta.importance.question import Question, Scores

BATCH = 32


def scores(question: Question) -> Scores:
    """Returns squared gradients by a factor on each channel, averaged over batches of images.

    Raises:
        UserError: there are no images.
    """
    images, labels = question.data("taylor")
    gates = Gates(question)
    starts = range(0, len(images), BATCH)
    squares = [gates.of(images[start : start + BATCH], labels[start : start + BATCH]) ** 2 for start in starts]
    return question.by_group(np.mean(squares, axis=0))
