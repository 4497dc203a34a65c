"""Models that were built in half precision, in single precision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.reader import layers_of
from tfmeta.graph.rebuild import rebuild

_HALF = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def in_single_precision(model: Any) -> Any:
    """Returns a model of the same layers and weights that computes in float32.

    Phones quantize for themselves, so every file begins with float32; and what is searched, trained and compared with
    the file has to be what is converted.

    Args:
        model: a built Functional or Sequential model; it is not changed.

    Returns:
        ``model`` itself where nothing in it computes in half precision.

    Raises:
        GraphError: the model cannot be read.
    """
    if all(getattr(layer, "compute_dtype", None) not in _HALF for layer in model._flatten_layers()):
        return model
    graph = ChannelGraph.from_model(model)
    nodes = tuple(dataclasses.replace(node, config=_single(node.config)) for node in graph.nodes)
    single = rebuild(dataclasses.replace(graph, nodes=nodes), np.ones(graph.num_channels, bool))
    sources = layers_of(model)
    for name, layer in layers_of(single).items():
        layer.set_weights(sources[name].get_weights())
    return single


def _single(config: Any) -> Any:
    """Options of a layer, and of layers inside it, with float32 in place of half precision."""
    if isinstance(config, dict):
        return {key: _single(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_single(value) for value in config)
    return "float32" if isinstance(config, str) and config in _HALF else config
