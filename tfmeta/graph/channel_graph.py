"""Reads a Keras model and finds its channel groups: channels that can only be kept or dropped together.

The graph is plain frozen data (numpy arrays, serialised layers). Everything else is derived from it: the search space,
the cost, the pruned model and the PruningNet. This is the only module that reads the inside of a Keras model.

How it works: every tensor's last axis carries labels, one a channel. Layers with weights make new labels, joins unite
labels, all other layers pass them on (`rules`). Channels that occur equally often in every axis of the model form one
group, so a group's width alone tells every axis' length.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.errors import GraphError, SpaceError
from tfmeta.graph.rules import Call, Labels, Roles, Rule, Shape, rule_for
from tfmeta.graph.structure import Selection, Structure
from tfmeta.lazy import keras

INPUT = "InputLayer"


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: an output of a node."""

    node: int
    output: int = 0


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer.

    Attributes:
        name: unique name of the call (the layer's name, with ":2" for its second call).
        layer: name of the layer; calls of one layer share weights.
        op: class name of the layer.
        spec: the layer as Keras serialises it.
        inputs: the tensors it reads.
        arguments: positional and keyword arguments, with a `Value` in place of each tensor.
        shape: shape of the output, without the batch dimension.
        roles: role ("in", "out", ...) to index into `ChannelGraph.axes`.
        weights: name of each weight to its full shape.
        constants: values of the weights that no width changes and no training sets, in the layer's order (the mean and
            variance of a `Normalization`).
        call: the call as rules see it.
    """

    name: str
    layer: str
    op: str
    spec: Mapping[str, Any]
    inputs: tuple[Value, ...]
    arguments: tuple[Sequence[Any], Mapping[str, Any]]
    shape: Shape
    roles: Mapping[str, int]
    weights: Mapping[str, tuple[int, ...]]
    constants: tuple[np.ndarray, ...]
    call: Call

    @property
    def rule(self) -> Rule:
        """The rule of this node's operation. Inputs pass their channels on."""
        return rule_for(self.op, self.layer)


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
        groups: all channel groups, in order of their first producer.
        axes: distinct channel axes; `axes[i][c]` is the label of the channel at place c.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    groups: tuple[Group, ...]
    axes: tuple[Labels, ...]

    @classmethod
    def from_model(cls, model: Any) -> ChannelGraph:
        """Returns the channel graph of a built Functional or Sequential Keras model.

        Args:
            model: the model. It is only read.

        Raises:
            GraphError: the model is subclassed or unbuilt, has an operation without a rule, or keeps its channels on
                another axis than the last.
        """
        return _Reader(model).read()

    @functools.cached_property
    def searchable(self) -> tuple[Group, ...]:
        """The groups whose width may change, in graph order."""
        return tuple(group for group in self.groups if group.pinned is None)

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input, without the batch dimension."""
        return self.nodes[self.inputs[0].node].shape

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """`[num_axes, num_groups]` int: how often each channel of a group stands in each axis."""
        starts = np.array([group.offset for group in self.groups])
        return np.stack([np.bincount(axis, minlength=self.num_channels)[starts] for axis in self.axes])

    @property
    def num_channels(self) -> int:
        """Number of distinct channels over all groups."""
        return sum(group.size for group in self.groups)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of topology and layer options. Names do not count, since Keras numbers them by session."""
        rows = []
        for node in self.nodes:
            config = {key: value for key, value in node.spec["config"].items() if key not in ("name", "build_config")}
            rows.append([node.op, config, [[v.node, v.output] for v in node.inputs], node.shape])
        text = json.dumps(rows, sort_keys=True, default=str)
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

    def places(self, node: Node, role: str | None, mask: np.ndarray) -> np.ndarray | None:
        """Returns the kept places of an axis of ``node``, or None when the role stands for no channels."""
        if role is None or role not in node.roles:
            return None
        return np.flatnonzero(mask[self.axes[node.roles[role]]])

    def group_of(self, label: int) -> Group:
        """Returns the group that the channel ``label`` belongs to."""
        return self.groups[int(np.searchsorted([group.offset for group in self.groups], label, "right")) - 1]

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
        free, pinned = self.searchable, [group for group in self.groups if group.pinned]
        lines = [
            f"ChannelGraph of {self.name!r}: {len(self.nodes)} calls, {len(free)} searchable groups "
            f"({sum(g.size for g in free)} channels), {len(pinned)} pinned"
        ]
        width = max([len(group.name) for group in self.groups] + [5])
        for title, groups in (("searchable", free), ("pinned", pinned)):
            if not groups:
                continue
            lines += ["", f"{title:<{width + 2}}{'size':>6}  produced by → read by"]
            for group in groups:
                route = f"{_names(group.producers)} → {_names(group.consumers)}"
                reason = f"  [{group.pinned}]" if group.pinned else ""
                lines.append(f"  {group.name:<{width}}{group.size:>6}  {route}{reason}")
        return "\n".join(lines)


