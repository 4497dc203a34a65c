"""The one table of operations: how channels pass through each, and which weights and config fields depend on them.

A rule sees channels as *labels*: an int array as long as a tensor's last axis that names the channel in every place.
Most operations act on the labels exactly as they act on the tensor (concatenating, tiling, repeating), so a rule is a
line or two. `Flow` makes new channels, unites channels that can only be kept together, and pins those that must stay.

To support another operation, add one row to `RULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from tfmeta.errors import GraphError

Labels = np.ndarray
Shape = tuple[int | None, ...]
Roles = dict[str, Labels]


@dataclass(frozen=True)
class Call:
    """One use of a layer, as a rule sees it. Shapes are without the batch dimension."""

    name: str
    op: str
    config: Mapping[str, Any]
    inputs: tuple[Labels, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape


class Flow(Protocol):
    """What a rule may do with channels."""

    def new(self, size: int) -> Labels:
        """Returns labels `[size]` of new channels, produced by the present call."""

    def unite(self, first: Labels, second: Labels) -> None:
        """Makes the channels at equal places inseparable."""

    def pin(self, labels: Labels, reason: str) -> None:
        """Forbids to remove these channels."""


@dataclass(frozen=True)
class Rule:
    """What one kind of layer does with channels.

    Attributes:
        flow: returns the labels of every role; "in" is the input, "out" the output.
        weights: variable name to the role of each of its axes, None for an axis without channels. Weights that are not
            named here are copied whole.
        resize: config and the channel count of each role to the config fields that change.
        macs: multiply-adds as (factor, roles): the factor times the channel counts of the roles.
        in_place: the output can overwrite the input, so it needs no memory of its own.
    """

    flow: Callable[[Flow, Call], Roles]
    weights: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    resize: Callable[[Mapping[str, Any], Mapping[str, int]], dict[str, Any]] = lambda config, counts: {}
    macs: Callable[[Call], tuple[int, tuple[str, ...]]] | None = None
    in_place: bool = False


def positions(call: Call, shape: Shape) -> int:
    """Returns the number of places in ``shape`` besides the channel axis.

    Raises:
        GraphError: a dimension is unknown.
    """
    if None in shape[:-1]:
        raise GraphError(
            f"Layer {call.name!r} ({call.op}) has the shape {shape}: its cost needs fixed height and width. Build the "
            "model with a fixed input shape, for example Input((224, 224, 3))."
        )
    return math.prod(size for size in shape[:-1] if size is not None)


# Flows


# Activations that compute a channel from all channels: with fewer of them, the rest would change.
_MIXING = ("softmax", "log_softmax", "sparsemax")


def _pin_mixed(flow: Flow, call: Call, labels: Labels) -> None:
    if call.op == "Softmax" or call.config.get("activation") in _MIXING:
        flow.pin(labels, f"{call.config.get('activation', 'softmax')} over the channels")


def _same(flow: Flow, call: Call) -> Roles:
    labels = call.inputs[0]
    return {"in": labels, "out": labels}


def _convolution(flow: Flow, call: Call) -> Roles:
    labels, filters, groups = call.inputs[0], call.config["filters"], call.config.get("groups", 1)
    if groups == len(labels) > 1:  # a depthwise convolution in other words: the groups go with the channels
        out = np.repeat(labels, filters // groups)
        _pin_mixed(flow, call, out)
        return {"in": labels, "out": out}
    out = flow.new(filters)
    _pin_mixed(flow, call, out)
    for wide in (labels, out):  # every group must keep the same number, so its k-th channels stay or go together
        blocks = wide.reshape(groups, -1)
        for block in blocks[1:]:
            flow.unite(blocks[0], block)
    return {"in": labels, "in_per_group": labels[: len(labels) // groups], "out": out}


def _depthwise(flow: Flow, call: Call) -> Roles:
    out = np.repeat(call.inputs[0], call.config["depth_multiplier"])
    _pin_mixed(flow, call, out)
    return {"in": call.inputs[0], "out": out}


def _dense(flow: Flow, call: Call) -> Roles:
    out = flow.new(call.config["units"])
    _pin_mixed(flow, call, out)
    return {"in": call.inputs[0], "out": out}


def _normalise(flow: Flow, call: Call) -> Roles:
    axis, rank = call.config["axis"], len(call.output_shape) + 1
    axes = axis if isinstance(axis, list | tuple) else [axis]
    if [a % rank for a in axes] != [rank - 1]:
        raise GraphError(
            f"Layer {call.name!r} ({call.op}) normalises axis {axis}. Expected the last axis, the channels."
        )
    return _same(flow, call)


def _activation(flow: Flow, call: Call) -> Roles:
    _pin_mixed(flow, call, call.inputs[0])
    return _same(flow, call)


def _constants(*fields: str) -> Callable[[Flow, Call], Roles]:
    """Layers whose config may hold one number a channel; then the channels stay."""

    def flow_constants(flow: Flow, call: Call) -> Roles:
        if any(np.ndim(call.config.get(name) or 0) for name in fields) or not fields:
            flow.pin(call.inputs[0], f"constants a channel in {call.name}")
        return _same(flow, call)

    return flow_constants


def _elementwise(flow: Flow, call: Call) -> Roles:
    widest = max(call.inputs, key=len)
    for labels in call.inputs:
        if len(labels) == len(widest):
            flow.unite(widest, labels)
        elif len(labels) != 1:
            raise GraphError(f"Layer {call.name!r} ({call.op}) joins {len(labels)} and {len(widest)} channels.")
        else:  # one channel is spread over all of them: it can only stay
            flow.pin(labels, f"broadcast over the channels in {call.name}")
    return {"in": widest, "out": widest}


def _concatenate(flow: Flow, call: Call) -> Roles:
    axis, rank = call.config.get("axis", -1), len(call.output_shape) + 1
    if axis % rank == rank - 1:
        joined = np.concatenate(call.inputs)
        return {"in": joined, "out": joined}
    return _elementwise(flow, call)


def _reshape(flow: Flow, call: Call) -> Roles:
    """Reshapes the labels themselves; channels may only vary along the last axis of the result."""
    labels, before, after = call.inputs[0], call.input_shapes[0], call.output_shape
    if before[-1] != after[-1]:
        full = np.broadcast_to(labels, (positions(call, before), len(labels)))
        rows = full.reshape(-1, int(after[-1] or 0))
        if (rows != rows[0]).any():
            raise GraphError(
                f"Layer {call.name!r} ({call.op}) from {before} to {after} spreads channels over other axes, which "
                "no rule covers. Keep the channels on the last axis, or use Flatten or GlobalAveragePooling2D."
            )
        return {"in": labels, "out": rows[0]}
    return _same(flow, call)


# Config fields that follow the widths


def _resize_convolution(config: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    fields: dict[str, Any] = {"filters": counts["out"]}
    if "in_per_group" not in counts:
        fields["groups"] = counts["in"]
    return fields


def _resize_reshape(config: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    *others, last = config["target_shape"]
    return {"target_shape": (*others, last if last == -1 else counts["out"])}


# Multiply-adds


def _macs_convolution(call: Call) -> tuple[int, tuple[str, ...]]:
    taps = math.prod(call.config["kernel_size"])
    depthwise = call.config.get("groups", 1) == len(call.inputs[0]) > 1
    per_output = ("out",) if depthwise else ("in_per_group", "out")
    return taps * positions(call, call.output_shape), per_output


def _macs_depthwise(call: Call) -> tuple[int, tuple[str, ...]]:
    return math.prod(call.config["kernel_size"]) * positions(call, call.output_shape), ("out",)


def _macs_dense(call: Call) -> tuple[int, tuple[str, ...]]:
    return positions(call, call.output_shape), ("in", "out")


_PASS = Rule(_same)
_PASS_IN_PLACE = Rule(_same, in_place=True)
_JOIN = Rule(_elementwise)

RULES: Mapping[str, Rule] = {
    # With weights
    "Conv2D": Rule(
        _convolution,
        weights={"kernel": (None, None, "in_per_group", "out"), "bias": ("out",)},
        resize=_resize_convolution,
        macs=_macs_convolution,
    ),
    "DepthwiseConv2D": Rule(
        _depthwise,
        weights={"kernel": (None, None, "in", None), "bias": ("out",)},
        macs=_macs_depthwise,
    ),
    "Dense": Rule(
        _dense,
        weights={"kernel": ("in", "out"), "bias": ("out",)},
        resize=lambda config, counts: {"units": counts["out"]},
        macs=_macs_dense,
    ),
    "BatchNormalization": Rule(
        _normalise,
        weights=dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), ("out",)),
        in_place=True,
    ),
    # Joins
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _JOIN),
    "Concatenate": Rule(_concatenate),
    # Shapes
    "Flatten": Rule(_reshape, in_place=True),
    "Reshape": Rule(_reshape, resize=_resize_reshape, in_place=True),
    # Constants a channel
    "Rescaling": Rule(_constants("scale", "offset"), in_place=True),
    "Normalization": Rule(_constants(), in_place=True),
    # Activations
    "Activation": Rule(_activation, in_place=True),
    "Softmax": Rule(_activation, in_place=True),
    **dict.fromkeys(("ReLU", "LeakyReLU", "ELU"), _PASS_IN_PLACE),
    # Nothing but training
    **dict.fromkeys(("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "Identity"), _PASS_IN_PLACE),
    **dict.fromkeys(("RandomFlip", "RandomTranslation", "RandomRotation", "RandomZoom", "RandomContrast"), _PASS),
    # Space
    **dict.fromkeys(
        (
            "ZeroPadding2D",
            "Cropping2D",
            "MaxPooling2D",
            "AveragePooling2D",
            "GlobalMaxPooling2D",
            "GlobalAveragePooling2D",
            "UpSampling2D",
        ),
        _PASS,
    ),
}


def rule_for(op: str, layer: str) -> Rule:
    """Returns the rule of the operation ``op``.

    Raises:
        GraphError: there is none; the text names the layer and says what to do.
    """
    if op not in RULES:
        raise GraphError(
            f"Layer {layer!r} is a {op}, for which no rule says how channels pass through it. Known are: "
            f"{', '.join(sorted(RULES))}. Replace the layer, or add a row for {op} to tfmeta/graph/rules.py."
        )
    return RULES[op]
