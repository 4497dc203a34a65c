"""How the loss changes with a factor on every channel: what the criteria that look at data are made of.

A factor g = 1 on channel c after a layer changes the loss by dL/dg = sum over the layer's weights w of c of w * dL/dw.
So the gradients of all weights tell those of all factors, and no activation is looked at. Where channels pass a batch
normalisation its scale and offset are those weights: a factor after it (Molchanov et al.,
https://arxiv.org/abs/1906.10771, found that the best place); else it is the kernel and bias that make the channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmeta.graph import keras_layer
from tfmeta.graph.channel_graph import Node
from tfmeta.importance.question import Question, made_axis
from tfmeta.lazy import keras, tf


class Gates:
    """Gradients of the loss by a factor on every channel of a group, at all its places at once."""

    def __init__(self, question: Question) -> None:
        self._model, self._graph = question.model, question.graph
        self._parts = _parts(question)
        self._weights = [weight for weight, *_ in self._parts]
        last = question.graph.nodes[question.graph.outputs[0].node]
        probabilities = last.op == "Softmax" or last.call.config.get("activation") == "softmax"
        self._loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
        self._gradients = tf.function(self._gradients_of, autograph=False, reduce_retracing=True)

    def _gradients_of(self, images: Any, labels: Any) -> Any:
        values = [weight.value for weight in self._weights]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = self._loss(labels, self._model(images, training=False))
        return [
            tf.zeros_like(value) if gradient is None else gradient * value
            for value, gradient in zip(values, tape.gradient(loss, values), strict=True)
        ]

    def of(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns `[num_channels]`: the gradient by each channel's factor of the mean loss over the images."""
        totals = np.zeros(self._graph.num_channels)
        for (_, places, axis, counts), product in zip(self._parts, self._gradients(images, labels), strict=True):
            rows = np.moveaxis(np.asarray(product, np.float64), axis, 0).reshape(len(places), -1)
            np.add.at(totals, places[counts], rows.sum(1)[counts])
        return totals


def _parts(question: Question) -> list[tuple[Any, np.ndarray, int, np.ndarray]]:
    """(weight, labels of its channels, their dimension, which count) of everything that a factor multiplies."""
    graph = question.graph
    nodes = {node.layer: node for node in graph.nodes if node.layer in question.layers}
    normed = np.zeros(graph.num_channels, bool)
    found: list[tuple[Any, np.ndarray, int, np.ndarray]] = []
    for node in (node for node in nodes.values() if node.op == "BatchNormalization"):
        places = graph.axes[node.roles["in"]]
        for name, weight in keras_layer.weights(question.layers[node.layer]).items():
            if name in ("gamma", "beta"):
                found.append((weight, places, 0, np.ones(len(places), bool)))
                normed[places] = True
    for node in (node for node in nodes.values() if node.rule.weights and node.op != "BatchNormalization"):
        made = _made_by(question, node)
        found += [(weight, places, axis, ~normed[places]) for weight, places, axis in made if not normed[places].all()]
    return found


def _made_by(question: Question, node: Node) -> list[tuple[Any, np.ndarray, int]]:
    parts = []
    for name, weight in keras_layer.weights(question.layers[node.layer]).items():
        axis = 0 if name == "bias" else made_axis(node, name)
        index = None if axis is None else node.weight_axes(name)[axis]
        if axis is not None and index is not None:
            parts.append((weight, question.graph.axes[index], axis))
    return parts
