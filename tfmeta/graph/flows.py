"""How channels pass through operations: the functions that the table of `rules` is made of.

Each takes a `Flow` and a `Call` and returns the labels of every role: "out" (and "out1", "out2", ... of further
outputs) are labels of tensors, all others labels `[size]` of one axis, by which weights are indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tfmeta.errors import GraphError
from tfmeta.graph import activation as activations
from tfmeta.graph.calls import Call, Flow, Labels, Roles, Shape, attention_inputs


def last(flow: Flow, call: Call, index: int = 0) -> Labels:
    """Returns the labels `[size]` of the last axis of an input, where most layers expect the channels.

    Channels on other axes besides are united along those; channels on other axes only must stay.
    """
    labels, size = call.inputs[index], call.input_shapes[index][-1]
    if labels.size > labels.shape[-1] == 1:
        flow.pin(labels, f"channels on another axis than the last in {call.name}")
        return flow.whole(size or 1)
    rows = labels.reshape(-1, labels.shape[-1])
    flow.unite(rows[0], rows)
    return np.broadcast_to(rows[0], (size or 1,))


def on_last(labels: Labels, shape: Shape) -> Labels:
    """Returns labels `[size]` as those of a tensor of ``shape`` with its channels on the last axis."""
    return labels.reshape((1,) * (len(shape) - 1) + (-1,)) if shape else labels.reshape(())


def pin_mixed(flow: Flow, call: Call, labels: Labels, axis: int = -1) -> None:
    """Pins the labels, along an axis of the output, when the layer's activation mixes channels.

    Raises:
        GraphError: the activation has weights, or changes the number of channels.
    """
    used = call.config.get("activation")
    if used in (None, "linear"):
        return
    name, found = activations.name_of(used), activations.try_out(used, call.output_shape, axis)
    wrong = "is a layer with weights" if found.has_weights else "changes the shape of what it gets"
    if found.has_weights or not found.keeps_shape:
        raise GraphError(
            f"Layer {call.name!r} ({call.op}) has the activation {name}, which {wrong}. Expected one that gives every "
            "number for the number in its place. Build the layer without it, and apply it to what the layer gives."
        )
    if not found.apart:
        flow.pin(labels, f"{name} over the channels")


def outputs(parts: Iterable[Labels]) -> Roles:
    """Returns the roles of several outputs."""
    return {f"out{number or ''}": labels for number, labels in enumerate(parts)}


# Layers that leave the channels where they are


def same(flow: Flow, call: Call) -> Roles:
    """Every element depends on its own place only, or on its own channel only."""
    return {"in": call.inputs[0], "out": call.inputs[0]}


def spatial(flow: Flow, call: Call) -> Roles:
    """The channels on the last axis stay; other axes are pooled, padded, cropped or resized."""
    labels = last(flow, call)
    return {"in": labels, "out": on_last(labels, call.output_shape)}


def whole(flow: Flow, call: Call) -> Roles:
    """Everything that goes in must stay, and so does what comes out."""
    for labels in call.inputs:
        flow.pin(labels, f"read whole by {call.name}")
    return outputs(flow.whole(*(1 for _ in shape)) for shape in call.output_shapes)


def activation(flow: Flow, call: Call) -> Roles:
    """As `same`, but some activations mix the channels."""
    labels = call.inputs[0]
    for axis in [axis for axis, size in enumerate(labels.shape) if size > 1] or [-1]:
        pin_mixed(flow, call, labels, axis)
    return same(flow, call)


def softmax(flow: Flow, call: Call) -> Roles:
    """Channels must stay when they are what the softmax runs over."""
    for axis in tensor_axes(call, call.config["axis"]):
        if call.inputs[0].shape[axis] > 1:
            flow.pin(call.inputs[0], "softmax over the channels")
    return same(flow, call)


def constants(*fields: str) -> Callable[[Flow, Call], Roles]:
    """Returns the flow of layers whose config may hold one number a channel; then the channels stay."""

    def flow_constants(flow: Flow, call: Call) -> Roles:
        if any(np.ndim(call.config.get(name, 0)) for name in fields) or not fields:
            flow.pin(call.inputs[0], f"constants a channel in {call.name}")
        return same(flow, call)

    return flow_constants


def _axes(call: Call, axis: Any) -> list[int]:
    rank = len(call.input_shapes[0]) + 1
    given = range(rank) if axis is None else axis if isinstance(axis, Sequence) else [axis]
    return sorted(a % rank for a in given)


def tensor_axes(call: Call, axis: Any) -> list[int]:
    """Returns the axes of the first input without its batch; ``axis`` is what a Keras option says (None: all)."""
    return [a - 1 for a in _axes(call, axis) if a > 0]


def normalise(flow: Flow, call: Call) -> Roles:
    """Normalises every channel by itself, or over the channels: then over those that are kept."""
    if len(call.input_shapes[0]) not in _axes(call, call.config["axis"]):
        raise GraphError(
            f"Layer {call.name!r} ({call.op}) normalises axis {call.config['axis']}. Expected the last axis, the "
            "channels."
        )
    return {"in": last(flow, call), "out": call.inputs[0]}


def group_normalise(flow: Flow, call: Call) -> Roles:
    """As a convolution in groups: every group keeps equally many channels."""
    roles = normalise(flow, call)
    if call.config["groups"] not in (-1, len(roles["in"])):
        unite_blocks(flow, roles["in"], call.config["groups"])
    return roles


# Layers that make channels


def unite_blocks(flow: Flow, labels: Labels, blocks: int) -> None:
    """The k-th channels of all blocks stay or go together, so every block keeps the same number."""
    rows = labels.reshape(blocks, -1)
    flow.unite(rows[0], rows)


def convolution(flow: Flow, call: Call) -> Roles:
    """Makes new channels from all channels, or from those of its own group."""
    labels, filters, groups = last(flow, call), call.config["filters"], call.config.get("groups", 1)
    if groups == len(labels) > 1:  # a depthwise convolution in other words: the groups go with the channels
        out = np.repeat(labels, filters // groups)
        pin_mixed(flow, call, out)
        return {"in": labels, "out": on_last(out, call.output_shape)}
    out = flow.new(filters)
    pin_mixed(flow, call, out)
    unite_blocks(flow, labels, groups)
    unite_blocks(flow, out, groups)
    return {"in": labels, "in_per_group": labels[: len(labels) // groups], "out": on_last(out, call.output_shape)}


def depthwise(flow: Flow, call: Call) -> Roles:
    """Makes `depth_multiplier` channels of every channel."""
    labels = last(flow, call)
    out = np.repeat(labels, call.config["depth_multiplier"])
    pin_mixed(flow, call, out)
    return {"in": labels, "out": on_last(out, call.output_shape)}


def separable(flow: Flow, call: Call) -> Roles:
    """A depthwise convolution, and then a pointwise one."""
    labels, out = last(flow, call), flow.new(call.config["filters"])
    pin_mixed(flow, call, out)
    middle = np.repeat(labels, call.config["depth_multiplier"])
    return {"in": labels, "middle": middle, "out": on_last(out, call.output_shape)}


def dense(flow: Flow, call: Call) -> Roles:
    """Makes new channels from all places of the last axis."""
    labels, out = last(flow, call), flow.new(call.config["units"])
    pin_mixed(flow, call, out)
    return {"in": labels, "out": on_last(out, call.output_shape)}


def attention(flow: Flow, call: Call) -> Roles:
    """Heads and their sizes stay; what the block reads may shrink, and so may what it makes. Masks stay."""
    read = attention_inputs(call)
    for value, labels in zip(call.values, call.inputs, strict=True):
        if value not in [call.values[index] for index in read]:
            flow.pin(labels, f"read whole by {call.name}")
    roles = {role: last(flow, call, index) for role, index in zip(("in", "value", "key"), read, strict=True)}
    made = on_last(flow.new(call.output_shape[-1] or 1), call.output_shape)
    return {**roles, **outputs([made, *(flow.whole(*(1 for _ in shape)) for shape in call.output_shapes[1:])])}


def grouped_attention(flow: Flow, call: Call) -> Roles:
    """As `attention`, but what it makes is as wide as what it reads, so both shrink alike."""
    roles = attention(flow, call)
    flow.unite(roles["in"], roles["out"].reshape(-1))
    return roles


# Joins


def _settled(flow: Flow, call: Call, ignored: int | None = None) -> list[Labels]:
    """Labels of all inputs at the rank of the output, so that along every axis all vary or none does.

    Channels that meet what always stays must stay too, and are then no longer told apart. ``ignored`` is an axis along
    which inputs are put one after another.
    """
    rank = len(call.output_shape)
    inputs = [labels.reshape((1,) * (rank - labels.ndim) + labels.shape) for labels in call.inputs]
    shapes = [(1,) * (rank - len(shape)) + tuple(shape) for shape in call.input_shapes]
    settled = False
    while not settled:
        settled = True
        for axis in (axis for axis in range(rank) if axis != ignored):
            stays = [i for i, s in enumerate(shapes) if s[axis] != 1 and inputs[i].shape[axis] == 1]
            varies = [i for i, labels in enumerate(inputs) if labels.shape[axis] > 1]
            for index in varies if stays else ():
                flow.pin(inputs[index], f"joined in {call.name} to what always stays")
                inputs[index], settled = flow.whole(*(1,) * rank), False
    return inputs


def elementwise(flow: Flow, call: Call) -> Roles:
    """Joins tensors place by place: channels at equal places are inseparable."""
    inputs = _settled(flow, call)
    shape = np.broadcast_shapes(*(labels.shape for labels in inputs))
    widest = next((labels for labels in inputs if labels.shape == shape), None)
    if widest is None:  # an outer product: every place belongs to two channels
        return whole(flow, call)
    for labels in inputs:
        if labels.shape == shape:
            flow.unite(widest, labels)
        else:  # one channel is spread over all of them: it can only stay
            flow.pin(labels, f"broadcast over the channels in {call.name}")
    return {"in": call.inputs[0], "out": widest}


def concatenate(flow: Flow, call: Call) -> Roles:
    """Puts channels side by side, or joins them place by place where another axis is put side by side."""
    axis = _axes(call, call.config.get("axis", -1))[0] - 1
    if axis < 0:  # the batch
        return elementwise(flow, call)
    elsewhere = any(labels.size > labels.shape[axis] for labels in call.inputs)
    varies = any(labels.shape[axis] > 1 for labels in call.inputs)
    if not varies and (elsewhere or axis != len(call.output_shape) - 1):
        return elementwise(flow, call)
    parts = _settled(flow, call, ignored=axis)
    others = np.broadcast_shapes(*(np.delete(labels.shape, axis) for labels in parts))
    full = [
        np.broadcast_to(labels, (*others[:axis], shape[axis] or 1, *others[axis:]))
        for labels, shape in zip(parts, call.input_shapes, strict=True)
    ]
    return {"in": full[0], "out": np.concatenate(full, axis)}


def stack(flow: Flow, call: Call) -> Roles:
    """Joins tensors place by place along a new axis."""
    axis = call.config["axis"] % (len(call.output_shape) + 1) - 1
    if axis < 0:  # before the batch
        return whole(flow, call)
    expanded = tuple(np.expand_dims(labels, axis) for labels in call.inputs)
    shapes = tuple((*shape[:axis], 1, *shape[axis:]) for shape in call.input_shapes)
    return elementwise(flow, Call(call.name, call.op, call.config, expanded, shapes, call.output_shapes))
