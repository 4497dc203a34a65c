"""Memory of a PruningNet, told without building it."""

import pytest

from tests import nets
from tests.supernet import making
from tfmeta import ChannelGraph, PruningNet
from tfmeta.errors import UserError
from tfmeta.supernet import memory
from tfmeta.supernet.options import PruningNetOptions


@pytest.mark.parametrize("name", ["plain", "depthwise", "concat"])
def test_demand_is_what_a_built_net_holds(name):
    net = making.shared(name)
    assert memory.demand(net.graph, net.options).generators == net.hypernetwork_params()


def test_what_does_not_fit_is_refused_with_the_size_that_does(monkeypatch):
    graph = ChannelGraph.from_model(nets.tiny("plain"))
    needs = {hidden: memory.demand(graph, PruningNetOptions(hidden=hidden)).training_bytes for hidden in (3, 4, 8)}
    monkeypatch.setattr(memory, "available_bytes", lambda: int((needs[3] + needs[4]) / 2 / 0.8))
    with pytest.raises(UserError, match=r"'plain' with hidden=8 would take .* GiB in training.*\(--hidden=3\)"):
        PruningNet(graph)
    assert PruningNet(graph, options=PruningNetOptions(hidden=3)).hypernetwork_params() > 0
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(UserError, match="Not even one hidden unit fits: take a smaller network"):
        PruningNet(graph)
