"""How channels pass through operations that change shapes: what `flows` is to layers, for reshapes, slices, splits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmeta.graph.calls import Call, Flow, Roles, positions
from tfmeta.graph.flows import last, on_last, outputs, same, tensor_axes, unite_blocks, whole


def reshape(flow: Flow, call: Call) -> Roles:
    """Reshapes the labels themselves."""
    labels, before, after = call.inputs[0], call.input_shapes[0], call.output_shape
    if before and after and before[-1] == after[-1] and labels.size == labels.shape[-1]:
        return {"in": labels, "out": on_last(labels, after)}
    positions(call, (*before, *after, 1))  # an unknown dimension is told
    full = np.broadcast_to(labels, [n or 1 for n in before]).reshape([n or 1 for n in after])
    for axis in range(full.ndim):
        first = full.take([0], axis)
        full = first if (full == first).all() else full
    return {"in": labels, "out": full}


def transpose(flow: Flow, call: Call) -> Roles:
    """Exchanges axes of the labels; the option is `dims` (without batch) or `axes` (with it, None: reversed)."""
    if "dims" in call.config:
        order = [axis - 1 for axis in call.config["dims"]]
    else:
        rank = len(call.output_shape) + 1
        axes = [axis % rank for axis in call.config["axes"] or reversed(range(rank))]
        if axes[0] != 0:  # the batch is moved
            return whole(flow, call)
        order = [axis - 1 for axis in axes[1:]]
    return {"in": call.inputs[0], "out": call.inputs[0].transpose(order)}


def move_axis(flow: Flow, call: Call) -> Roles:
    """Exchanges axes of the labels as NumPy's `moveaxis` and `swapaxes` do."""
    config, labels = call.config, call.inputs[0][None]
    if "axis1" in config:
        moved = np.swapaxes(labels, config["axis1"], config["axis2"])
    else:
        moved = np.moveaxis(labels, config["source"], config["destination"])
    return {"in": call.inputs[0], "out": moved[0]} if moved.shape[0] == 1 else whole(flow, call)


def repeat_vector(flow: Flow, call: Call) -> Roles:
    """Puts copies along a new first axis."""
    return {"in": call.inputs[0], "out": call.inputs[0][None]}


def repeat(flow: Flow, call: Call) -> Roles:
    """Repeats every place of one axis."""
    labels, count = call.inputs[0], call.config["repeats"]
    if call.config["axis"] is None or not isinstance(count, int):
        return whole(flow, call)
    axis = call.config["axis"] % (labels.ndim + 1) - 1
    varies = axis >= 0 and (labels.shape[axis] > 1 or call.input_shapes[0][axis] == 1)
    return {"in": labels, "out": np.repeat(labels, count, axis) if varies else labels}


def broadcast(flow: Flow, call: Call) -> Roles:
    """Repeats axes of length 1; channels keep their axis."""
    labels, rank = call.inputs[0], len(call.output_shape)
    return {"in": labels, "out": labels.reshape((1,) * (rank - labels.ndim) + labels.shape)}


def pad(flow: Flow, call: Call) -> Roles:
    """Puts constant places around; along the channels these are channels that stay."""
    labels, shape, width = call.inputs[0], call.input_shapes[0], call.config["pad_width"]
    pairs = [(width, width)] * (len(shape) + 1) if isinstance(width, int) else [tuple(pair) for pair in width]
    ours = [pair if labels.shape[axis] == shape[axis] else (0, 0) for axis, pair in enumerate(pairs[1:])]
    out = np.pad(labels, ours, constant_values=-1)
    made = flow.new(int((out < 0).sum()))
    flow.pin(made, f"padding in {call.name}")
    out[out < 0] = made
    return {"in": labels, "out": out}


def tile(flow: Flow, call: Call) -> Roles:
    """Puts copies of the tensor side by side."""
    labels, counts = call.inputs[0], call.config["repeats"]
    counts = [counts] if isinstance(counts, int) else list(counts)
    if len(counts) > labels.ndim + 1:  # new axes before the batch
        return whole(flow, call)
    counts = [1] * (labels.ndim + 1 - len(counts)) + counts
    ours = [count if size > 1 else 1 for count, size in zip(counts[1:], labels.shape, strict=True)]
    return {"in": labels, "out": np.tile(labels, ours)}


def flip(flow: Flow, call: Call) -> Roles:
    """Reverses axes."""
    return {"in": call.inputs[0], "out": np.flip(call.inputs[0], tuple(tensor_axes(call, call.config["axis"])))}


