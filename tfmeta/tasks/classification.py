"""A class an image; judged by the share of right top answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmeta.lazy import keras
from tfmeta.tasks.interface import Task


def _count(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Returns (right answers, all answers)."""
    return np.array([np.sum(labels == answers), labels.size], np.int64)


def _accuracy(counts: np.ndarray) -> float:
    return float(counts[0] / counts[1])


def _while_training(classes: int) -> Any:
    return keras.metrics.SparseCategoricalAccuracy(name="accuracy")


CLASSIFICATION = Task(
    name="classification",
    label_axes=0,
    metric="accuracy",
    unit="top-1",
    definition="top-1",
    about="An image classifier of {classes} classes",
    binomial=True,
    count=_count,
    value=_accuracy,
    while_training=_while_training,
)
