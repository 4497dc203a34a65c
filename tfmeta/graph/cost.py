"""What a structure costs, in closed form: multiply-adds, parameters, bytes of weights, peak bytes of activations.

Every channel axis has a length that is linear in the widths, and every kernel's size is a product of two of them. So
MACs, parameters and weight bytes are one quadratic form in the widths, set up once a graph, and a population is costed
by one matrix product. Nothing is built and no forward pass is made.

Everything here takes one structure and returns an int, or many (a list of structures, or widths `[P, num_searchable]`)
and returns an int64 array `[P]`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tfmeta.errors import GraphError, SpaceError, UserError
from tfmeta.graph.calls import positions
from tfmeta.graph.channel_graph import ChannelGraph, Node, is_kernel
from tfmeta.graph.structure import Structure

Structures = Structure | Sequence[Structure] | np.ndarray
Term = tuple[float, tuple[int, ...]]  # a factor, and the axes whose lengths it is multiplied with (at most two)

CONVENTIONS = ("standard", "metapruning")


def macs(graph: ChannelGraph, structures: Structures, convention: str = "standard") -> int | np.ndarray:
    """Returns the multiply-adds of one image.

    Args:
        graph: the channel graph.
        structures: one structure or many.
        convention: "standard" counts multiply-adds of convolutions and dense layers. "metapruning" counts as the
            repository of MetaPruning (https://github.com/liuzechun/MetaPruning, `cal_FLOPs.py`) does: also dense
            biases, one for every element that enters a batch normalisation or a `ReLU` layer (not an `Activation`), and
            one for every element that a pooling window reads (not global pooling).

    Raises:
        GraphError: a height or width of the model is unknown, or a layer with a kernel has no multiply-adds.
        SpaceError: a structure does not fit the graph.
    """
    if convention not in CONVENTIONS:
        raise UserError(f"Unknown convention {convention!r} of counting MACs. Expected one of: {CONVENTIONS}.")
    return _evaluate(graph, structures, _macs_form(graph, convention))


def params(graph: ChannelGraph, structures: Structures) -> int | np.ndarray:
    """Returns the number of weights as Keras' `count_params` counts them, batch-norm statistics included."""
    return _evaluate(graph, structures, _params_form(graph, 1.0, 1.0))


def weight_bytes(graph: ChannelGraph, structures: Structures, dtype: str = "float32") -> int | np.ndarray:
    """Returns the bytes of all weights.

    Args:
        graph: the channel graph.
        structures: one structure or many.
        dtype: "float32", "float16", or "int8": kernels take one byte, all other weights four, as in a quantized file.
    """
    sizes = {"float32": (4.0, 4.0), "float16": (2.0, 2.0), "int8": (1.0, 4.0)}
    if dtype not in sizes:
        raise UserError(f"Unknown dtype {dtype!r}. Expected one of: {', '.join(sizes)}.")
    return _evaluate(graph, structures, _params_form(graph, *sizes[dtype]))


def peak_activation_bytes(graph: ChannelGraph, structures: Structures, bytes_per_element: int = 4) -> int | np.ndarray:
    """Returns the largest sum of bytes of the tensors that are alive at the same time, for one image.

    Nodes run in graph order; a tensor lives from the node that makes it to the last one that reads it. Activations,
    batch normalisation, reshapes and dropout write over their input where nothing else reads it any more.
    """
    widths, single = _widths(graph, structures)
    linear, constant = _live_form(graph)
    peaks = np.concatenate([(chunk @ linear.T + constant).max(1) for chunk in _chunks(widths)])
    result = np.rint(peaks * bytes_per_element).astype(np.int64)
    return int(result[0]) if single else result


# The closed forms


class _Form:
    """constant + linear · w + w · quadratic · w, for the widths w of the searchable groups."""

    def __init__(self, graph: ChannelGraph, terms: Iterable[Term]) -> None:
        counts, fixed = _axis_lengths(graph)
        size = counts.shape[1]
        self.quadratic, self.linear, self.constant = np.zeros((size, size)), np.zeros(size), 0.0
        for factor, axes in terms:
            if len(axes) == 2:
                first, second = axes
                self.quadratic += factor * np.outer(counts[first], counts[second])
                self.linear += factor * (fixed[second] * counts[first] + fixed[first] * counts[second])
                self.constant += factor * fixed[first] * fixed[second]
            elif axes:
                self.linear += factor * counts[axes[0]]
                self.constant += factor * fixed[axes[0]]
            else:
                self.constant += factor

    def __call__(self, widths: np.ndarray) -> np.ndarray:
        return np.einsum("pg,pg->p", widths @ self.quadratic + self.linear, widths) + self.constant


def _evaluate(
    graph: ChannelGraph, structures: Structures, form: Callable[[np.ndarray], np.ndarray]
) -> int | np.ndarray:
    widths, single = _widths(graph, structures)
    # Float64 products are exact up to 2**53, far above any network's cost, and run on BLAS, which integers do not.
    values = np.rint(np.concatenate([form(chunk) for chunk in _chunks(widths)])).astype(np.int64)
    return int(values[0]) if single else values


def _widths(graph: ChannelGraph, structures: Structures) -> tuple[np.ndarray, bool]:
    single = isinstance(structures, Structure)
    rows = [structures] if isinstance(structures, Structure) else structures
    sizes = np.array([group.size for group in graph.searchable])
    if not isinstance(rows, np.ndarray):
        for structure in rows:
            if len(structure.widths) != len(sizes):
                raise SpaceError(f"Expected {len(sizes)} widths a structure, received {len(structure.widths)}.")
        rows = np.array([structure.widths for structure in rows]).reshape(len(rows), len(sizes))
    widths = rows.astype(np.float64)
    if widths.ndim != 2 or widths.shape[1] != len(sizes):
        raise SpaceError(f"Expected {len(sizes)} widths a structure, received an array of shape {widths.shape}.")
    if len(widths) and ((widths < 1) | (widths > sizes)).any():
        raise SpaceError(f"Expected widths from 1 to the group sizes {tuple(sizes.tolist())}.")
    return widths, single


def _chunks(widths: np.ndarray) -> list[np.ndarray]:
    """Rows in pieces that stay in the processor's cache."""
    return np.array_split(widths, max(1, math.ceil(len(widths) / 4096)))


def _axis_lengths(graph: ChannelGraph) -> tuple[np.ndarray, np.ndarray]:
    """Axis lengths as (counts of the searchable groups [axes, searchable], length that never changes [axes])."""
    free = np.array([group.pinned is None for group in graph.groups])
    sizes = np.array([group.size for group in graph.groups])
    return graph.counts[:, free].astype(float), graph.counts[:, ~free] @ sizes[~free]


@functools.lru_cache(maxsize=32)
def _macs_form(graph: ChannelGraph, convention: str) -> _Form:
    terms: list[Term] = []
    for node in _layers(graph):
        kernel = next((name for name in node.weights if is_kernel(name)), None)
        if node.rule.macs is None and kernel:
            raise GraphError(
                f"Layer {node.layer!r} ({node.op}) has the weight {kernel!r}, and its rule does not tell its "
                "multiply-adds. Expected a rule with macs=lambda call: [(factor, roles), ...], for example "
                '[(9 * 8 * 8, ("in", "out"))] for 3x3 taps at 8x8 places; [] where none are to be counted.'
            )
        if node.rule.macs is not None:
            for factor, roles in node.rule.macs(node.call):
                terms.append((factor, tuple(node.roles[role] for role in roles)))
        if convention == "metapruning":
            terms += _metapruning_extras(node)
    return _Form(graph, terms)


def _metapruning_extras(node: Node) -> list[Term]:
    if node.op == "Dense":
        return [(1, (node.roles["out"],))] if node.call.config["use_bias"] else []
    if node.op in ("BatchNormalization", "ReLU"):
        return [(positions(node.call, node.shape), (node.roles["in"],))]
    if node.op in ("MaxPooling2D", "AveragePooling2D"):
        window = math.prod(node.call.config["pool_size"])
        return [(window * positions(node.call, node.shape), (node.roles["out"],))]
    return []


@functools.lru_cache(maxsize=32)
def _params_form(graph: ChannelGraph, per_kernel: float, per_other: float) -> _Form:
    terms: list[Term] = []
    seen: set[str] = set()
    for node in _layers(graph):
        if node.layer in seen:
            continue
        seen.add(node.layer)
        for name, shape in node.weights.items():
            axes = node.weight_axes(name)
            others = (size for size, axis in zip(shape, axes, strict=True) if axis is None)
            factor = (per_kernel if is_kernel(name) else per_other) * math.prod(others)
            terms.append((factor, tuple(axis for axis in axes if axis is not None)))
    return _Form(graph, terms)


@functools.lru_cache(maxsize=32)
def _live_form(graph: ChannelGraph) -> tuple[np.ndarray, np.ndarray]:
    """Elements alive while each node runs: linear part `[nodes, searchable]` and constant part `[nodes]`."""
    final_read = list(range(len(graph.nodes)))  # the last node that reads each node's output
    for index, node in enumerate(graph.nodes):
        for value in node.inputs:
            final_read[value.node] = index
    for value in graph.outputs:
        final_read[value.node] = len(graph.nodes)
    buffers = list(range(len(graph.nodes)))  # the buffer that each node writes
    last_read = list(range(len(graph.nodes)))
    for index, node in enumerate(graph.nodes):
        # What another node still reads is not written over.
        if node.rule.in_place and final_read[node.inputs[0].node] == index:
            buffers[index] = buffers[node.inputs[0].node]
        last_read[buffers[index]] = final_read[index]
    counts, fixed = _axis_lengths(graph)
    linear, constant = np.zeros((len(buffers), counts.shape[1])), np.zeros(len(buffers))
    for index, node in enumerate(graph.nodes):
        if buffers[index] == index:
            for output, role in enumerate(node.outputs):
                axis, places = node.roles[role], node.places(output)
                linear[index : last_read[index] + 1] += places * counts[axis]
                constant[index : last_read[index] + 1] += places * fixed[axis]
    return linear, constant


def _layers(graph: ChannelGraph) -> list[Node]:
    return [node for node in graph.nodes if not node.is_source]
