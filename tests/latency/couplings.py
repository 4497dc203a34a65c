"""A network with the couplings that every quantization scheme treats alike, and files laid side by side."""

import functools
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tests import nets
from tfmeta.export import flatbuffer
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.latency.conversion import structure_file
from tfmeta.lazy import keras


@functools.cache
def mixed() -> ChannelGraph:
    """Residual, depthwise, grouped, squeeze-and-excite, a flatten and a padding that is fused, in one network.

    No concatenation, which has no twins in int16x8. Half as wide, some kernels of each kind have 1024 elements and some
    fewer.
    """
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(24, 3, 2, name="stem")(layers.ZeroPadding2D(1, name="pad")(image))
    x = stem = layers.ReLU(6.0, name="relu")(layers.BatchNormalization(name="bn")(x))
    x = layers.Conv2D(72, 1, activation="relu", name="expand")(x)
    x = layers.DepthwiseConv2D(5, padding="same", activation="relu", name="dw")(x)
    s = layers.GlobalAveragePooling2D(keepdims=True, name="se_pool")(x)
    s = layers.Conv2D(10, 1, activation="relu", name="se_reduce")(s)
    s = layers.Conv2D(72, 1, activation="sigmoid", name="se_expand")(s)
    x = layers.Multiply(name="se_scale")([x, s])
    x = layers.Add(name="add")([layers.Conv2D(24, 1, use_bias=False, name="project")(x), stem])
    x = layers.Conv2D(48, 3, padding="same", groups=3, activation="relu", name="grouped")(x)
    x = layers.Flatten(name="flatten")(layers.MaxPooling2D(2, name="pool")(x))
    x = layers.Dense(40, "relu", name="dense")(x)
    return ChannelGraph.from_model(keras.Model(image, layers.Dense(4, name="logits")(x), name="mixed"))


@functools.cache
def maximum() -> ChannelGraph:
    """The larger of two branches."""
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    branches = [layers.Conv2D(8, size, padding="same", name=f"branch{size}")(image) for size in (1, 3)]
    x = layers.Conv2D(6, 1, activation="relu", name="after")(layers.Maximum(name="larger")(branches))
    x = layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x))
    return ChannelGraph.from_model(keras.Model(image, x, name="maximum"))


@functools.cache
def matrices() -> ChannelGraph:
    """Attention over the pixels, and a product of two matrices of which the first one is transposed."""
    layers, ops = keras.layers, keras.ops
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Reshape((16, 12), name="pixels")(layers.Conv2D(12, 3, 2, padding="same", name="a")(image))
    x = layers.MultiHeadAttention(2, 5, name="attention")(x, x)
    x = ops.matmul(ops.transpose(x, (0, 2, 1)), layers.Dense(7, name="b")(x))
    x = layers.Dense(4, name="logits")(layers.Flatten(name="flatten")(x))
    return ChannelGraph.from_model(keras.Model(image, x, name="matrices"))


@functools.cache
def graph_of(name: str) -> ChannelGraph:
    """The graph of "mixed", "maximum", "matrices" or of a network of `nets`."""
    here = {"mixed": mixed, "maximum": maximum, "matrices": matrices}
    return here[name]() if name in here else ChannelGraph.from_model(nets.any_net(name))


def operators(data: bytes) -> list[Any]:
    """Operators in order: every tensor's shape, type, constancy, and layout of the quantization."""
    found = []
    for one in flatbuffer.parse(data).operators:
        tensors = []
        for tensor in (*one.inputs, *one.outputs):
            q = tensor.quantization
            scales = None if q is None else (len(q.scale), len(q.zero_point), q.axis if q.per_channel else None)
            tensors.append((tensor.shape, tensor.dtype, tensor.constant, scales))
        found.append((one.op, one.version, len(one.inputs), tensors))
    return found


def executed(data: bytes) -> tuple[list[str], np.ndarray]:
    """Runs a file once: the steps that the interpreter takes, delegates among them, and the answer."""
    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    pixels = np.random.default_rng(3).integers(-3, 3, source["shape"])
    interpreter.set_tensor(source["index"], pixels.astype(source["dtype"]))
    interpreter.invoke()
    return [step["op_name"] for step in interpreter._get_ops_details()], interpreter.get_tensor(target["index"])


@functools.cache
def converted(name, structure, scheme):
    """What the converter makes, once a test run."""
    return structure_file(graph_of(name), structure, scheme)


class Converting:
    """Converts, with memory; `asked` is what for."""

    def __init__(self, name, change=lambda structure: structure):
        self.name, self.change, self.asked = name, change, []

    def __call__(self, graph, structure, scheme):
        self.asked.append(structure)
        return converted(self.name, self.change(structure), scheme)
