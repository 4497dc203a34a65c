"""What a rule sees: one call of a layer or operation, and the channels of the tensors that it reads.

Channels are known by *labels*. The labels of a tensor are an int array of the tensor's rank, without the batch, that
names the channel of every element. An axis along which the channel does not change has length 1, whatever its length in
the tensor: `[1, 1, 64]` for a map of 64 channels, `[64, 1]` for its transpose. So most operations act on labels exactly
as they act on the tensor: transposing, slicing, joining, repeating.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tfmeta.errors import GraphError

Labels = np.ndarray
Shape = tuple[int | None, ...]
Roles = dict[str, Labels]


@dataclass(frozen=True)
class Call:
    """One use of a layer, as a rule sees it. Shapes are without the batch dimension.

    Attributes:
        name: name of the layer.
        op: its class, "ops." before that of a bare Keras operation.
        config: its options.
        inputs: labels of the tensors that it reads.
        input_shapes: their shapes.
        output_shapes: shapes of the tensors that it makes.
        arguments: positional and keyword arguments.
        values: what stands there for each tensor.
    """

    name: str
    op: str
    config: Mapping[str, Any]
    inputs: tuple[Labels, ...]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    arguments: tuple[Sequence[Any], Mapping[str, Any]] = ((), {})
    values: tuple[Any, ...] = ()

    @property
    def output_shape(self) -> Shape:
        """Shape of the first output."""
        return self.output_shapes[0]


class Flow(Protocol):
    """What a rule may do with channels."""

    def new(self, size: int) -> Labels:
        """Returns labels `[size]` of new channels, produced by the present call."""

    def unite(self, first: Labels, second: Labels) -> None:
        """Makes the channels at equal places inseparable. The arrays are broadcast against each other."""

    def pin(self, labels: Labels, reason: str) -> None:
        """Forbids to remove these channels."""

    def whole(self, *shape: int) -> Labels:
        """Returns labels of what always stays as it is: places that stand for no channels."""


@dataclass(frozen=True)
class Kept:
    """What stays of one tensor.

    Attributes:
        axis: the axis of its channels.
        places: kept places along that axis.
        shape: its shape then.
    """

    axis: int
    places: np.ndarray
    shape: Shape


@dataclass(frozen=True)
class Cut:
    """What stays of a call's channels: for options and arguments that must follow.

    Attributes:
        counts: role to its number of channels.
        inputs: what stays of each input.
        outputs: what stays of each output.
    """

    counts: Mapping[str, int]
    inputs: tuple[Kept, ...]
    outputs: tuple[Kept, ...]


def attention_inputs(call: Call) -> tuple[int, int, int]:
    """Returns which inputs of an attention layer are its query, value and key; further ones are masks."""
    args, kwargs = call.arguments
    given = {**kwargs, **dict(zip(("query", "value", "key"), args, strict=False))}
    query, value = (call.values.index(given[name]) for name in ("query", "value"))
    return query, value, value if given.get("key") is None else call.values.index(given["key"])


def positions(call: Call, shape: Shape, axis: int = -1) -> int:
    """Returns the number of places in ``shape`` besides the channel axis.

    Raises:
        GraphError: a dimension is unknown.
    """
    others = [size for place, size in enumerate(shape) if place != axis % len(shape)]
    known = [size for size in others if size is not None]
    if len(known) != len(others):
        raise GraphError(
            f"Layer {call.name!r} ({call.op}) has the shape {shape}: its cost needs fixed height and width. Build the "
            "model with a fixed input shape, for example Input((224, 224, 3))."
        )
    return math.prod(known)
