"""Sorting channels changes nothing but their order, over every tiny net and every hazard."""

import functools

import numpy as np
import pytest

from tests import nets
from tests.hazards import HAZARDS
from tfmeta import ChannelGraph, SearchSpace, Selection, prune
from tfmeta.errors import SpaceError
from tfmeta.importance.sorting import sort_channels
from tfmeta.lazy import keras

each_net = pytest.mark.parametrize("name", [*nets.TINY, *HAZARDS])


@functools.cache
def _made(name):
    rng = np.random.default_rng(1)
    model = nets.tiny(name) if name in nets.TINY else nets.randomise(HAZARDS[name].build(), rng)
    scores = [rng.random(group.size) for group in ChannelGraph.from_model(model).searchable]
    images = [rng.uniform(-1, 1, (3, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    return model, scores, images, sort_channels(model, scores)


def _check_equal(one, other, images):
    pairs = zip(*(keras.tree.flatten(model(_given(model, images))) for model in (one, other)), strict=True)
    for found, expected in pairs:
        expected = np.asarray(expected, np.float64)
        np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def _given(model, images):
    return images[0] if len(images) == 1 else dict(zip((t.name for t in model.inputs), images, strict=True))


@each_net
def test_a_sorted_model_computes_the_same(name):
    model, _, images, found = _made(name)
    _check_equal(found, model, images)
    assert ChannelGraph.from_model(found).fingerprint == ChannelGraph.from_model(prune(model, _full(model))).fingerprint


def _full(model):
    return SearchSpace.from_graph(ChannelGraph.from_model(model), multiple_of=1).full()


@pytest.mark.parametrize("name", [name for name in (*nets.TINY, *HAZARDS) if name != "scalars_and_constants"])
def test_its_first_channels_are_the_most_important_ones(name):
    model, scores, images, found = _made(name)
    space = SearchSpace.from_graph(ChannelGraph.from_model(model), multiple_of=1)
    structure = space.sample(np.random.default_rng(2))
    _check_equal(prune(found, structure), prune(model, Selection.largest(structure, scores)), images)


def test_channels_that_an_array_is_joined_to_keep_their_order():
    model, _, _, found = _made("scalars_and_constants")
    np.testing.assert_array_equal(found.get_layer("stem").kernel, model.get_layer("stem").kernel)


def test_scores_of_another_model_are_refused():
    model, scores, _, _ = _made("plain")
    with pytest.raises(SpaceError, match="Expected scores of"):
        sort_channels(model, scores[1:])
