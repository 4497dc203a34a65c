"""How the loss changes with a factor on every channel: what the criteria that look at data are made of.

A pruned model is the original with a factor 0 on the dropped channels wherever a kernel reads them, so factors of 1
stand in these places: behind all batch normalisations, activations and joins (Molchanov et al.,
https://arxiv.org/abs/1906.10771, found the place behind the batch normalisation best). A channel has one factor in all
of its places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmeta.graph import flows
from tfmeta.graph.answers import gives_probabilities
from tfmeta.graph.channel_graph import Node, Value
from tfmeta.graph.rebuild import mapped, walk
from tfmeta.importance.question import Question
from tfmeta.lazy import keras, tf


class Gates:
    """Gradients of the loss by a factor on every channel, at all places where it is read."""

    def __init__(self, question: Question) -> None:
        self._model, self._graph = question.model, question.graph
        own = {node.layer: node for node in question.graph.nodes if not node.is_source}
        # What is no layer has no weights, so another one is as good.
        self._layers = {name: question.layers.get(name) or node.make(dict(node.config)) for name, node in own.items()}
        self._loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not gives_probabilities(question.graph))
        self._gradients = tf.function(self._gradients_of, autograph=False, reduce_retracing=True)

    def of(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns `[num_channels]`: the gradient by each channel's factor of the mean loss over the images."""
        return np.asarray(self._gradients(images, labels), np.float64)

    def _gradients_of(self, images: Any, labels: Any) -> Any:
        factors = tf.ones(self._graph.num_channels, tf.float64)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(factors)
            loss = self._loss(labels, self._outputs(images, factors))
        return tf.convert_to_tensor(tape.gradient(loss, factors, unconnected_gradients="zero"))

    def _outputs(self, images: Any, factors: Any) -> Any:
        def gated(value: Value, tensor: Any) -> Any:
            source = self._graph.nodes[value.node]
            labels = self._graph.axes[source.roles[source.outputs[value.output]]]
            shape = [1] * len(tensor.shape)
            shape[1 + source.channel_axes[value.output]] = len(labels)
            return tensor * tf.cast(tf.reshape(tf.gather(factors, labels), shape), tensor.dtype)

        def apply(node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            if _ends_channels(node):
                args, kwargs = (mapped(*pair, gated) for pair in zip(node.arguments, (args, kwargs), strict=True))
            if "training" in kwargs:
                kwargs = {**kwargs, "training": False}
            return self._layers[node.layer](*args, **kwargs)

        return walk(self._graph, [tf.cast(images, self._model.inputs[0].dtype)], apply)[0]


def _ends_channels(node: Node) -> bool:
    """Whether a layer makes others of the channels it reads, and not one or some of each."""
    joins = any(len(roles) > 1 for roles in node.rule.weights.values())
    each = node.rule.flow is flows.depthwise or (
        node.rule.flow is flows.convolution and "in_per_group" not in node.roles
    )
    return joins and not each
