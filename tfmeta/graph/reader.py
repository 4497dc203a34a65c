"""Reads a Keras model into a `ChannelGraph`. The only module that looks at the inside of Keras' graphs.

The walk goes over the model's calls once. Every tensor's last axis carries labels, one a channel: layers with weights
make new labels, joins unite labels, all other layers pass them on (`rules`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from tfmeta.errors import GraphError
from tfmeta.graph.channel_graph import INPUT, ChannelGraph, Group, Node, Value
from tfmeta.graph.rules import Call, Labels, Roles, rule_for
from tfmeta.lazy import keras


def read(model: Any) -> ChannelGraph:
    """Returns the channel graph of a built Functional or Sequential model (see `ChannelGraph.from_model`)."""
    return _Reader(model).read()


class _Flow:
    """Labels of channels in the making: a union-find forest over all of them."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.producer: list[str] = []
        self.reasons: dict[int, list[str]] = defaultdict(list)
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
            self.reasons[label].append(reason)


class _Reader:
    """Walks a Keras model once and collects nodes and labels."""

    def __init__(self, model: Any) -> None:
        self.model = _functional(model)
        self.name = model.name  # that inside a Sequential has a number for a name
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
        layer = _layer(node.operation)
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
        if len(roles["out"]) != call.output_shape[-1]:
            raise GraphError(
                f"Layer {call.name!r} ({call.op}) gives {call.output_shape[-1]} channels where its rule says "
                f"{len(roles['out'])}. Expected a layer that keeps or makes its channels as the rule in "
                "tfmeta/graph/rules.py says; replace the layer, or mend the rule."
            )
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
            name=self.name,
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
        found: dict[int, list[str]] = defaultdict(list)
        for label, texts in self.flow.reasons.items():
            found[int(roots[label])] += texts
        reasons = {label: ", ".join(dict.fromkeys(texts)) for label, texts in found.items()}
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
        for (_, call, labels, *_), row in zip(self.calls, roles, strict=True):
            kernel = () if call.op == INPUT else rule_for(call.op, call.name).weights.get("kernel", ())
            if self.flow.producer[labels["out"][0]] == call.name and row["out"] in axes:
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


def _layer(operation: Any) -> Any:
    """The operation itself when it is a plain layer."""
    kind = type(operation).__name__
    if isinstance(operation, keras.Model):
        raise GraphError(
            f"Layer {operation.name!r} is a whole model ({kind}) inside the model. Expected single layers: go on from "
            "its output instead of calling it, as in keras.Model(inner.input, head(inner.output))."
        )
    if not isinstance(operation, keras.layers.Layer):
        raise GraphError(
            f"{operation.name!r} is the bare operation {kind}, for example from writing x + y. Expected a layer: write "
            f"keras.layers.{kind}()(...) where that exists, or another layer that does the same."
        )
    return operation


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
