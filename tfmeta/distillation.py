"""Distillation: a large network's answers as part of a small one's loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfmeta.lazy import tf


@dataclass(frozen=True)
class Distillation:
    """A teacher whose answers are part of the loss (Hinton et al., https://arxiv.org/abs/1503.02531).

    Attributes:
        teacher: images `[B, H, W, C]` to logits `[B, classes]`, or `[B, H, W, classes]` for each pixel.
        weight: share of the loss that follows the teacher.
        temperature: divides both logits before they are compared.
    """

    teacher: Callable[[Any], Any]
    weight: float
    temperature: float

    def loss(self, images: Any, logits: Any, hard_loss: Any) -> Any:
        """Returns the mixture of the loss on labels and the divergence from the teacher."""
        target = tf.stop_gradient(tf.nn.softmax(self.teacher(images) / self.temperature))
        soft = tf.nn.softmax_cross_entropy_with_logits(target, logits / self.temperature)
        # The gradient of the soft part shrinks with the square of the temperature.
        return (1 - self.weight) * hard_loss + self.weight * self.temperature**2 * tf.reduce_mean(soft)
