"""Holds a network of keras.applications against everything that tfmeta promises; `make coverage` writes the table."""

from __future__ import annotations

import gc
import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np

from tests import nets, reference
from tfmeta import ChannelGraph, SearchSpace, Selection, cost, export_tflite, prune
from tfmeta.graph.rebuild import rebuild
from tfmeta.lazy import keras
from tfmeta.supernet import memory
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.pruning_net import PruningNet

# Smallest images that the networks take; 32 for all others.
SIZES = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}
CLASSES = 10
# Above this, checks run in single precision, to stay within an ordinary machine's memory.
DOUBLE_PRECISION_PARAMS = 1e8


def names() -> list[str]:
    """Returns all networks of keras.applications."""
    found = vars(keras.applications).items()
    return sorted(name for name, builder in found if inspect.isfunction(builder))


def build(name: str, dtype: str = "float32") -> Any:
    """Returns a network for small images, with random weights."""
    size = SIZES.get(name, 32)
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        builder = getattr(keras.applications, name)
        return builder(weights=None, input_shape=(size, size, 3), classes=CLASSES, classifier_activation=None)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def describe(name: str) -> dict[str, Any]:
    """Returns what the channel graph says of a network."""
    model = build(name)
    graph = ChannelGraph.from_model(model)
    space = SearchSpace.from_graph(graph)
    free = {index for index, group in enumerate(graph.groups) if group.pinned is None}
    prunable = total = 0
    for node in {node.layer: node for node in graph.nodes}.values():
        for weight, shape in node.weights.items():
            axes = [axis for axis in node.weight_axes(weight) if axis is not None]
            total += math.prod(shape)
            prunable += math.prod(shape) if any(free & set(graph.groups_of_axis(axis)) for axis in axes) else 0
    pins: dict[str, int] = {}
    for group in graph.groups:
        if group.pinned is not None:
            pins[group.pinned] = pins.get(group.pinned, 0) + group.size
    return {
        "params": total,
        "groups": len(graph.groups),
        "searchable": len(free),
        "prunable": prunable / total,
        "pinned": pins,
        "macs": cost.macs(graph, space.full()),
        "half_macs": cost.macs(graph, space.uniform(0.5)),
    }


def check_pruning(name: str, structures: int = 2) -> dict[str, Any]:
    """Returns the largest relative error of pruned against zeroed networks, and whether costs are exact."""
    double = describe_params(name) <= DOUBLE_PRECISION_PARAMS
    model = nets.randomise(build(name, "float64" if double else "float32"), np.random.default_rng(2))
    graph = ChannelGraph.from_model(model)
    space, rng = SearchSpace.from_graph(graph, multiple_of=1), np.random.default_rng(4)
    images = nets.colours(model)
    error, exact, depends = 0.0, True, np.inf
    for number in range(structures):
        structure = space.sample(rng) if number % 2 == 0 else space.uniform(0.5)
        choice = Selection.largest(structure, [rng.random(group.size) for group in graph.searchable])
        small = prune(model, choice)
        with reference.zeroed(graph, model, reference.dropped(graph, choice)):
            expected = np.asarray(model(images, training=False), np.float64)
        found = np.asarray(small(images, training=False), np.float64)
        error = max(error, float(np.abs(found - expected).max() / np.abs(expected).max()))
        depends = min(depends, float(np.abs(found[0] - found[1]).max() / np.abs(found).max()))
        calls = [(layer, *shapes) for layer in small.layers for shapes in reference.calls(layer)]
        exact &= cost.macs(graph, structure) == sum(reference.count_macs(*call) for call in calls)
        exact &= cost.params(graph, structure) == small.count_params()
        del small
        gc.collect()
    return {"error": error, "depends": depends, "cost_exact": exact, "precision": "float64" if double else "float32"}


def describe_params(name: str) -> int:
    """Returns the number of weights of a network without its classifier's choice of classes."""
    return int(build(name).count_params())


def check_conversion(name: str, folder: Path) -> dict[str, Any]:
    """Returns the size of the file of a pruned network, which was run against its Keras model."""
    keras.utils.set_random_seed(0)
    model = build(name)
    graph = ChannelGraph.from_model(model)
    structure = SearchSpace.from_graph(graph).uniform(0.25)
    small = nets.settle(rebuild(graph, graph.kept(structure)), np.random.default_rng(2))
    path, images = folder / f"{name}.tflite", nets.colours(small)
    answers = np.asarray(small(images, training=False))
    depends = float(np.abs(answers[0] - answers[1]).max() / np.abs(answers).max())
    result = export_tflite(small, path, scheme="fp32", reference_samples=images)
    error = result.agreement.max_relative_error
    return {"tflite_bytes": path.stat().st_size, "error": error, "depends": depends}


def check_pruning_net(name: str, hidden: int | None = None) -> dict[str, Any]:
    """Returns the hidden size that fits and the loss of one training step of the PruningNet with it."""
    model = build(name)
    graph = ChannelGraph.from_model(model)
    fits = memory.largest_hidden(graph, PruningNetOptions(), memory.available_bytes())
    options = PruningNetOptions(hidden=hidden or max(1, min(fits, PruningNetOptions.hidden)))
    net = PruningNet(graph, options=options)
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=False)
    loss = net.train_on_batch(nets.images(model, 4), np.arange(4) % CLASSES)
    needed = memory.demand(graph, options).training_bytes
    return {"hidden": options.hidden, "training_bytes": needed, "loss": float(np.asarray(loss).ravel()[0])}
