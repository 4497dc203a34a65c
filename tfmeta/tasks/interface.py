"""What a task is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """How good the answers of a network are, and what that is called.

    Attributes:
        name: the name in `tfmeta.tasks.TASKS`.
        label_axes: axes of one label: 0 for a class an image, 2 for a map.
        metric: what people call the number, within a sentence ("accuracy").
        unit: the same in the shortest form ("top-1").
        definition: what exactly it is.
        about: of a network, for people, with "{classes}" for their number.
        binomial: whether it is a mean over independent answers, whose margin of chance is known from their number.
        count: (labels, answers of the same shape, number of classes) → counts of one batch, which add up.
        value: the sum of the counts of all batches → the metric, 0 to 1, more is better.
        while_training: number of classes → a Keras metric to show in training.
    """

    name: str
    label_axes: int
    metric: str
    unit: str
    definition: str
    about: str
    binomial: bool
    count: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    value: Callable[[np.ndarray], float]
    while_training: Callable[[int], Any]

    @property
    def title(self) -> str:
        """The metric at the beginning of a sentence or column."""
        return self.metric[:1].upper() + self.metric[1:]
