"""Limits as a user types them."""

from types import SimpleNamespace

import pytest

from tests.nets import tiny
from tfmeta import ChannelGraph, SearchSpace
from tfmeta.errors import UserError
from tfmeta.objectives import Constraint
from tfmeta.stages.limits import Limit, constraints
from tfmeta.stages.search import SearchOptions, check

FULL = {"macs": 4e6, "params": 1000.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [("41M", 41e6), ("1.5k", 1500), ("2G", 2e9), ("250000", 250000), ("0.5x", 2e6), (".25x", 1e6), (" 12 ", 12)],
)
def test_an_amount_or_a_share(text, value):
    assert constraints([Limit("macs", upper=text)], FULL) == (Constraint("macs", None, value),)
    assert constraints([Limit("macs", lower=text)], FULL) == (Constraint("macs", value, None),)


def test_no_limit_is_no_constraint():
    limits = [Limit("macs"), Limit("params", "10", "0.5x"), Limit("latency", upper="12.5")]
    assert constraints(limits, FULL) == (Constraint("params", 10, 500), Constraint("latency", None, 12.5))


@pytest.mark.parametrize("text", ["", "x", "-1", "1e6", "nan", "inf", "0.5y", "1x1", "1,000", "5 M MACs"])
def test_what_is_no_amount_is_told(text):
    with pytest.raises(UserError, match=r"Expected an amount like 41M, 1\.5k, 250000 or 0\.5x for macs, received"):
        constraints([Limit("macs", upper=text)], FULL)


@pytest.mark.parametrize(
    ("lower", "upper", "is_share"),
    [(None, None, set()), ("5", None, {False}), (None, "0.5x ", {True}), ("0.2x", ".5x", {True}), ("5", "1x", {0, 1})],
)
def test_which_limits_are_shares(lower, upper, is_share):
    assert Limit("latency", lower, upper).is_share == is_share


def test_a_share_needs_something_to_be_a_share_of():
    with pytest.raises(UserError, match=r"Expected an absolute amount for latency, received '0\.5x'\."):
        constraints([Limit("latency", upper="0.5x")], FULL)


def test_a_share_of_the_latency_is_not_held_against_an_amount_before_it_is_known():
    graph = ChannelGraph.from_model(tiny("plain"))
    workdir = SimpleNamespace(latency_table="none.json")
    project = SimpleNamespace(graph=graph, space=SearchSpace.from_graph(graph, multiple_of=1), workdir=workdir)
    for limit in (Limit("latency", "5", "0.5x"), Limit("latency", "2x", "0.1"), Limit("latency", "5", "12")):
        check(project, SearchOptions(limits=(limit,)))
    for limit in (Limit("latency", "12", "5"), Limit("latency", "0.6x", "0.5x")):
        with pytest.raises(UserError, match="lower <= upper for 'latency'"):
            check(project, SearchOptions(limits=(limit,)))
    with pytest.raises(UserError, match="A search needs a budget"):
        check(project, SearchOptions(limits=(Limit("latency"),)))
