"""Reads a Keras model and finds its channel groups: channels that can only be kept or dropped together.

The graph is plain frozen data (numpy arrays, serialised layers). Everything else is derived from it: the search space,
the cost, the pruned model and the PruningNet. `reader` makes it out of a Keras model.

Every tensor has one axis of channels, mostly the last, and labels along it. Channels that occur equally often in every
axis of the model form one group, so a group's width alone tells every axis' length.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.errors import SpaceError
from tfmeta.graph import activation, keras_layer
from tfmeta.graph.calls import Call, Cut, Kept, Labels, Shape, positions
from tfmeta.graph.rules import Rule
from tfmeta.graph.structure import Selection, Structure

INPUT = "InputLayer"
CONSTANT = "Constant"  # an array that the model's code joins to its tensors


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: an output of a node."""

    node: int
    output: int = 0


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer or operation.

    Attributes:
        index: its place in the graph.
        name: unique name of the call (the layer's name, with ":2" for its second call).
        layer: name of the layer; calls of one layer share weights.
        op: class name of the layer, after "ops." that of an operation that is no layer.
        config: the layer's options.
        make: makes such a layer out of its options.
        rule: what it does with channels. Inputs and constants have an empty one.
        inputs: the tensors it reads.
        arguments: positional and keyword arguments, with a `Value` in place of each tensor.
        shapes: shapes of the outputs, without the batch dimension.
        channel_axes: which axis of each output holds its channels.
        roles: role ("in", "out", ...) to index into `ChannelGraph.axes`.
        weights: name of each weight to its full shape, in the layer's order.
        constants: values that no width changes and no training sets: of a layer's weights, in its order (the mean and
            variance of a `Normalization`), or of a constant.
        call: the call as rules see it.
    """

    index: int
    name: str
    layer: str
    op: str
    config: Mapping[str, Any]
    make: Callable[[dict[str, Any]], Any]
    rule: Rule
    inputs: tuple[Value, ...]
    arguments: tuple[Sequence[Any], Mapping[str, Any]]
    shapes: tuple[Shape, ...]
    channel_axes: tuple[int, ...]
    roles: Mapping[str, int]
    weights: Mapping[str, tuple[int, ...]]
    constants: tuple[np.ndarray, ...]
    call: Call

    @property
    def shape(self) -> Shape:
        """Shape of the first output, without the batch dimension."""
        return self.shapes[0]

    @property
    def is_source(self) -> bool:
        """Whether it gives a tensor without reading any: an input or a constant."""
        return self.op in (INPUT, CONSTANT)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The roles of the outputs."""
        return tuple(f"out{number or ''}" for number in range(len(self.shapes)))

    @property
    def gives_probabilities(self) -> bool:
        """Whether the numbers along the last axis of what it makes are shares of 1."""
        return self.op in ("Softmax", "ops.Softmax") or activation.gives_probabilities(self.config.get("activation"))

    def weight_axes(self, name: str) -> tuple[int | None, ...]:
        """Returns for each axis of a weight its index into `ChannelGraph.axes`, None where no channels are."""
        shape = self.weights[name]
        roles = self.rule.weights.get(name, self.rule.weights.get("*", ()))
        padded = ((None,) * len(shape) + tuple(roles))[-len(shape) :] if shape else ()
        # An option may share a weight among all channels; then its axis has length 1.
        pairs = zip(padded, shape, strict=True)
        return tuple(None if role is None or size == 1 else self.roles.get(role) for role, size in pairs)

    def places(self, output: int = 0) -> int:
        """Returns how many numbers each channel has in an output.

        Raises:
            GraphError: a dimension is unknown.
        """
        return positions(self.call, self.shapes[output], self.channel_axes[output]) if self.shapes[output] else 1


def is_kernel(weight: str) -> bool:
    """Returns whether the weight of this name is a kernel, which products are taken with."""
    return weight.endswith("kernel")


