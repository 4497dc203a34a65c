"""A class for each pixel; judged by the mean intersection over union of the classes.

All pixels of a split together make one confusion matrix `n[i, j]`, pixels of class i that were given class j. The
intersection over union of class i is `n[i, i] / (sum_j n[i, j] + sum_j n[j, i] - n[i, i])`, and the metric is the mean
of it over the classes that occur in labels or answers: "mean IU" of Long, Shelhamer, Darrell 2015
(https://arxiv.org/abs/1411.4038, section 5), and what `keras.metrics.MeanIoU` computes. The background is a class.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmeta.lazy import keras
from tfmeta.tasks.interface import Task


def _confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Returns pixels `[classes, classes]` by label and answer."""
    pairs = labels.reshape(-1).astype(np.int64) * classes + answers.reshape(-1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _mean_iou(confusion: np.ndarray) -> float:
    right = np.diagonal(confusion)
    union = confusion.sum(0) + confusion.sum(1) - right
    occurs = union > 0
    return float(np.mean(right[occurs] / union[occurs]))


def _while_training(classes: int) -> Any:
    return keras.metrics.MeanIoU(classes, sparse_y_pred=False, name="mean_iou")


SEGMENTATION = Task(
    name="segmentation",
    label_axes=2,
    metric="mean IoU",
    unit="mean IoU",
    definition="intersection over union, mean over the classes that occur",
    about="An image segmenter of {classes} classes",
    binomial=False,
    count=_confusion,
    value=_mean_iou,
    while_training=_while_training,
)
