"""Tasks: what a network's answers mean, and how good they are. To add one: a file and a line here.

A task is known from the shape of a label: one class an image, or a map with a class for each pixel. Outputs have the
shape of a label and, as their last axis, a score for each class; the answer is the class with the highest. The loss
(cross-entropy, also from a teacher), the agreement of two networks and the answers themselves follow from that for
every task alike. What differs is how answers make a number, and what that number is called.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfmeta.errors import UserError
from tfmeta.registry import resolve
from tfmeta.tasks.interface import Task

__all__ = ["TASKS", "Task", "at_a_time", "of", "score"]

_IMAGES, _PIXELS = 250, 2**20

TASKS = {
    "classification": "tfmeta.tasks.classification:CLASSIFICATION",
    "segmentation": "tfmeta.tasks.segmentation:SEGMENTATION",
}


def of(label_shape: Sequence[int | None]) -> Task:
    """Returns the task of labels of this shape: () is a class an image, (H, W) a class for each pixel.

    Raises:
        UserError: there is none.
    """
    tasks: list[Task] = [resolve(TASKS, name, "task") for name in TASKS]
    for task in tasks:
        if task.label_axes == len(label_shape):
            return task
    known = ", ".join(f"{task.label_axes} ({task.name})" for task in tasks)
    raise UserError(f"Expected labels with as many axes as one of: {known}. Received: {list(label_shape)}.")


def at_a_time(image_shape: Sequence[int], label_shape: Sequence[int] = ()) -> int:
    """Returns how many images to judge at once, at most 250: fewer where each, or its map of answers, is large.

    Args:
        image_shape: (H, W) or (H, W, C) of the images.
        label_shape: (H, W) of the maps; () where there are none.
    """
    return max(1, min(_IMAGES, _PIXELS // max(math.prod(image_shape[:2]), math.prod(label_shape))))


def score(batches: Iterable[tuple[Any, Any]]) -> float:
    """Returns the metric of the task, 0 to 1, over all batches together.

    Args:
        batches: (labels `[B, ...]` of integers, outputs `[B, ..., classes]`), with the same axes between; one at least.

    Raises:
        UserError: labels and outputs do not go together.
    """
    task, counts = None, np.zeros((), np.int64)
    for labels, outputs in batches:
        labels, outputs = np.asarray(labels), np.asarray(outputs)
        if labels.shape != outputs.shape[:-1]:
            raise UserError(
                f"Expected outputs of shape {[*labels.shape, 'classes']} for labels {list(labels.shape)}. "
                f"Received: {list(outputs.shape)}."
            )
        task = task or of(labels.shape[1:])
        counts = counts + task.count(labels, np.argmax(outputs, -1), outputs.shape[-1])
    if task is None:
        raise UserError("Expected labels and outputs to judge. Received: none.")
    return task.value(counts)
