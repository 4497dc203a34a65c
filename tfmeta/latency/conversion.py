"""From a structure to a .tflite file that takes as long as the trained network would."""

from __future__ import annotations

import functools
import math
from importlib import metadata
from typing import Any

import numpy as np

from tfmeta.export import SCHEMES, converter
from tfmeta.export.interface import Scheme
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.rebuild import rebuild
from tfmeta.graph.structure import Structure
from tfmeta.lazy import keras
from tfmeta.registry import resolve

# Scales and zero points come out meaningless, but it is the operators and shapes that take time, not the values.
_CALIBRATION_IMAGES = 4

# What decides about the bytes of a file besides the network: another version may fuse other operators.
_CONVERTERS = ("tensorflow", "keras")


@functools.cache
def converter_versions() -> str:
    """Returns the names and versions of the packages that convert."""
    return ", ".join(f"{package} {metadata.version(package)}" for package in _CONVERTERS)


def structure_file(graph: ChannelGraph, structure: Structure, scheme: str) -> bytes:
    """Returns a .tflite file of the pruned network with random weights: for timing, never for shipping.

    It has the operators, shapes and types of the trained network's file. Schemes that calibrate get random images, so
    the numbers in an int8 file are meaningless. The file is not verified: there is nothing it should compute. The same
    structure gives the same weights.

    Args:
        graph: the channel graph of the full network.
        structure: the widths.
        scheme: a name in `tfmeta.export.SCHEMES`.

    Raises:
        ExportError: the network has operators that TFLite has no builtin for (the text names the layer).
        SpaceError: the structure does not fit the graph.
        UserError: no such scheme.
    """
    chosen: Scheme = resolve(SCHEMES, scheme, "quantization scheme")
    rng = np.random.default_rng(0)
    model = converter.with_batch_one(_random_network(graph, structure, rng))
    images = None
    if chosen.needs_calibration:
        shape = (_CALIBRATION_IMAGES, *model.inputs[0].shape[1:])
        images = rng.uniform(-1.0, 1.0, shape).astype(np.float32)
    return chosen.convert(model, images)


def _random_network(graph: ChannelGraph, structure: Structure, rng: np.random.Generator) -> Any:
    model = rebuild(graph, graph.kept(structure))
    for node in {node.layer: node for node in graph.nodes if node.weights and not node.constants}.values():
        for weight in model.get_layer(node.layer).weights:
            value = keras.ops.convert_to_numpy(weight)
            if weight.name == "kernel":
                drawn = _random_kernel(value.shape, node.op == "DepthwiseConv2D", rng)
            elif value.size and np.all(value == value.flat[0]):
                # The converter drops additions of 0 and multiplications by 1, with which batch norms and biases begin.
                drawn = value + rng.uniform(0.01, 0.1, value.shape)
            else:
                # Keras drew these from a generator of its own; with ours a structure has one file, byte by byte.
                drawn = rng.normal(0.0, 1.0 / np.sqrt(value.size / value.shape[-1]), value.shape)
            weight.assign(drawn.astype(value.dtype))
    return model


def _random_kernel(shape: tuple[int, ...], depthwise: bool, rng: np.random.Generator) -> np.ndarray:
    """Returns a kernel that neither lets the activations fade or grow nor gives nothing but 0 to an activation.

    Delegates refuse int8 files with scales that are far apart, which a layer of dead units would have.
    """
    inputs = math.prod(shape[:2] if depthwise else shape[:-1])
    kernel = rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2.0 / inputs))
    if not depthwise:  # the first unit takes a kind of mean, so it lives where any input does
        kernel[..., 0] = np.abs(kernel[..., 0]) / np.float32(math.sqrt(inputs))
    return kernel
