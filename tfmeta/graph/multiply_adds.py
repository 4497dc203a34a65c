"""Multiply-adds of layers, as terms of a factor and the roles whose numbers of channels it is multiplied with."""

from __future__ import annotations

import math
from collections.abc import Callable

from tfmeta.graph.calls import Call, attention_inputs, positions

Terms = list[tuple[int, tuple[str, ...]]]
Count = Callable[[Call], Terms]


def convolution(call: Call) -> Terms:
    """Every output reads all channels of its group under the kernel."""
    taps = math.prod(call.config["kernel_size"])
    depthwise = call.config.get("groups", 1) == call.input_shapes[0][-1] != 1
    return [(taps * positions(call, call.output_shape), ("out",) if depthwise else ("in_per_group", "out"))]


def transposed(call: Call) -> Terms:
    """Every input is spread over the kernel, for all output channels."""
    return [(math.prod(call.config["kernel_size"]) * positions(call, call.input_shapes[0]), ("in", "out"))]


def depthwise(call: Call) -> Terms:
    """Every output reads one channel under the kernel."""
    return [(math.prod(call.config["kernel_size"]) * positions(call, call.output_shape), ("out",))]


def separable(call: Call) -> Terms:
    """A depthwise and a pointwise convolution."""
    places = positions(call, call.output_shape)
    return [(math.prod(call.config["kernel_size"]) * places, ("middle",)), (places, ("middle", "out"))]


def dense(call: Call) -> Terms:
    """Every output reads all inputs."""
    return [(positions(call, call.output_shape), ("in", "out"))]


def einsum(call: Call) -> Terms:
    """One for every combination of the letters of the equation: those of the input, and those that are made."""
    given, made = (side.split(",")[0] for side in call.config["equation"].split("->"))
    sizes: dict[str, int | None] = {}
    for letters, shape in ((given, call.input_shapes[0]), (made, call.output_shape)):
        before, _, after = letters.partition("...")
        middle = map(str, range(1 + len(shape) - len(before) - len(after)))
        for place, size in zip((*before, *middle, *after), (None, *shape), strict=True):  # with the batch
            sizes[place] = sizes.get(place) or size
    first = given[0] if given[0] != "." else "0"  # the batch
    factor = positions(call, (*(size for place, size in sizes.items() if place != first), 1))
    return [(factor, ())]


def attention(call: Call) -> Terms:
    """The four projections, and the two products of heads."""
    heads, size = call.config["num_heads"], call.config["key_dim"]
    return _attention(call, heads, heads, size, call.config["value_dim"] or size)


def grouped_attention(call: Call) -> Terms:
    """The same with several query heads for each head of keys and values."""
    heads, size = call.config["num_query_heads"], call.config["head_dim"]
    return _attention(call, heads, call.config["num_key_value_heads"], size, size)


def _attention(call: Call, heads: int, key_heads: int, size: int, values: int) -> Terms:
    query, source = (positions(call, call.input_shapes[index]) for index in attention_inputs(call)[:2])
    gate = query * heads * values if call.config.get("use_gate") else 0
    return [
        (query * heads * size + gate, ("in",)),
        (source * key_heads * size, ("key",)),
        (source * key_heads * values, ("value",)),
        (query * source * heads * (size + values), ()),
        (query * heads * values, ("out",)),
    ]
