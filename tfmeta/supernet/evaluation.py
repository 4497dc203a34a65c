"""Judges one structure of a PruningNet: takes its batch-norm statistics, then scores its answers.

The weights are generated once a structure. After the statistics are known, each normalisation is folded into the
convolution before it, so the images that count run through a network without batch normalisation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tfmeta import tasks
from tfmeta.graph.channel_graph import Node
from tfmeta.graph.keras_layer import weights as weights_of
from tfmeta.graph.reader import layers_of
from tfmeta.graph.rebuild import rebuild
from tfmeta.graph.structure import Structure
from tfmeta.lazy import tf
from tfmeta.supernet.batch_norm import Accumulator, Statistics, batch_normalise, pooled, scale_and_offset
from tfmeta.supernet.layer_functions import LAST_KERNELS, is_linear
from tfmeta.supernet.pruning_net import PruningNet, Weights


class Evaluator:
    """Evaluates structures of one PruningNet through three compiled functions that serve every structure."""

    def __init__(self, net: PruningNet) -> None:
        self._net = net
        self._normalisations = [node for node in net.graph.nodes if node.op == "BatchNormalization"]
        self._folds = _folds(net)
        self._ops = {node.layer: node.op for node in net.graph.nodes}
        self._generate = _compiled(net.weights_for, tf.TensorSpec([len(net.space.sizes)], tf.int32))
        shapes = self._generate.get_concrete_function().structured_outputs
        weights = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), shapes)
        images = tf.TensorSpec([None, *net.graph.input_shape], tf.float32)
        self._batch_statistics = _compiled(self._statistics_of, images, weights)
        folded = {
            layer: {**weights[layer], "bias": tf.TensorSpec([None], tf.float32)} for layer in self._folds.values()
        }
        offsets = {
            node.layer: {name: tf.TensorSpec([None], tf.float32) for name in ("scale", "offset")}
            for node in self._normalisations
            if node.layer not in self._folds
        }
        self._outputs = _compiled(self._outputs_of, images, {**weights, **folded, **offsets})

    def accuracy(self, structure: Structure, calibration: Iterable[Any], batches: Iterable[tuple[Any, Any]]) -> float:
        """Returns how good a structure is, 0 to 1, by the metric of the task that the labels are of.

        Args:
            structure: the structure to judge.
            calibration: batches of training images `[B, H, W, C]` for the statistics.
            batches: batches of (images, labels) to judge on.
        """
        network = self.network(structure, calibration)
        return tasks.score((labels, network(images)) for images, labels in batches)

    def network(self, structure: Structure, calibration: Iterable[Any]) -> Callable[[Any], Any]:
        """Returns a structure with exact statistics as a function: images `[B, H, W, C]` to outputs."""
        weights = self._generate(self._net.widths(structure))
        folded = self._fold(weights, self._statistics(weights, calibration))
        return lambda images: self._outputs(images, folded)

    def statistics(self, structure: Structure, calibration: Iterable[Any]) -> Statistics:
        """Returns the exact batch-norm statistics of a structure: layer name to (mean, variance)."""
        return self._statistics(self._generate(self._net.widths(structure)), calibration)

    def plain_model(self, structure: Structure, calibration: Iterable[Any]) -> Any:
        """Returns a plain Keras model of a structure with its generated weights and recalibrated statistics."""
        graph = self._net.graph
        model = rebuild(graph, graph.kept(structure))
        weights = self._generate(self._net.widths(structure))
        statistics = self._statistics(weights, calibration)
        layers, mask = layers_of(model), graph.kept(structure)
        whole = self._net.full_width_layers()
        for node in graph.nodes:
            known = dict(weights.get(node.layer, {}))
            if node.op == "BatchNormalization":
                known["moving_mean"], known["moving_variance"] = statistics[node.layer]
            if node.layer in whole:
                full = weights_of(whole[node.layer])
                known = {name: graph.cropped(node, name, np.asarray(weight), mask) for name, weight in full.items()}
            for name, weight in weights_of(layers[node.layer]).items() if known else ():
                if name in known:  # a net without affine normalisation leaves Keras' ones and zeros
                    weight.assign(known[name])
        return model

    def _statistics(self, weights: Weights, calibration: Iterable[Any]) -> Statistics:
        merged = Accumulator()
        for images in calibration:
            merged.add(len(images), self._batch_statistics(images, weights))
        return merged.statistics()

    def _statistics_of(self, images: Any, weights: Weights) -> Statistics:
        found: dict[str, list[Any]] = {}

        def normalise(node: Node, inputs: Any, own: Any) -> Any:
            outputs, mean, variance = batch_normalise(node, inputs, own)
            count = tf.cast(tf.size(inputs) // tf.size(mean), tf.float32)
            found.setdefault(node.layer, []).append((count, mean, variance))
            return outputs

        self._net.forward(images, weights, normalise)
        return {layer: pooled(parts) for layer, parts in found.items()}

    def _fold(self, weights: Weights, statistics: Statistics) -> Weights:
        folded = dict(weights)
        for node in self._normalisations:
            scale, offset = scale_and_offset(node, weights[node.layer], statistics[node.layer])
            linear = self._folds.get(node.layer)
            if linear is None:
                folded[node.layer] = {"scale": scale, "offset": offset}
                continue
            name = LAST_KERNELS[self._ops[linear]]
            kernel = weights[linear][name]
            # The last axes of a kernel hold the output channels: one for a convolution, two for a depthwise one.
            shaped = tf.reshape(scale, [-1, kernel.shape[-1] or 1]) if self._ops[linear] == "DepthwiseConv2D" else scale
            bias = weights[linear].get("bias", tf.zeros_like(scale)) * scale + offset
            folded[linear] = {**weights[linear], name: kernel * shaped, "bias": bias}
        return folded

    def _outputs_of(self, images: Any, weights: Weights) -> Any:
        def normalise(node: Node, inputs: Any, own: Any) -> Any:
            if node.layer in self._folds:
                return inputs
            return tf.cast(tf.cast(inputs, tf.float32) * own["scale"] + own["offset"], inputs.dtype)

        return self._net.forward(images, weights, normalise)


def _compiled(function: Callable[..., Any], *signature: Any) -> Any:
    # A partial counts as a function of its own; of one method TensorFlow would say that it is traced too often, where
    # one process judges several nets.
    return tf.function(functools.partial(function), input_signature=signature, autograph=False)


def _folds(net: PruningNet) -> dict[str, str]:
    """Normalisation layer → the linear layer whose only reader it is."""
    nodes = net.graph.nodes
    readers: dict[int, int] = {}
    calls: dict[str, int] = {}
    for node in nodes:
        calls[node.layer] = calls.get(node.layer, 0) + 1
        for value in node.inputs:
            readers[value.node] = readers.get(value.node, 0) + 1
    outputs = {value.node for value in net.graph.outputs}
    found = {}
    for node in nodes:
        if node.op != "BatchNormalization" or calls[node.layer] > 1:
            continue
        source = node.inputs[0].node
        alone = readers[source] == 1 and source not in outputs and calls[nodes[source].layer] == 1
        if alone and is_linear(nodes[source]):
            found[node.layer] = nodes[source].layer
    return found