def _names(names: Sequence[str]) -> str:
    if not names:
        return "(output)"
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


class _Flow:
    """Labels of channels in the making: a union-find forest over all of them."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.producer: list[str] = []
        self.reasons: dict[int, str] = {}
        self.at = ""

    def new(self, size: int) -> Labels:
        start = len(self.parent)
        self.parent.extend(range(start, start + size))
        self.producer.extend([self.at] * size)
        return np.arange(start, start + size)

    def find(self, label: int) -> int:
        parent = self.parent
        while parent[label] != label:
            parent[label] = label = parent[parent[label]]
        return label

    def unite(self, first: Labels, second: Labels) -> None:
        for a, b in {(int(a), int(b)) for a, b in zip(first, second, strict=True) if a != b}:
            a, b = self.find(a), self.find(b)
            self.parent[max(a, b)] = min(a, b)

    def pin(self, labels: Labels, reason: str) -> None:
        for label in labels.tolist():
            self.reasons.setdefault(label, reason)


class _Reader:
    """Walks a Keras model once and collects nodes and labels."""

    def __init__(self, model: Any) -> None:
        self.model = _functional(model)
        self.flow = _Flow()
        self.values: dict[int, Value] = {}
        self.labels: dict[Value, Labels] = {}
        self.calls: list[tuple[Any, Call, Roles, tuple[Value, ...], Any]] = []
        self.first_call: dict[str, Roles] = {}

    def read(self) -> ChannelGraph:
        for depth in sorted(self.model._nodes_by_depth, reverse=True):
            for node in self.model._nodes_by_depth[depth]:
                self._read_node(node)
        for tensor in self.model.outputs:
            self.flow.pin(self.labels[self.values[id(tensor)]], "model output")
        return self._graph()

    def _read_node(self, node: Any) -> None:
        layer = node.operation
        index = len(self.calls)
        self.flow.at = layer.name
        inputs = tuple(self.values[id(tensor)] for tensor in node.input_tensors)
        (output,) = self._single_output(layer, node)
        call = Call(
            name=layer.name,
            op=type(layer).__name__,
            config=layer.get_config(),
            inputs=tuple(self.labels[value] for value in inputs),
            input_shapes=tuple(tuple(tensor.shape[1:]) for tensor in node.input_tensors),
            output_shape=tuple(output.shape[1:]),
        )
        roles = self._roles(call)
        for role, labels in self.first_call.setdefault(layer.name, roles).items():
            self.flow.unite(labels, roles[role])  # a layer called twice has one kernel for both calls
        value = Value(index)
        self.values[id(output)] = value
        self.labels[value] = roles["out"]
        self.calls.append((layer, call, roles, inputs, node.arguments))

    def _single_output(self, layer: Any, node: Any) -> Any:
        if len(node.output_tensors) != 1:
            raise GraphError(
                f"Layer {layer.name!r} ({type(layer).__name__}) has {len(node.output_tensors)} outputs, expected one."
            )
        return node.output_tensors

    def _roles(self, call: Call) -> Roles:
        if call.config.get("data_format", "channels_last") != "channels_last":
            raise GraphError(
                f"Layer {call.name!r} ({call.op}) has data_format={call.config['data_format']!r}. Expected "
                "'channels_last', the only one that TensorFlow Lite runs."
            )
        if call.op == INPUT:
            if not call.output_shape or call.output_shape[-1] is None:
                raise GraphError(
                    f"Input {call.name!r} has the shape {call.output_shape}. Expected a fixed number of channels on "
                    "the last axis, for example Input((224, 224, 3))."
                )
            labels = self.flow.new(call.output_shape[-1])
            self.flow.pin(labels, "model input")
            return {"out": labels}
        return rule_for(call.op, call.name).flow(self.flow, call)

    def _graph(self) -> ChannelGraph:
        roots = np.array([self.flow.find(label) for label in range(len(self.flow.parent))])
        axes: dict[bytes, int] = {}
        arrays: list[Labels] = []
        indexed = []
        for _, _, roles, _, _ in self.calls:
            row = {}
            for role, labels in roles.items():
                array = roots[labels]
                if array.tobytes() not in axes:
                    axes[array.tobytes()] = len(arrays)
                    arrays.append(array)
                row[role] = axes[array.tobytes()]
            indexed.append(row)
        groups, renumbered = self._groups(roots, arrays, indexed)
        nodes = tuple(self._node(place, row) for place, row in enumerate(indexed))
        return ChannelGraph(
            name=self.model.name,
            nodes=nodes,
            inputs=tuple(self.values[id(tensor)] for tensor in self.model.inputs),
            outputs=tuple(self.values[id(tensor)] for tensor in self.model.outputs),
            groups=groups,
            axes=tuple(renumbered[array] for array in arrays),
        )

    def _groups(
        self, roots: Labels, axes: list[Labels], roles: list[dict[str, int]]
    ) -> tuple[tuple[Group, ...], np.ndarray]:
        """Groups the channels by how often they stand in every axis; returns the groups and root → label."""
        reasons: dict[int, str] = {}
        for label, reason in self.flow.reasons.items():
            reasons.setdefault(int(roots[label]), reason)
        signature: dict[int, list[Any]] = defaultdict(list)
        for index, axis in enumerate(axes):
            for label, count in zip(*np.unique(axis, return_counts=True), strict=True):
                signature[int(label)].append((index, int(count)))
        members: dict[Any, list[int]] = defaultdict(list)
        for label in sorted(signature):
            members[(reasons.get(label), *signature[label])].append(label)
        renumbered = np.full(len(roots), -1)
        groups: list[Group] = []
        offset = 0
        for (reason, *rows), labels in members.items():
            producers, consumers = self._routes({index for index, _ in rows}, roles)
            name = self.flow.producer[labels[0]]
            taken = sum(group.name.split("#")[0] == name for group in groups)
            renumbered[labels] = np.arange(offset, offset + len(labels))
            unique = f"{name}#{taken + 1}" if taken else name
            groups.append(Group(unique, len(labels), producers, consumers, reason, offset))
            offset += len(labels)
        return tuple(groups), renumbered

    def _routes(self, axes: set[int], roles: list[dict[str, int]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        producers, consumers = [], []
        for (_, call, *_), row in zip(self.calls, roles, strict=True):
            kernel = () if call.op == INPUT else rule_for(call.op, call.name).weights.get("kernel", ())
            if call.op == INPUT or "out" in kernel:
                if row["out"] in axes:
                    producers.append(call.name)
            if kernel and row["in"] in axes:
                consumers.append(call.name)
        return tuple(dict.fromkeys(producers)), tuple(dict.fromkeys(consumers))

    def _node(self, index: int, roles: dict[str, int]) -> Node:
        layer, call, _, inputs, arguments = self.calls[index]
        earlier = sum(other.name == call.name for _, other, *_ in self.calls[:index])
        spec = keras.saving.serialize_keras_object(layer)
        spec.pop("build_config", None)
        return Node(
            name=f"{call.name}:{earlier + 1}" if earlier else call.name,
            layer=call.name,
            op=call.op,
            spec=spec,
            inputs=inputs,
            arguments=(self._template(arguments.args), self._template(arguments.kwargs)),
            shape=call.output_shape,
            roles=roles,
            weights={weight.name: tuple(weight.shape) for weight in layer.weights},
            constants=_constants(layer, call.op),
            call=call,
        )

    def _template(self, arguments: Any) -> Any:
        """The arguments of a call with every tensor replaced by its `Value`."""
        if isinstance(arguments, keras.KerasTensor):
            return self.values[id(arguments)]
        if isinstance(arguments, list | tuple):
            return [self._template(item) for item in arguments]
        if isinstance(arguments, dict):
            return {key: self._template(item) for key, item in arguments.items()}
        return arguments


def _constants(layer: Any, op: str) -> tuple[np.ndarray, ...]:
    if op == INPUT or rule_for(op, layer.name).weights:
        return ()
    return tuple(np.asarray(weight) for weight in layer.weights)


def _functional(model: Any) -> Any:
    """The Functional model to read: the model itself, or the one inside a Sequential."""
    kind = type(model).__name__
    if isinstance(model, keras.Sequential):
        if not model.built or model._functional is None:
            raise GraphError(
                f"Sequential model {model.name!r} is not built. Add keras.Input(shape) as its first layer, or call "
                "model.build((None, height, width, channels))."
            )
        return model._functional
    if not isinstance(model, keras.Model):
        raise GraphError(f"Expected a Keras model, received {kind}.")
    if not hasattr(model, "_nodes_by_depth"):
        raise GraphError(
            f"Model {model.name!r} ({kind}) is subclassed, so its graph cannot be read. Expected a Functional or "
            "Sequential model: build it with keras.Input and keras.Model(inputs, outputs)."
        )
    return model
