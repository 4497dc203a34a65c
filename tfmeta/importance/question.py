"""What a criterion is asked, and how answers of layers become answers of groups."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph import keras_layer
from tfmeta.graph.channel_graph import ChannelGraph, Node, is_kernel
from tfmeta.graph.reader import layers_of

Scores = list[np.ndarray]
# Training images that criteria look at, unless told otherwise.
IMAGES = 256
# Criteria that look at weights only.
_BLIND = "l1, l2, bn_gamma, fpgm, lamp"


@dataclass(frozen=True, eq=False)
class Question:
    """A model whose channels are to be scored.

    Attributes:
        model: the Keras model.
        graph: its channel graph.
        rng: for criteria that draw.
        images: `[N, H, W, C]` for criteria that need data.
        labels: `[N]` int, likewise.
    """

    model: Any
    graph: ChannelGraph
    rng: np.random.Generator
    images: np.ndarray | None = None
    labels: np.ndarray | None = None

    @functools.cached_property
    def layers(self) -> dict[str, Any]:
        """The model's layers by the names that nodes have."""
        return layers_of(self.model)

    def data(self, criterion: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels.

        Raises:
            UserError: there are none, or the model does not make one output of one input.
        """
        inputs, outputs = len(self.graph.inputs), len(self.graph.outputs)
        if (inputs, outputs) != (1, 1):
            raise UserError(
                f"The criterion {criterion!r} needs a model from one input to one output, and {self.graph.name!r} has "
                f"{inputs} and {outputs}. Take one of {_BLIND}."
            )
        if self.images is None or self.labels is None:
            raise UserError(
                f"The criterion {criterion!r} needs images and labels. Pass some of the training split, or take one of "
                f"{_BLIND}."
            )
        return self.images, self.labels

    def by_group(self, channels: np.ndarray) -> Scores:
        """Returns scores `[num_channels]` as those of the searchable groups."""
        return [channels[group.offset : group.offset + group.size] for group in self.graph.searchable]

    def filters(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (labels `[n]`, filters `[n, weights a filter]`) of every kernel that makes or filters channels."""
        seen: set[str] = set()
        for node in self.graph.nodes:
            if node.layer in seen or node.layer not in self.layers:
                continue
            seen.add(node.layer)
            for name, weight in keras_layer.weights(self.layers[node.layer]).items():
                axis = made_axis(node, name) if is_kernel(name) else None
                if axis is not None:
                    places, value = self.graph.axes[node.weight_axes(name)[axis]], np.asarray(weight, np.float64)  # type: ignore[index]
                    yield places, np.moveaxis(value, axis, 0).reshape(len(places), -1)

    def over_filters(self, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Returns `[num_channels]`: what ``measure`` says of filters `[n, weights]`, averaged over a group's layers.

        The answers of each layer are scaled to a mean of 1, so that none outweighs the others. They are averaged and
        not added up: between groups, a channel is worth no more for being made by more layers.
        """
        totals, counts = np.zeros(self.graph.num_channels), np.zeros(self.graph.num_channels)
        for places, filters in self.filters():
            values = measure(filters)
            np.add.at(totals, places, values / max(values.mean(), 1e-12))
            np.add.at(counts, places, 1)
        return totals / np.maximum(counts, 1)


def made_axis(node: Node, weight: str) -> int | None:
    """Returns the dimension of a kernel whose places are the channels that the layer makes, or filters one by one."""
    roles = node.rule.weights.get(weight, node.rule.weights.get("*", ()))
    axes = node.weight_axes(weight)
    for wanted in ("out", "in"):
        if wanted in roles and (wanted == "out" or "out" not in roles) and weight != "depthwise_kernel":
            axis = len(axes) - len(roles) + list(roles).index(wanted)
            if axes[axis] is not None and (wanted == "out" or node.op.startswith("Depthwise")):
                return axis
    return None
