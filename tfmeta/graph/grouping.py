"""From the labels of all tensors to axes and channel groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfmeta.graph.calls import Call, Labels, Roles, Shape
from tfmeta.graph.channel_graph import Group, Value, is_kernel
from tfmeta.graph.labelling import Labelling
from tfmeta.graph.rules import Rule

# Layer name to its place in the walk, for every axis.
Routes = dict[int, dict[str, int]]


@dataclass
class Step:
    """A call that was read, on its way to a `Node`."""

    layer: Any
    call: Call
    rule: Rule
    roles: Roles
    inputs: tuple[Value, ...]
    arguments: tuple[Sequence[Any], dict[str, Any]]
    constants: tuple[np.ndarray, ...] = ()
    axes: dict[str, int] = field(default_factory=dict)
    channel_axes: tuple[int, ...] = ()

    @property
    def outputs(self) -> list[str]:
        """The roles of the outputs."""
        return [f"out{number or ''}" for number in range(len(self.call.output_shapes))]


def settle(labelling: Labelling, steps: Sequence[Step]) -> tuple[tuple[Labels, ...], tuple[Group, ...]]:
    """Gives every tensor one axis of channels, and every step the indices of its axes.

    Returns:
        The distinct axes, as labels that are numbered group after group, and the groups.
    """
    roots = _single_axes(labelling, steps)
    places: dict[bytes, int] = {}
    axes: list[Labels] = []
    for step in steps:
        shapes = dict(zip(step.outputs, step.call.output_shapes, strict=True))
        found = {role: _channel_axis(roots, labels) for role, labels in step.roles.items()}
        step.channel_axes = tuple(found[role] for role in step.outputs)
        for role, labels in step.roles.items():
            axis = _along(roots[labels], found[role], shapes.get(role))
            if axis.tobytes() not in places:
                places[axis.tobytes()] = len(axes)
                axes.append(axis)
            step.axes[role] = places[axis.tobytes()]
    renumbered, groups = _groups(labelling, roots, axes, _routes(labelling, steps))
    return tuple(renumbered[axis] for axis in axes), groups


def _varies(labels: Labels, axis: int) -> bool:
    return bool((labels != labels.take([0], axis)).any())


def _single_axes(labelling: Labelling, steps: Sequence[Step]) -> Labels:
    """Unites channels until those of every tensor vary along one axis only; returns the roots of all labels.

    Of channels `[groups, n]` that a reshape has laid out, whole columns stay or go: the longest axis is kept.
    """
    crossed = [labels for step in steps for labels in step.roles.values() if sum(n > 1 for n in labels.shape) > 1]
    while True:
        roots, done = labelling.roots(), True
        for labels in crossed:
            wide = [(size, axis) for axis, size in enumerate(labels.shape) if _varies(roots[labels], axis)]
            if len(wide) > 1:
                size, axis = max(wide)
                rows = np.moveaxis(labels, axis, -1).reshape(-1, size)
                labelling.unite(rows[0], rows)
                done = False
        if done:
            return roots


def _channel_axis(roots: Labels, labels: Labels) -> int:
    """The axis along which the channels of a tensor vary; the last where there is only one."""
    wide = [(size, axis) for axis, size in enumerate(labels.shape) if size > 1]
    if len(wide) > 1:
        wide = [pair for pair in wide if _varies(roots[labels], pair[1])] or wide
    return max(wide)[1] if wide else max(0, labels.ndim - 1)


def _along(labels: Labels, axis: int, shape: Shape | None) -> Labels:
    """The labels `[size]` along an axis."""
    row = np.moveaxis(labels, axis, -1).reshape(-1, labels.shape[axis])[0] if labels.ndim else labels.reshape(1)
    if shape and len(row) == 1:  # one label all along the axis
        row = np.repeat(row, shape[axis] or 1)
    return row


def _routes(labelling: Labelling, steps: Sequence[Step]) -> tuple[Routes, Routes]:
    """The layers that make, and those that read, the channels of each axis."""
    producers: Routes = defaultdict(dict)
    consumers: Routes = defaultdict(dict)
    made = set(labelling.producers)
    for place, step in enumerate(steps):
        name, out = step.call.name, step.roles["out"]
        if name in made and out.size and labelling.producer(int(out.flat[0])) == name:
            producers[step.axes["out"]].setdefault(name, place)
        if any(is_kernel(weight) for weight in step.rule.weights):
            consumers[step.axes["in"]].setdefault(name, place)
    return producers, consumers


def _groups(
    labelling: Labelling, roots: Labels, axes: Sequence[Labels], routes: tuple[Routes, Routes]
) -> tuple[Labels, tuple[Group, ...]]:
    found = labelling.groups(roots, axes)
    leads = np.zeros(len(roots), bool)
    leads[[int(labels[0]) for labels, _ in found]] = True
    standing: dict[int, list[int]] = defaultdict(list)
    for index, axis in enumerate(axes):
        for label in np.unique(axis[leads[axis]]).tolist():
            standing[label].append(index)
    renumbered = np.full(len(roots), -1)
    groups: list[Group] = []
    taken: dict[str, int] = defaultdict(int)
    offset = 0
    for labels, reason in found:
        name = labelling.producer(int(labels[0]))
        taken[name] += 1
        producers, consumers = (_in_order(route, standing[int(labels[0])]) for route in routes)
        unique = name if taken[name] == 1 else f"{name}#{taken[name]}"
        groups.append(Group(unique, len(labels), producers, consumers, reason, offset))
        renumbered[labels] = np.arange(offset, offset + len(labels))
        offset += len(labels)
    return renumbered, tuple(groups)


def _in_order(route: Routes, axes: Sequence[int]) -> tuple[str, ...]:
    found = {name: place for axis in axes for name, place in route.get(axis, {}).items()}
    return tuple(sorted(found, key=lambda name: found[name]))
