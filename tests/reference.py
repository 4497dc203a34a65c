"""What pruning and costing are held against: the original with the dropped channels zeroed, and counts over layers."""

import contextlib
import math

import numpy as np

from tfmeta import Selection, Structure
from tfmeta.graph.reader import layers_of
from tfmeta.lazy import keras

MIXING_NORMS = ("LayerNormalization", "RMSNormalization", "GroupNormalization")


def dropped(graph, choice):
    """Labels of the channels that the choice drops, from the definition of structures and selections."""
    selection = Selection.first(choice) if isinstance(choice, Structure) else choice
    labels = set()
    for group, kept in zip(graph.searchable, selection.kept, strict=True):
        labels |= {group.offset + channel for channel in range(group.size) if channel not in kept}
    return labels


@contextlib.contextmanager
def zeroed(graph, model, labels):
    """The model with the kernels of all consumers zeroed where they read the dropped channels.

    A normalisation over the channels runs over those that are left.
    """
    layers, saved, patched = layers_of(model), [], []
    for name, layer in layers.items():
        node = next((node for node in graph.nodes if node.layer == name), None)
        if node is None or "in" not in node.roles:
            continue
        reads = np.array([label in labels for label in graph.axes[node.roles["in"]].tolist()])
        if node.op in MIXING_NORMS:
            patched.append(layer)
            layer.call = _normalise_kept(layer, node.op, ~reads)
        for weight, value in _zeroed_kernels(graph, node, layer, labels, reads):
            saved.append((weight, np.array(weight)))
            weight.assign(value)
    try:
        yield
    finally:
        for weight, value in saved:
            weight.assign(value)
        for layer in patched:
            del layer.call


def _zeroed_kernels(graph, node, layer, labels, reads):
    if node.op.startswith("Conv") and node.op.endswith("Transpose"):
        yield layer.kernel, np.where(reads, 0, np.array(layer.kernel))
    elif node.op.startswith("Conv") and not node.op.startswith("Concat"):
        yield layer.kernel, _zeroed_convolution(np.array(layer.kernel), reads)
    elif node.op == "Dense":
        yield layer.kernel, np.where(reads[:, None], 0, np.array(layer.kernel))
    elif node.op.startswith("SeparableConv"):
        yield layer.depthwise_kernel, np.where(reads[:, None], 0, np.array(layer.depthwise_kernel))
    elif node.op in ("MultiHeadAttention", "GroupedQueryAttention"):
        for role, dense in (("in", layer._query_dense), ("key", layer._key_dense), ("value", layer._value_dense)):
            read = np.array([label in labels for label in graph.axes[node.roles[role]].tolist()])
            yield dense.kernel, np.where(read[:, None, None], 0, np.array(dense.kernel))


def _zeroed_convolution(kernel, reads):
    per_group = kernel.shape[-2]
    outputs_per_group = kernel.shape[-1] * per_group // len(reads)
    for place in np.flatnonzero(reads):
        group, row = divmod(place, per_group)
        if len(reads) == per_group:
            kernel[..., row, :] = 0
        elif per_group > 1:  # with one channel a group nothing is mixed: that is a depthwise convolution
            kernel[..., row, group * outputs_per_group : (group + 1) * outputs_per_group] = 0
    return kernel


def _normalise_kept(layer, op, kept):
    """The layer's own formula, with sums over the kept channels only."""

    def call(inputs, **_):
        x = np.asarray(inputs, np.float64)
        groups = layer.groups if op == "GroupNormalization" else 1
        groups = x.shape[-1] if groups == -1 else groups
        parts = x.reshape(*x.shape[:-1], groups, -1)
        weight = kept.reshape(groups, -1).astype(float)
        axes = tuple(range(1, parts.ndim - 2)) if op == "GroupNormalization" else ()
        count = np.maximum(weight.sum(-1, keepdims=True), 1) * math.prod(parts.shape[axis] for axis in axes)
        mean = (parts * weight).sum((*axes, -1), keepdims=True) / count if op != "RMSNormalization" else 0.0
        variance = ((parts - mean) ** 2 * weight).sum((*axes, -1), keepdims=True) / count
        x = ((parts - mean) / np.sqrt(variance + layer.epsilon)).reshape(x.shape)
        scale, offset = (
            getattr(layer, name, None) for name in ("scale" if op == "RMSNormalization" else "gamma", "beta")
        )
        x = x if scale is None else x * np.asarray(scale)
        x = x if offset is None else x + np.asarray(offset)
        return keras.ops.convert_to_tensor(x.astype(np.asarray(inputs).dtype))

    return call


def count_macs(layer, shape, input_shape, *others):
    """Multiply-adds of one call of a layer, counted from its weights."""
    kind, places = type(layer).__name__, math.prod(shape[:-1])
    if kind.startswith(("Conv", "Depthwise", "Dense")) and kind != "Concatenate":
        return math.prod(layer.kernel.shape) * (math.prod(input_shape[:-1]) if kind.endswith("Transpose") else places)
    if kind in ("MultiHeadAttention", "GroupedQueryAttention"):
        return _count_attention(layer, shape[0], others[-1][0])  # Keras sorts arguments: "value" is the last
    if kind.startswith("Separable"):
        return (math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)) * places
    return 0


def _count_attention(layer, queries, keys):
    read = [(layer._query_dense, queries), (layer._key_dense, keys), (layer._value_dense, keys)]
    projections = [*read, (layer._output_dense, queries)]
    _, heads, size = layer._query_dense.kernel.shape
    products = queries * keys * heads * (size + layer._value_dense.kernel.shape[-1])
    return products + sum(math.prod(dense.kernel.shape) * places for dense, places in projections)


def calls(layer):
    """Output and input shapes of a layer's calls, of which all but a shared one have one."""
    return [
        (node.output_tensors[0].shape[1:], *(tensor.shape[1:] for tensor in node.input_tensors))
        for node in layer._inbound_nodes
        if node.input_tensors
    ]
