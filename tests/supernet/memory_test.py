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
    with pytest.raises(UserError, match=r"'plain' with the hidden units of its paper would take"):
        PruningNet(graph, options=PruningNetOptions(hidden={group.name: 32 for group in graph.groups}))
    assert PruningNet(graph, options=PruningNetOptions(hidden=3)).hypernetwork_params() > 0
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(UserError, match="Not even one hidden unit fits: take a smaller network"):
        PruningNet(graph)


MEMINFO = "MemTotal:  16000 kB\nMemAvailable:    8000 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8000 * 1024),
        ({"memory.max": "max\n", "memory.current": "5\n", "memory.stat": "inactive_file 1\n"}, 8000 * 1024),
        ({"memory.max": "4000\n", "memory.current": "1500\n", "memory.stat": "anon 9\ninactive_file 500\n"}, 3000),
        (
            {
                "memory/memory.limit_in_bytes": "4000\n",
                "memory/memory.usage_in_bytes": "1000\n",
                "memory/memory.stat": "inactive_file 7\ntotal_inactive_file 100\n",
            },
            3100,
        ),
    ],
)
def test_a_container_may_have_less_memory_than_its_machine(files, expected, tmp_path):
    for name, text in {
        "proc/meminfo": MEMINFO,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    assert memory.available_bytes(tmp_path) == expected


def test_the_memory_of_this_machine_is_told():
    assert memory.available_bytes() > 0
