"""Batch normalisation in a PruningNet: batch statistics in training, exact statistics of one structure in evaluation.

Every structure has statistics of its own, so moving averages over training mean nothing here. Before a structure is
judged its statistics are taken over a number of training images: exactly, as the mean and variance of all values that
enter the layer, merged batch by batch (Chan, Golub, LeVeque, 1983). An exponential average that starts at (0, 1) would
leave 35 % of its start value in after 10 batches; this leaves none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmeta.graph.channel_graph import Node
from tfmeta.lazy import tf

# Layer name to (mean, variance), each [C].
Statistics = Mapping[str, tuple[Any, Any]]


def batch_normalise(node: Node, inputs: Any, weights: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Normalises with the statistics of the batch itself.

    Returns:
        The normalised inputs, and mean and (biased) variance of the batch, each `[C]`.
    """
    images = inputs if inputs.shape.rank == 4 else tf.reshape(inputs, [-1, 1, 1, tf.shape(inputs)[-1]])
    ones = tf.ones([tf.shape(inputs)[-1]], tf.float32)
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=weights.get("gamma", ones),
        offset=weights.get("beta", tf.zeros_like(ones)),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=node.call.config["epsilon"],
        is_training=True,
    )
    count = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), tf.float32)
    outputs = outputs if inputs.shape.rank == 4 else tf.reshape(outputs, tf.shape(inputs))
    return outputs, mean, unbiased * (count - 1) / count


def pooled(parts: Sequence[tuple[Any, Any, Any]]) -> tuple[Any, Any]:
    """Returns mean and variance, `[C]` each, over all calls of one layer.

    Args:
        parts: number of values a channel, mean and variance of each call.
    """
    if len(parts) == 1:
        return parts[0][1:]
    total = tf.add_n([count for count, *_ in parts])
    mean = tf.add_n([count * mean for count, mean, _ in parts]) / total
    return mean, tf.add_n([count * (variance + (own - mean) ** 2) for count, own, variance in parts]) / total


class Accumulator:
    """Merges the statistics of batches into those of all images together."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: dict[str, np.ndarray] = {}
        self._squares: dict[str, np.ndarray] = {}

    def add(self, images: int, batch: Statistics) -> None:
        """Adds a batch of ``images`` images with the given statistics a layer."""
        total = self._count + images
        for layer, (mean, variance) in batch.items():
            # Every image brings equally many values to a layer, so images can stand for values.
            mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
            delta = mean - self._mean.get(layer, 0.0)
            self._mean[layer] = self._mean.get(layer, 0.0) + delta * images / total
            between = delta**2 * self._count * images / total
            self._squares[layer] = self._squares.get(layer, 0.0) + variance * images + between
        self._count = total

    def statistics(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns layer name to mean and variance over all images, float32 `[C]` each."""
        return {
            layer: (mean.astype(np.float32), (self._squares[layer] / self._count).astype(np.float32))
            for layer, mean in self._mean.items()
        }


def scale_and_offset(node: Node, weights: Mapping[str, Any], statistics: tuple[Any, Any]) -> tuple[Any, Any]:
    """Returns the normalisation as ``x * scale + offset``, each `[C]`."""
    mean, variance = statistics
    scale = tf.math.rsqrt(tf.convert_to_tensor(variance) + node.call.config["epsilon"])
    scale = scale * weights["gamma"] if "gamma" in weights else scale
    offset = -mean * scale
    return scale, offset + weights["beta"] if "beta" in weights else offset
