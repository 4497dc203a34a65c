"""Widths from scores, by hand for two groups of equal size and one of another."""

import itertools

import numpy as np
import pytest

from tests import nets
from tfmeta import ChannelGraph, SearchSpace, cost
from tfmeta.errors import BudgetError, UserError
from tfmeta.graph.structure import Bound
from tfmeta.importance.ranking import RANKINGS, ladder, rank
from tfmeta.lazy import keras

GRAPH = ChannelGraph.from_model(nets.tiny("residual"))  # groups of 6, 5, 7, 8
SPACE = SearchSpace.from_graph(GRAPH, multiple_of=1, min_ratio=0.01)
SCORES = [np.arange(size, dtype=float) + shift for size, shift in zip((6, 5, 7, 8), (100, 0, 10, 50), strict=True)]


def _bound(macs):
    return Bound("macs", "MACs", lambda widths: cost.macs(GRAPH, widths), None, macs)


def test_uniform_keeps_the_same_share_of_every_group():
    assert rank(GRAPH, SPACE, SCORES, ranking="uniform", ratio=0.5).widths == (3, 2, 4, 4)


def test_global_keeps_the_best_of_all():
    # 13 of 26: the 6 from 100 up and 7 of the 8 from 50 up; one of each of the others, which cannot be empty.
    assert rank(GRAPH, SPACE, SCORES, ranking="global", ratio=0.5).widths == (6, 1, 1, 7)


def test_isomorphic_compares_groups_of_one_kind():
    x = image = keras.Input((8, 8, 3), name="image")
    for name, filters in (("stem", 4), ("one", 6), ("two", 6), ("last", 5)):
        x = keras.layers.Conv2D(filters, 1, name=name)(x)
    graph = ChannelGraph.from_model(keras.Model(image, keras.layers.Conv2D(2, 1, name="labels")(x)))
    space = SearchSpace.from_graph(graph, multiple_of=1, min_ratio=0.01)
    scores = [np.arange(size, dtype=float) + shift for size, shift in ((4, 0), (6, 3), (6, 0), (5, 50))]
    # Of "one" and "two" 3..8 and 0..5, the best 6 of 12: 8 to 5, 5, and of the two 4 the first.
    found = {ranking: rank(graph, space, scores, ranking=ranking, ratio=0.5).widths for ranking in RANKINGS}
    assert found["isomorphic"] == (2, 5, 1, 2)
    assert found["uniform"] == (2, 3, 3, 2)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_groups_that_nothing_tells_apart_keep_the_same_share(ranking):
    alike = [np.ones(size) for size in (6, 5, 7, 8)]
    widths = np.array(rank(GRAPH, SPACE, alike, ranking=ranking, ratio=0.5).widths)
    assert widths.sum() == 13 and np.abs(widths - [3, 2.5, 3.5, 4]).max() <= 0.5
    full = cost.macs(GRAPH, SPACE.full())
    found = rank(GRAPH, SPACE, alike, ranking=ranking, bounds=[_bound(0.5 * full)])
    assert 0.4 * full <= cost.macs(GRAPH, found) <= 0.5 * full


@pytest.mark.parametrize(
    ("ranking", "widths"), [("uniform", (3, 2, 4, 4)), ("isomorphic", (3, 2, 4, 4)), ("global", (6, 1, 1, 7))]
)
def test_a_group_without_scores_is_the_first_to_go_where_it_is_compared(ranking, widths):
    scores = [SCORES[0], np.zeros(5), SCORES[2], SCORES[3]]
    assert rank(GRAPH, SPACE, scores, ranking=ranking, ratio=0.5).widths == widths


@pytest.mark.parametrize("ranking", RANKINGS)
def test_the_largest_within_a_bound_is_taken(ranking):
    full = cost.macs(GRAPH, SPACE.full())
    found = [rank(GRAPH, SPACE, SCORES, ranking=ranking, bounds=[_bound(share * full)]) for share in (0.3, 0.6, 1.0)]
    costs = [cost.macs(GRAPH, structure) for structure in found]
    assert costs[0] <= 0.3 * full and costs[1] <= 0.6 * full and costs == sorted(costs)
    assert found[2] == SPACE.full()
    with pytest.raises(BudgetError, match="below the smallest structure"):
        rank(GRAPH, SPACE, SCORES, ranking=ranking, bounds=[_bound(10)])


@pytest.mark.parametrize("ranking", RANKINGS)
def test_a_ladder_goes_from_the_smallest_to_the_full_structure(ranking):
    rungs = ladder(GRAPH, SPACE, SCORES, ranking=ranking)
    assert (rungs[0], rungs[-1]) == (SPACE.smallest(), SPACE.full())
    for narrow, wide in itertools.pairwise(rungs):
        assert narrow != wide and all(a <= b for a, b in zip(narrow.widths, wide.widths, strict=True))
    within = ladder(GRAPH, SPACE, SCORES, ranking=ranking, bounds=[_bound(0.5 * cost.macs(GRAPH, SPACE.full()))])
    assert within == rungs[: len(within)] and 0 < len(within) < len(rungs)


def test_bad_questions_are_refused():
    with pytest.raises(UserError, match="Expected a ratio or a bound"):
        rank(GRAPH, SPACE, SCORES)
    with pytest.raises(UserError, match=r"Unknown ranking 'best'\. Expected one of: global, isomorphic, uniform"):
        rank(GRAPH, SPACE, SCORES, ranking="best", ratio=0.5)
    with pytest.raises(UserError, match=r"Expected a ratio above 0 and up to 1, received 1\.5"):
        rank(GRAPH, SPACE, SCORES, ratio=1.5)
