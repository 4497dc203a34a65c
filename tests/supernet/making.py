"""PruningNets of the shared test networks, and the plain model that one of their structures stands for."""

import functools

import numpy as np

from tests import nets
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.keras_layer import weights as weights_of
from tfmeta.graph.reader import layers_of
from tfmeta.graph.rebuild import rebuild
from tfmeta.graph.space import SearchSpace
from tfmeta.lazy import keras
from tfmeta.supernet.meta_layers import MetaLayer
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.pruning_net import PruningNet


def pruning_net(model, *, sampler="spread", seed=0, dtype=None, kind=PruningNet):
    """Returns a PruningNet of ``model``, biases and batch norm as in it; every width from 30 % up is in its space."""
    keras.utils.set_random_seed(seed)
    graph = ChannelGraph.from_model(model)
    space = SearchSpace.from_graph(graph, multiple_of=1, min_ratio=0.3)
    hidden = 8 if model.name in nets.TINY | nets.ODD else 1
    net = kind(graph, space, PruningNetOptions(hidden=hidden, sampler=sampler, seed=seed), dtype)
    net.load_shared(model)
    return net


@functools.cache
def shared(name):
    """Returns the PruningNet of a shared test network. It must be left as it is."""
    return pruning_net(nets.any_net(name))


def structures(net, count=3):
    """Returns random structures and, of a small space, the smallest and the full one."""
    rng = np.random.default_rng(5)
    return [net.space.sample(rng) for _ in range(count)] + [net.space.smallest(), net.space.full()][: count - 1]


def plain_model(net, structure):
    """Returns the plain model of a structure, whose kernels are generated at full width and cropped by numpy."""
    graph, widths, mask = net.graph, net.widths(structure), net.graph.kept(structure)
    model = rebuild(graph, mask)
    layers, whole = layers_of(model), net.full_width_layers()
    metas = {layer.name: layer for layer in net.layers if isinstance(layer, MetaLayer)}
    for node in graph.nodes:
        meta = metas.get(node.layer)
        own = {weight.name: weight for weight in meta.weights} if meta else {}
        if meta:
            own |= {name: generator(widths) for name, generator in meta.generators.items()}
        if node.layer in whole:
            own = weights_of(whole[node.layer])
        for name, weight in weights_of(layers[node.layer]).items() if own else ():
            if name in own:
                weight.assign(graph.cropped(node, name, np.asarray(own[name]), mask))
    return model


def without_dropout(model):
    """Returns ``model`` with its dropout turned off."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    return model


def assert_near(actual, expected, tolerance):
    """Compares with the largest expected number: rounding errors of a deep network do not shrink with an output."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())
