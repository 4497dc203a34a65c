"""Half the squared gradients by a factor on each channel, image by image: an estimate of the loss that it costs.

Theis et al., Faster gaze prediction with dense networks and Fisher pruning, https://arxiv.org/abs/1801.05787; summed
over all places of a channel before squaring as in Group Fisher, https://arxiv.org/abs/2108.00708.
"""

from __future__ import annotations

import numpy as np

from tfmeta.importance.gates import Gates
from tfmeta.importance.question import Question, Scores


def scores(question: Question) -> Scores:
    """Returns half the mean over images of the squared gradient by each channel's factor.

    Raises:
        UserError: there are no images.
    """
    images, labels = question.data("fisher")
    gates = Gates(question)
    squares = [gates.of(images[i : i + 1], labels[i : i + 1]) ** 2 for i in range(len(images))]
    return question.by_group(0.5 * np.mean(squares, axis=0))
