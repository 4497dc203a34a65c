"""Reads a Keras model into a `ChannelGraph`. The only module that looks at the inside of Keras' graphs.

The walk goes over the model's calls once, also over those of models inside the model. Layers with weights make new
labels of channels, joins unite labels, all other layers pass them on (`rules`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tfmeta.errors import GraphError
from tfmeta.graph import keras_layer
from tfmeta.graph.calls import Call, Flow, Labels, Roles, Shape
from tfmeta.graph.channel_graph import CONSTANT, INPUT, ChannelGraph, Node, Value
from tfmeta.graph.grouping import Step, settle
from tfmeta.graph.labelling import Labelling
from tfmeta.graph.rebuild import filled
from tfmeta.graph.rules import Rule, elementwise, rule_for
from tfmeta.lazy import keras

# Tensors of one model (by id) to their values.
Scope = dict[int, Value]


def read(model: Any) -> ChannelGraph:
    """Returns the channel graph of a built Functional or Sequential model (see `ChannelGraph.from_model`)."""
    return _Reader(model).read()


def layers_of(model: Any) -> dict[str, Any]:
    """Returns the layers of a model, and of models inside it, by the names that `Node.layer` has."""
    return {name: layer for layer, name in _named(_functional(model)) if isinstance(layer, keras.layers.Layer)}


class _Reader:
    """Walks a Keras model once and collects steps and labels."""

    def __init__(self, model: Any) -> None:
        self.model = _functional(model)
        self.title = model.name  # that inside a Sequential has a number for a name
        self.names = {id(layer): name for layer, name in _named(self.model)}
        self.labelling = Labelling()
        self.labels: dict[Value, Labels] = {}
        self.steps: list[Step] = []
        self.first_call: dict[str, Roles] = {}
        self.joined_rank = 0  # with batch, of the tensors that arrays are joined to place by place at present

    def read(self) -> ChannelGraph:
        scope: Scope = {}
        self._read_model(self.model, scope, {})
        outputs = tuple(scope[id(tensor)] for tensor in self.model.outputs)
        for value in outputs:
            self.labelling.pin(self.labels[value], "model output")
        axes, groups = settle(self.labelling, self.steps)
        forms = (self.model._inputs_struct, self.model._outputs_struct)
        return ChannelGraph(
            name=self.title,
            nodes=self._nodes(),
            inputs=tuple(scope[id(tensor)] for tensor in self.model.inputs),
            outputs=outputs,
            groups=groups,
            axes=axes,
            forms=(self._template(forms[0], scope), self._template(forms[1], scope)),
        )

    # The walk

    def _read_model(self, model: Any, scope: Scope, options: dict[str, Any]) -> None:
        """Reads all calls of a model; ``scope`` knows the inputs of one that stands inside another."""
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if all(id(tensor) in scope for tensor in node.output_tensors):
                    continue  # the input of an inner model
                if isinstance(node.operation, keras.Model):
                    self._read_inner(node, scope, options)
                else:
                    self._read_node(node, scope, options)

    def _read_inner(self, node: Any, scope: Scope, options: dict[str, Any]) -> None:
        inner = _functional(node.operation)
        own = {id(mine): scope[id(given)] for mine, given in zip(inner.inputs, node.input_tensors, strict=True)}
        given = {key: value for key, value in node.arguments.kwargs.items() if key == "training" and value is not None}
        self._read_model(inner, own, {**options, **given})
        for given_out, mine in zip(node.output_tensors, inner.outputs, strict=True):
            scope[id(given_out)] = own[id(mine)]

    def _read_node(self, node: Any, scope: Scope, options: dict[str, Any]) -> None:
        layer = node.operation
        self.labelling.at = name = self.names[id(layer)]
        op = keras_layer.op(layer)
        rule = Rule(_no_flow) if op == INPUT else rule_for(op, name)
        ranks = [len(tensor.shape) for tensor in node.input_tensors]
        self.joined_rank = max(ranks) if rule.flow is elementwise else 0
        arrays = len(self.steps)
        args, kwargs = (self._template(part, scope) for part in (node.arguments.args, node.arguments.kwargs))
        if "training" in options and getattr(layer, "_call_has_training_arg", False) and kwargs.get("training") is None:
            kwargs["training"] = options["training"]
        constants = [Value(index) for index in range(arrays, len(self.steps))]
        inputs = (*(scope[id(tensor)] for tensor in node.input_tensors), *constants)
        call = Call(
            name=name,
            op=op,
            config=keras_layer.config(layer),
            inputs=tuple(self.labels[value] for value in inputs),
            input_shapes=tuple(self._shape(value) for value in inputs),
            output_shapes=self._shapes(node, inputs, (args, kwargs)),
            arguments=(args, kwargs),
            values=inputs,
        )
        roles = self._roles(call, rule)
        _check_shapes(call, roles)
        weights = keras_layer.weights(layer)
        _check_names(call, rule, weights)
        if rule.follows or weights:
            for role, labels in self.first_call.setdefault(name, roles).items():
                if labels.shape == roles[role].shape:  # a layer called twice has one kernel for both calls
                    self.labelling.unite(labels, roles[role])
        self._add(Step(layer, call, rule, roles, inputs, (args, kwargs), keras_layer.constants(layer, rule)))
        for output, tensor in enumerate(node.output_tensors):
            scope[id(tensor)] = Value(len(self.steps) - 1, output)

    def _shapes(self, node: Any, inputs: Sequence[Value], arguments: tuple[Any, Any]) -> tuple[Shape, ...]:
        """The shapes of what a call makes; those of a model inside the model as it is called here."""
        symbolic = {value: tensor for value, tensor in zip(inputs, node.input_tensors, strict=False)}
        known = {value: self._shape(value) for value in inputs}
        made = node.output_tensors
        if any(known[value] != tuple(tensor.shape[1:]) for value, tensor in symbolic.items()):
            tensors: dict[Value, Any] = {
                value: keras.KerasTensor((tensor.shape[0], *known[value]), tensor.dtype)
                for value, tensor in symbolic.items()
            }
            tensors |= {value: self.steps[value.node].constants[0] for value in inputs if value not in symbolic}
            args, kwargs = (filled(part, tensors) for part in arguments)
            made = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
        return tuple(tuple(tensor.shape[1:]) for tensor in made)

    def _shape(self, value: Value) -> Shape:
        return self.steps[value.node].call.output_shapes[value.output]

    def _roles(self, call: Call, rule: Rule) -> Roles:
        if call.config.get("data_format", "channels_last") not in ("channels_last", None):
            raise GraphError(
                f"Layer {call.name!r} ({call.op}) has data_format={call.config['data_format']!r}. Expected "
                "'channels_last', the only one that TensorFlow Lite runs."
            )
        if call.op != INPUT:
            return rule.roles(self.labelling, call)
        if not call.output_shape or call.output_shape[-1] is None:
            raise GraphError(
                f"Input {call.name!r} has the shape {call.output_shape}. Expected a fixed number of channels on "
                "the last axis, for example Input((224, 224, 3))."
            )
        return {"out": self._made(call.output_shape, "model input")}

    def _made(self, shape: Sequence[Any], reason: str) -> Labels:
        labels = self.labelling.new(shape[-1])
        self.labelling.pin(labels, reason)
        return labels.reshape((1,) * (len(shape) - 1) + (-1,))

    def _add(self, step: Step) -> None:
        for output, role in enumerate(step.outputs):
            self.labels[Value(len(self.steps), output)] = step.roles[role]
        self.steps.append(step)

    def _constant(self, array: np.ndarray) -> Value:
        """Adds an array that the model's code joins to its tensors, as a node of its own."""
        name = f"{self.labelling.at}_constant"
        if array.ndim == self.joined_rank and array.shape[0] == 1:  # the batch, which labels are without
            array = array[0]
        labels = self.labelling.new(array.shape[-1]).reshape((1,) * (array.ndim - 1) + (-1,))
        call = Call(name, CONSTANT, {}, (), (), (array.shape,))
        self._add(Step(None, call, Rule(_no_flow), {"out": labels}, (), ((), {}), (array,)))
        return Value(len(self.steps) - 1)

    def _template(self, arguments: Any, scope: Scope) -> Any:
        """The arguments of a call with every tensor and every array replaced by its `Value`."""
        if isinstance(arguments, keras.KerasTensor):
            return scope[id(arguments)]
        if isinstance(arguments, list | tuple):
            # The type is kept: keys are told apart from lists, and some layers want lists.
            items = [self._template(item, scope) for item in arguments]
            return items if isinstance(arguments, list) else tuple(items)
        if isinstance(arguments, dict):
            return {key: self._template(item, scope) for key, item in arguments.items()}
        if arguments is None or isinstance(arguments, str | int | float | slice):  # nearly always
            return arguments
        if keras.ops.is_tensor(arguments) or isinstance(arguments, np.ndarray | keras.Variable):
            array = keras.ops.convert_to_numpy(arguments)
            return self._constant(array) if array.ndim else array.item()
        return arguments

    # The result

    def _nodes(self) -> tuple[Node, ...]:
        calls: dict[str, int] = defaultdict(int)
        nodes: list[Node] = []
        for step in self.steps:
            name = step.call.name
            calls[name] += 1
            nodes.append(
                Node(
                    index=len(nodes),
                    name=name if calls[name] == 1 else f"{name}:{calls[name]}",
                    layer=name,
                    op=step.call.op,
                    config={**step.call.config, "name": name} if step.layer is not None else {},
                    make=keras_layer.maker(step.layer),
                    rule=step.rule,
                    inputs=step.inputs,
                    arguments=step.arguments,
                    shapes=step.call.output_shapes,
                    channel_axes=step.channel_axes,
                    roles=step.axes,
                    weights={key: tuple(weight.shape) for key, weight in keras_layer.weights(step.layer).items()},
                    constants=step.constants,
                    call=step.call,
                )
            )
        return tuple(nodes)