def roll(flow: Flow, call: Call) -> Roles:
    """Moves places along axes; along the channels, fewer would come to lie elsewhere."""
    axis = call.config["axis"]
    if axis is None or any(call.inputs[0].shape[place] > 1 for place in tensor_axes(call, axis)):
        return whole(flow, call)
    return same(flow, call)


def depth_to_space(flow: Flow, call: Call) -> Roles:
    """Lays blocks of channels out over height and width: each block keeps the same channels."""
    labels, blocks = last(flow, call), call.config["block_size"] ** 2
    unite_blocks(flow, labels, blocks)
    return {"in": labels, "out": on_last(labels[: len(labels) // blocks], call.output_shape)}


def space_to_depth(flow: Flow, call: Call) -> Roles:
    """Puts neighbours side by side, as channels after channels."""
    labels = last(flow, call)
    return {"in": labels, "out": on_last(np.tile(labels, call.config["block_size"] ** 2), call.output_shape)}


def unstack(flow: Flow, call: Call) -> Roles:
    """Cuts an axis into single places, each an output without that axis."""
    labels = call.inputs[0]
    axis = call.config["axis"] % (labels.ndim + 1) - 1
    if axis < 0:  # the batch
        return whole(flow, call)
    if labels.shape[axis] > 1:
        flow.pin(labels, f"picked by its place in {call.name}")
    places = range(len(call.output_shapes))
    return {"in": labels, **outputs(labels.take(min(place, labels.shape[axis] - 1), axis) for place in places)}


def reduce(flow: Flow, call: Call) -> Roles:
    """Takes a mean, maximum, ... over some axes. Channels that are reduced stay, unless they only come in rows."""
    labels, axes = call.inputs[0], tensor_axes(call, call.config["axis"])
    for axis in axes:
        first = labels.take([0], axis)
        if labels.size > first.size > 1:  # a row of channels becomes one
            flow.unite(first, labels)
        elif labels.size > 1 == first.size:
            flow.pin(labels, f"reduced over the channels in {call.name}")
            first = flow.whole(*first.shape)
        labels = first
    out = labels if call.config.get("keepdims") else labels.reshape(np.delete(labels.shape, axes))
    return {"in": call.inputs[0], "out": out}


def expanded_key(key: Any, rank: int) -> list[Any]:
    """Returns an index with one item for every axis of a tensor with batch (and None for every new axis)."""
    items = list(key) if isinstance(key, tuple | list) else [key]
    if not any(item is Ellipsis for item in items):
        items.append(Ellipsis)
    place = next(i for i, item in enumerate(items) if item is Ellipsis)
    named = sum(item is not None for item in items) - 1
    return [*items[:place], *[slice(None)] * (rank - named), *items[place + 1 :]]


def index(flow: Flow, call: Call) -> Roles:
    """Takes what `x[key]` takes. Steps keep whole rows of channels, so that the rest can still be stepped through."""
    labels, shape = call.inputs[0], call.input_shapes[0]
    key = expanded_key(index_key(call), len(shape) + 1)
    if key[0] != slice(None) or not all(item is None or isinstance(item, int | slice) for item in key):
        return whole(flow, call)
    places: list[Any] = [slice(None)]
    axis = 0
    for item in key[1:]:
        if item is None:
            places.append(None)
            continue
        if labels.shape[axis] == 1 and shape[axis] != 1:  # no channels here
            item = 0 if isinstance(item, int) else slice(None)
        elif isinstance(item, int):
            flow.pin(labels.take([item], axis), f"picked by its place in {call.name}")
        elif abs(item.step or 1) > 1:
            blocks = np.moveaxis(labels, axis, 0)
            for start in range(0, len(blocks), abs(item.step)):
                flow.unite(blocks[start], blocks[start : start + abs(item.step)])
        places.append(item)
        axis += 1
    return {"in": labels, "out": labels[None][tuple(places)][0]}


def index_key(call: Call) -> Any:
    """Returns the key of a call of `ops.GetItem`."""
    args, kwargs = call.arguments
    return kwargs["key"] if "key" in kwargs else args[1]


def split(flow: Flow, call: Call) -> Roles:
    """Cuts an axis in pieces, each an output of its own."""
    labels = call.inputs[0]
    axis = call.config["axis"] % (labels.ndim + 1) - 1
    if axis < 0 or labels.shape[axis] == 1:
        parts = [labels] * len(call.output_shapes)
    else:
        given = call.config["indices_or_sections"]
        parts = np.split(labels, given if isinstance(given, int) else list(given), axis)
    return {"in": labels, **outputs(parts)}
