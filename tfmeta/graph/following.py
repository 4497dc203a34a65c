"""Options and arguments of layers that follow the widths: from what stays of a call's channels to the new values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfmeta.graph.calls import Call, Cut
from tfmeta.graph.shape_flows import expanded_key, index_key

Options = dict[str, Any]


def count(field: str, role: str = "out") -> Callable[[Call, Cut], Options]:
    """Returns the rule that one option is the number of channels of a role."""
    return lambda call, cut: {field: cut.counts[role]}


def convolution(call: Call, cut: Cut) -> Options:
    """The filters, and of a depthwise convolution in other words the groups."""
    fields: Options = {"filters": cut.counts["out"]}
    if "in_per_group" not in cut.counts:
        fields["groups"] = cut.counts["in"]
    return fields


def group_normalise(call: Call, cut: Cut) -> Options:
    """As many groups as channels go on being so; other groups stay, each with fewer channels."""
    each = call.config["groups"] == call.input_shapes[0][-1]
    return {"groups": cut.counts["in"]} if each else {}


def target_shape(field: str, batch: int) -> Callable[[Call, Cut], Options]:
    """Returns the rule for the option of a reshape; ``batch`` is how many of its sizes are the batch's."""

    def follow(call: Call, cut: Cut) -> Options:
        given = tuple(call.config[field])
        shape = (*given[:batch], *cut.outputs[0].shape)
        # -1 goes on meaning the rest, and an unknown size stays as it was given.
        return {field: tuple(old if new is None or old == -1 else new for old, new in zip(given, shape, strict=True))}

    return follow


def split(call: Call, cut: Cut) -> Options:
    """The places at which a split now cuts."""
    kept, axis = cut.inputs[0], call.config["axis"] % (len(call.input_shapes[0]) + 1) - 1
    if axis != kept.axis:
        return {}
    sizes = [int(part.shape[axis] or 0) for part in cut.outputs]
    return {"indices_or_sections": tuple(np.cumsum(sizes)[:-1].tolist())}


def index(call: Call, cut: Cut) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of `x[key]`: the same channels at their new places."""
    kept, size = cut.inputs[0], call.input_shapes[0][cut.inputs[0].axis]
    key = expanded_key(index_key(call), len(call.input_shapes[0]) + 1)
    places = [place for place, item in enumerate(key) if item is not None]
    item = key[places[kept.axis + 1]]
    if size is not None and item != slice(None):
        taken = np.arange(size)[item]
        found = np.flatnonzero(np.isin(kept.places, taken)).tolist()
        if isinstance(item, int):
            new: Any = found[0]
        elif (item.step or 1) > 0:
            new = slice(found[0], found[-1] + 1, item.step)
        else:
            new = slice(found[-1], found[0] - 1 if found[0] else None, item.step)
        key[places[kept.axis + 1]] = new
    return [call.arguments[0][0], tuple(key)], {}