def _no_flow(flow: Flow, call: Call) -> Roles:
    """Inputs and constants read nothing."""
    return {}


def _check_names(call: Call, rule: Rule, weights: Iterable[str]) -> None:
    if rule.weights and weights and "*" not in rule.weights and not set(rule.weights).intersection(weights):
        raise GraphError(
            f"Layer {call.name!r} ({call.op}) has the weights {', '.join(weights)}, and its rule names none of them: "
            f"{', '.join(rule.weights)}. Expected their names, for those of a layer inside it as 'name/kernel'; give "
            "such layers names, since those that Keras makes up change."
        )


def _check_shapes(call: Call, roles: Roles) -> None:
    for output, shape in enumerate(call.output_shapes):
        labels = roles[f"out{output or ''}"]
        if labels.ndim != len(shape) or any(n not in (1, size) for n, size in zip(labels.shape, shape, strict=True)):
            raise GraphError(
                f"Layer {call.name!r} ({call.op}) gives the shape {shape} where its rule says channels as in "
                f"{labels.shape}. Expected a layer that keeps or makes its channels as the rule in "
                "tfmeta/graph/rules.py says; replace the layer, or mend the rule."
            )


def _named(model: Any) -> Iterator[tuple[Any, str]]:
    """All layers and operations of a model and of the models inside it, each once, with names that are unique."""
    seen: set[int] = set()
    taken: set[str] = set()

    def visit(part: Any) -> Iterator[tuple[Any, str]]:
        for layer in part.operations:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            if isinstance(layer, keras.Model):
                yield from visit(_functional(layer))
                continue
            name, number = layer.name, 1
            while name in taken:
                number += 1
                name = f"{part.name}_{layer.name}" if number == 2 else f"{part.name}_{layer.name}_{number}"
            taken.add(name)
            yield layer, name

    yield from visit(model)


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
