"""Drawn structures: only those of the space, a pure function of seed and step, with the promised distribution."""

import numpy as np
import pytest
import tensorflow as tf

from tests import nets
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.supernet.sampling import SAMPLERS, draw_widths

DRAWS = 2000


@pytest.fixture(scope="module")
def space():
    """Genes with 6, 8 and 5 options, one pin, and a tie of groups of different size."""
    graph = ChannelGraph.from_model(nets.tiny("residual"))
    ties = [("a1", "b2")]
    return SearchSpace.from_graph(graph, multiple_of=1, min_ratio=0.01, ties=ties, pins={"b1": 3})


def draw(space, sampler, seed, steps):
    one = tf.function(lambda step: draw_widths(space, sampler, seed, step))
    return np.array([one(tf.constant(step, tf.int64)) for step in steps])


@pytest.fixture(scope="module", params=sorted(SAMPLERS))
def drawn(request, space):
    return request.param, draw(space, request.param, 7, range(DRAWS))


def test_draws_structures_of_the_space_alone(space, drawn):
    _, widths = drawn
    assert all(space.contains(Structure(tuple(row))) for row in widths)
    assert set(widths[:, space.names.index("b1")]) == {3}


def test_draws_every_option_of_every_gene(space, drawn):
    _, widths = drawn
    for choices, column in zip(space.choices, widths.T, strict=True):
        assert set(column) == set(choices)


def test_is_a_pure_function_of_seed_and_step(space, drawn):
    sampler, widths = drawn
    np.testing.assert_array_equal(draw(space, sampler, 7, [3, 1999, 0]), widths[[3, 1999, 0]])
    assert (draw(space, sampler, 8, range(20)) != widths[:20]).any()
    assert len({tuple(row) for row in widths[:20]}) > 5


def test_uniform_draws_options_equally_often_and_independently(space):
    widths = draw(space, "uniform", 7, range(DRAWS))
    indices = np.array([space.indices(Structure(tuple(row))) for row in widths])
    for gene, column in zip(space.genes, indices.T, strict=True):
        expected = DRAWS / len(gene.options)
        counts = np.bincount(column, minlength=len(gene.options))
        freedom = len(gene.options) - 1
        # A chi-square variable has the mean k and the variance 2k: five standard deviations above is far beyond chance.
        assert ((counts - expected) ** 2 / expected).sum() <= freedom + 5 * np.sqrt(2 * freedom)
    free = [column for gene, column in zip(space.genes, indices.T, strict=True) if len(gene.options) > 1]
    correlation = np.corrcoef(free) - np.eye(len(free))
    assert np.abs(correlation).max() < 5 / np.sqrt(DRAWS)


def test_spread_shows_small_and_large_structures_where_uniform_shows_medium_ones():
    graph = ChannelGraph.from_model(nets.family("mobilenet_v1"))
    space = SearchSpace.from_graph(graph)
    sizes = np.array(space.sizes)
    share = {name: (draw(space, name, 0, range(500)) / sizes).mean(1) for name in SAMPLERS}
    low, high = np.quantile(share["spread"], (0.05, 0.95))
    assert low < 0.25 and high > 0.9
    assert share["spread"].std() > 3 * share["uniform"].std()


def test_works_without_a_searchable_group():
    space = SearchSpace((), (), ())
    assert draw_widths(space, "uniform", 0, tf.constant(0, tf.int64)).shape == (0,)


def test_unknown_sampler_is_an_error_that_lists_the_known(space):
    with pytest.raises(UserError, match="spread, uniform"):
        draw_widths(space, "sobol", 0, tf.constant(0, tf.int64))