@dataclass(frozen=True)
class Group:
    """Channels that vary together in number.

    Attributes:
        name: the first layer that produces them.
        size: full width.
        producers: layers whose kernels make these channels.
        consumers: layers whose kernels read them.
        pinned: why the width may not change, or None when it is searchable.
        offset: label of the first channel; channel k of the group has the label offset + k.
    """

    name: str
    size: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    pinned: str | None
    offset: int


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """The channel groups of a Keras model, and the model's topology.

    Attributes:
        name: name of the model.
        nodes: the calls, in an order in which they can run.
        inputs: the input tensors.
        outputs: the output tensors.
        forms: how the model takes its inputs and gives its outputs: a `Value`, or a list or dict of them.
        groups: all channel groups, in order of their first producer.
        axes: distinct channel axes; `axes[i][c]` is the label of the channel at place c.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    groups: tuple[Group, ...]
    axes: tuple[Labels, ...]
    forms: tuple[Any, Any]

    @classmethod
    def from_model(cls, model: Any) -> ChannelGraph:
        """Returns the channel graph of a built Functional or Sequential Keras model.

        Args:
            model: the model. It is only read.

        Raises:
            GraphError: the model is subclassed or unbuilt, has an operation without a rule, or is of the kind
                "channels_first".
        """
        from tfmeta.graph import reader  # it makes these very types

        return reader.read(model)

    @functools.cached_property
    def searchable(self) -> tuple[Group, ...]:
        """The groups whose width may change, in graph order."""
        return tuple(group for group in self.groups if group.pinned is None)

    @functools.cached_property
    def full(self) -> Structure:
        """The structure that keeps every channel."""
        return Structure(tuple(group.size for group in self.searchable))

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input, without the batch dimension."""
        return self.nodes[self.inputs[0].node].shape

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """`[num_axes, num_groups]` int: how often each channel of a group stands in each axis."""
        starts = np.array([group.offset for group in self.groups])
        return np.stack([np.bincount(axis, minlength=self.num_channels)[starts] for axis in self.axes])

    @functools.cached_property
    def repeats(self) -> tuple[int, ...]:
        """For every group, how many channels each of its own is in all layers with kernels around it.

        More than one where layers divide channels into blocks: of 64 channels in 32 groups, two can be chosen, which
        each stand 32 times.
        """
        layers = [node for node in self.nodes if any(is_kernel(name) for name in node.weights)]
        axes = sorted({node.roles[role] for node in layers for role in ("in", "out") if role in node.roles})
        return tuple(int(np.gcd.reduce(counts)) or 1 for counts in self.counts[axes].T)

    @property
    def num_channels(self) -> int:
        """Number of distinct channels over all groups."""
        return sum(group.size for group in self.groups)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of topology and layer options. Names do not count, since Keras numbers them by session."""
        rows = []
        for node in self.nodes:
            config = {key: value for key, value in node.config.items() if key not in ("name", "seed")}
            rows.append([node.op, config, [[v.node, v.output] for v in node.inputs], node.shape])
        text = json.dumps(rows, sort_keys=True, default=keras_layer.as_text)
        return hashlib.sha256(text.encode()).hexdigest()

    def kept(self, choice: Structure | Selection) -> np.ndarray:
        """Returns `[num_channels]` bool: which channels stay under a structure (the first ones) or a selection.

        Raises:
            SpaceError: the choice does not fit this graph.
        """
        selection = Selection.first(choice) if isinstance(choice, Structure) else choice
        if len(selection.kept) != len(self.searchable):
            raise SpaceError(
                f"Expected widths for the {len(self.searchable)} searchable groups of {self.name!r}, received "
                f"{len(selection.kept)}."
            )
        mask = np.ones(self.num_channels, bool)
        for group, kept in zip(self.searchable, selection.kept, strict=True):
            if kept[-1] >= group.size:
                raise SpaceError(f"Group {group.name!r} has {group.size} channels, received {kept[-1] + 1}.")
            mask[group.offset : group.offset + group.size] = False
            mask[group.offset + np.array(kept)] = True
        return mask

    def cropped(self, node: Node, name: str, weight: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Returns what stays of a weight of ``node`` (its value at full width) under a mask of kept channels."""
        for dimension, axis in enumerate(node.weight_axes(name)):
            if axis is not None:
                weight = weight.take(np.flatnonzero(mask[self.axes[axis]]), dimension)
        return weight

    def kept_of(self, value: Value, mask: np.ndarray) -> Kept:
        """Returns what stays of a tensor under a mask of kept channels."""
        node = self.nodes[value.node]
        axis, shape = node.channel_axes[value.output], node.shapes[value.output]
        places = np.flatnonzero(mask[self.axes[node.roles[node.outputs[value.output]]]])
        return Kept(axis, places, (*shape[:axis], len(places), *shape[axis + 1 :]) if shape else ())

    def cut(self, node: Node, mask: np.ndarray) -> Cut:
        """Returns what stays of the channels of ``node`` under a mask of kept channels."""
        return Cut(
            counts={role: int(mask[self.axes[axis]].sum()) for role, axis in node.roles.items()},
            inputs=tuple(self.kept_of(value, mask) for value in node.inputs),
            outputs=tuple(self.kept_of(Value(node.index, output), mask) for output in range(len(node.shapes))),
        )

    def groups_of_axis(self, axis: int) -> tuple[int, ...]:
        """Returns the indices of the groups that stand in an axis, in order of first appearance."""
        starts = np.array([group.offset for group in self.groups])
        index = np.searchsorted(starts, self.axes[axis], "right") - 1
        return tuple(dict.fromkeys(index.tolist()))

    def to_json(self) -> dict[str, Any]:
        """Returns what describes the graph as JSON-able data (for records; a graph is always read from a model)."""
        groups = [
            {"name": g.name, "size": g.size, "producers": g.producers, "consumers": g.consumers, "pinned": g.pinned}
            for g in self.groups
        ]
        return {"name": self.name, "fingerprint": self.fingerprint, "groups": groups}

    def __str__(self) -> str:
        from tfmeta.graph import listing  # it reads these very types

        return listing.text(self)
