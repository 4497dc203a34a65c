"""Structures within a budget."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests import nets
from tfmeta import ChannelGraph, SearchSpace, Structure, cost
from tfmeta.errors import BudgetError
from tfmeta.graph.space import Gene
from tfmeta.graph.structure import Bound


def _setting(multiple_of=1):
    graph = ChannelGraph.from_model(nets.tiny("residual"))
    return graph, SearchSpace.from_graph(graph, multiple_of=multiple_of)


def _macs(graph, lower=None, upper=None):
    return Bound("macs", "multiply-adds", lambda widths: cost.macs(graph, widths), lower, upper)


@given(st.floats(0, 1), st.floats(0.05, 1), st.integers(0, 2**32 - 1))
def test_repair_ends_between_the_limits(place, share, seed):
    graph, space = _setting()
    least, most = cost.macs(graph, space.smallest()), cost.macs(graph, space.full())
    lower = least + place * (most - least) * (1 - share)
    upper = lower + share * (most - least)
    rng = np.random.default_rng(seed)
    bounds = [_macs(graph, lower, upper), Bound("params", "weights", lambda widths: cost.params(graph, widths))]
    structure = space.repair(space.sample(rng), bounds, rng)
    assert space.contains(structure)
    assert lower <= cost.macs(graph, structure) <= upper


@given(st.integers(0, 2**32 - 1))
def test_repair_leaves_what_fits(seed):
    graph, space = _setting()
    rng = np.random.default_rng(seed)
    structure = space.sample(rng)
    macs = cost.macs(graph, structure)
    assert space.repair(structure, [_macs(graph, macs, macs)], rng) == structure
    assert space.repair(structure, [], rng) == structure


@given(st.floats(0, 1))
def test_uniform_within_is_the_largest_that_fits(place):
    graph, space = _setting()
    least, most = cost.macs(graph, space.smallest()), cost.macs(graph, space.full())
    bound = _macs(graph, upper=least + place * (most - least))
    found = space.uniform_within([bound])
    fitting = [space.uniform(ratio) for ratio in np.linspace(0, 1, 101)]
    fitting = [s for s in fitting if cost.macs(graph, s) <= bound.upper]
    assume(fitting)
    assert cost.macs(graph, found) <= bound.upper
    assert cost.macs(graph, found) >= max(cost.macs(graph, s) for s in fitting)


def test_an_impossible_budget_tells_the_extremes(rng):
    graph, space = _setting(multiple_of=2)
    least, most = cost.macs(graph, space.smallest()), cost.macs(graph, space.full())
    text = f"Budget of {least - 1:,} multiply-adds for macs is below the smallest structure, which has {least:,}"
    for attempt in (
        lambda: space.repair(space.full(), [_macs(graph, upper=least - 1)], rng),
        lambda: space.uniform_within([_macs(graph, upper=least - 1)]),
        lambda: space.check_reachable([_macs(graph, upper=least - 1)]),
    ):
        with pytest.raises(BudgetError, match=text):
            attempt()
    text = f"Lower bound of {most + 1:,} multiply-adds for macs is above the largest structure, which has {most:,}"
    with pytest.raises(BudgetError, match=text):
        space.repair(space.full(), [_macs(graph, lower=most + 1)], rng)


def test_limits_that_nothing_lies_between_end_in_an_error(rng):
    # Costs are multiples of 10; there is none from 41 to 49.
    space = SearchSpace(("a",), (9,), (Gene((0,), tuple((width,) for width in range(1, 10))),))
    bound = Bound("cost", "units", lambda widths: 10 * widths.sum(1), 41, 49)
    with pytest.raises(
        BudgetError, match=r"No structure was found within cost from 41 to 49 units in 50 tries\. Widen"
    ):
        space.repair(Structure((9,)), [bound], rng)


def test_bounds_that_contradict_each_other_end_in_an_error(rng):
    space = SearchSpace(("a", "b"), (9, 9), tuple(Gene((g,), tuple((w,) for w in range(1, 10))) for g in range(2)))
    bounds = [
        Bound("first", "units", lambda widths: widths[:, 0], upper=4),
        Bound("sum", "units", lambda widths: widths.sum(1), lower=15),
    ]
    with pytest.raises(BudgetError, match="within first from no limit to 4 units and sum from 15 to no limit units"):
        space.repair(space.full(), bounds, rng)
