"""Layers whose kernels a small network generates from the widths (MetaPruning, https://arxiv.org/abs/1903.10258).

Each layer has its own generator: relative widths → `hidden` ReLU units → the full kernel, which is then cropped to the
active channels. Biases, batch-norm scales and offsets, and kernels without an encoding are ordinary shared weights that
are cropped in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tfmeta.errors import GraphError
from tfmeta.graph import keras_layer
from tfmeta.graph.channel_graph import Node, is_kernel
from tfmeta.lazy import keras, tf
from tfmeta.supernet.crops import Cropper

Weights = dict[str, Any]


class KernelGenerator(keras.layers.Layer):
    """A two-layer network from an encoding of the widths to a kernel of full width.

    Args:
        shape: shape of the kernel.
        encoding: index into the searchable groups of each width it sees.
        sizes: full width of each of these groups.
        hidden: number of hidden units.
        initial: initial value of the generated kernel, in the mean over structures.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        encoding: tuple[int, ...],
        sizes: tuple[int, ...],
        hidden: int,
        initial: Any,
        name: str,
    ) -> None:
        super().__init__(name=name, dtype="float32")  # in mixed precision too: the kernel is rounded, not its making
        self._shape, self._encoding, self._sizes = shape, encoding, sizes
        self.hidden_kernel = self.add_weight(
            shape=(len(encoding), hidden), initializer=_uniform(len(encoding)), name="hidden_kernel"
        )
        self.hidden_bias = self.add_weight(shape=(hidden,), initializer=_uniform(len(encoding)), name="hidden_bias")
        # Deviation from the paper, which draws all weights from U(±1/sqrt(fan_in)) and relies on batch norm to fix the
        # scale: the bias starts as an ordinary kernel, the rest varies it. So nets without batch norm train too.
        scale = float(tf.math.reduce_std(initial)) / math.sqrt(hidden)
        spread = keras.initializers.RandomNormal(stddev=scale)
        self.output_kernel = self.add_weight(shape=(hidden, math.prod(shape)), initializer=spread, name="output_kernel")
        self.output_bias = self.add_weight(shape=(math.prod(shape),), initializer="zeros", name="output_bias")
        self.output_bias.assign(tf.reshape(initial, [-1]))
        self.built = True

    def start_at(self, kernel: Any) -> None:
        """Makes the generator give this kernel of full width for all widths, until it is trained."""
        self.output_bias.assign(tf.reshape(kernel, [-1]))
        self.output_kernel.assign(tf.zeros_like(self.output_kernel))

    def call(self, widths: Any) -> Any:
        """Returns the kernel of full width for `widths`, int32 `[num_searchable]`."""
        # Deviation: the paper feeds the scale that was drawn; truncation can give two scales one width. The ratio of
        # the widths themselves gives one network one set of weights.
        encoding = tf.gather(widths, self._encoding) / tf.constant(self._sizes, tf.int32)
        hidden_kernel, hidden_bias = self.hidden_kernel.value, self.hidden_bias.value
        encoding = tf.cast(encoding, hidden_kernel.dtype)
        hidden = tf.nn.relu(tf.linalg.matvec(hidden_kernel, encoding, transpose_a=True) + hidden_bias)
        flat = tf.matmul(hidden[None], self.output_kernel.value)[0] + self.output_bias.value
        return tf.reshape(flat, self._shape)


def _uniform(fan_in: int) -> Any:
    # A new one for each weight: one instance draws the same numbers again.
    bound = 1 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound)


class MetaLayer(keras.layers.Layer):
    """The weights of one layer of the model, for every structure.

    Args:
        node: the layer's first call.
        encoding: index and full size of each searchable group that its kernel depends on; empty for a shared kernel.
        hidden: hidden units of the generator.
        affine: whether batch normalisation has a scale and an offset here.
    """

    def __init__(self, node: Node, encoding: Mapping[int, int], hidden: int, affine: bool) -> None:
        super().__init__(name=node.layer.replace("/", "_"), dtype="float32")
        self._regularizers = {name: keras.regularizers.get(_option(node, name, "regularizer")) for name in node.weights}
        self._shared: dict[str, Any] = {}
        self.generators: dict[str, KernelGenerator] = {}
        self._axes = {name: node.weight_axes(name) for name in node.weights}
        for name, shape in node.weights.items():
            if name.startswith("moving_") or (node.op == "BatchNormalization" and not affine):
                continue  # every structure has its own statistics: see batch_norm.py
            initializer = keras.initializers.get(_option(node, name, "initializer"))
            if is_kernel(name) and encoding:
                self.generators[name] = KernelGenerator(
                    shape,
                    tuple(encoding),
                    tuple(encoding.values()),
                    hidden,
                    initializer(shape),
                    f"{node.layer}_generator" if name == "kernel" else f"{node.layer}_{name}_generator",
                )
                continue
            # Normalisations compute in float32 under mixed precision, as in Keras.
            keep = {"autocast": False} if node.op.endswith("Normalization") else {}
            self._shared[name] = self.add_weight(shape=shape, initializer=initializer, name=name, **keep)
        self.built = True

    def weights_for(self, widths: Any, cropper: Cropper) -> Weights:
        """Returns the cropped weights of one structure by name. `widths` is int32 `[num_searchable]`."""
        found = {name: variable.value for name, variable in self._shared.items()}
        found |= {name: generator(widths) for name, generator in self.generators.items()}
        return {name: cropper.crop(array, self._axes[name], widths) for name, array in found.items()}

    def penalties(self, weights: Weights) -> list[Any]:
        """Returns what the layer's regularizers add to the loss, given its weights from `weights_for`."""
        pairs = ((self._regularizers[name], array) for name, array in weights.items())
        return [regularizer(tf.cast(array, tf.float32)) for regularizer, array in pairs if regularizer is not None]

    def load_shared(self, layer: Any) -> None:
        """Copies the weights of a plain layer into those that are not generated; a frozen layer stays frozen."""
        self.trainable = layer.trainable
        for name, weight in keras_layer.weights(layer).items():
            if name in self._shared:
                self._shared[name].assign(weight)

    def start_generators(self, layer: Any) -> None:
        """Makes the generators give the kernels of a plain layer."""
        for name, weight in keras_layer.weights(layer).items():
            if name in self.generators:
                self.generators[name].start_at(weight)


def _option(node: Node, weight: str, kind: str) -> Any:
    """Returns the layer's option for a weight: its initializer or its regularizer, None where it has none."""
    config = node.call.config
    if node.op == "LayerScale" and kind == "initializer":
        return keras.initializers.Constant(config["init_values"])
    name = "depthwise" if f"{weight}_{kind}" not in config and weight == "kernel" else weight
    return config.get(f"{name}_{kind}", config.get(f"{name.removesuffix('_kernel')}_{kind}"))


def check_followed(node: Node) -> None:
    """Raises GraphError where training would not do what an option of the layer ``node`` asks for."""
    for option, value in node.call.config.items():
        if value is not None and (option == "activity_regularizer" or option.endswith("_constraint")):
            raise GraphError(
                f"Layer {node.layer!r} ({node.op}) has the option {option}, which training here does not follow. Build "
                "the model without it; kernel_regularizer and bias_regularizer work."
            )
