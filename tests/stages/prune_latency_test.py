"""Pruning to a latency: halving between what is fast enough and what is not, with few measurements."""

import math
import types
from pathlib import Path

import numpy as np
import pytest

from tests import nets
from tests.latency.devices import Weighing
from tfmeta import ChannelGraph, SearchSpace, Structure
from tfmeta.errors import BudgetError, UserError
from tfmeta.importance.ranking import ladder
from tfmeta.latency.conversion import structure_file
from tfmeta.latency.options import HOST, LatencyOptions, Place
from tfmeta.stages import prune_latency
from tfmeta.stages.limits import Limit
from tfmeta.stages.prune_latency import measured_file, widest_within

QUICK = LatencyOptions(rounds=2, num_runs=10, min_secs=0.0, warmup_secs=0.0, retries=0)
FULL_MS = 10.0


class Told:
    """A device on which a structure takes as much of 10 ms as it has channels of 100, known to within 10 %."""

    baseline_ms = FULL_MS
    info = types.SimpleNamespace(fingerprint="host-1")
    reference = Path(__file__)  # any file

    def __init__(self, graph, device, options, device_options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def measure(self, structures):
        (structure,) = structures
        ratio = structure.widths[0] / 100
        ends = {"ratio_low": 0.9 * ratio, "ratio_high": 1.1 * ratio}
        yield {**ends, "baseline_ms": FULL_MS, "latency_ms": ratio * FULL_MS, "verdict": "OK"}


@pytest.fixture
def within(monkeypatch):
    monkeypatch.setattr(prune_latency, "Latency", Told)

    def run(limit, widths=range(1, 101)):
        rungs = [Structure((width,)) for width in widths]
        return widest_within(rungs, None, HOST, QUICK, Limit("latency", upper=limit))

    return run


@pytest.mark.parametrize(
    ("limit", "width"),
    # The upper end of the interval must be within: 1.1 x width / 100 x 10 ms.
    [("5", 45), ("0.5x", 45), ("0.11001", 1), ("11.01", 100), ("1x", 90), ("99", 100)],
)
def test_the_widest_that_is_surely_fast_enough(limit, width, within):
    found = within(limit)
    assert found.structure.widths == (width,)
    assert len(found.measured) <= 1 + math.ceil(math.log2(100))
    chosen = [one for one in found.measured if one["widths"] == [width]]
    assert chosen and chosen[0]["high_ms"] <= found.limit_ms
    assert found.full_ms == FULL_MS


def test_one_rung_is_one_measurement(within):
    assert len(within("5", [40]).measured) == 1


def test_a_limit_below_everything_is_told(within):
    told = (
        r"Even the smallest structure takes 4 ms on 'host' \(95 % interval 3\.6 to 4\.4, OK\); the limit is 2 ms, the "
        r"full network takes 10 ms\. Raise the limit, or lower --min_ratio or --multiple_of\."
    )
    with pytest.raises(BudgetError, match=told):
        within("2", [40, 60])


def test_limits_that_cannot_be_meant_are_told_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(prune_latency, "Latency", None)
    for limit, text in (
        (Limit("latency", upper="0.5y"), r"Expected an amount like 41M, 1\.5k, 250000 or 0\.5x for latency, received"),
        (Limit("latency", lower="3"), "Expected an upper limit on latency and no lower one, received Limit"),
    ):
        with pytest.raises(UserError, match=text):
            widest_within([Structure((1,))], None, HOST, QUICK, limit)


def test_measured_files_decide_and_the_finished_one_is_measured(tmp_path):
    graph = ChannelGraph.from_model(nets.tiny("residual"))
    space = SearchSpace.from_graph(graph, multiple_of=2)
    scores = [np.arange(float(group.size)) for group in graph.searchable]
    rungs = ladder(graph, space, scores, levels=np.array([0.3, 0.6, 1.0]))
    files = [structure_file(graph, rung, "fp32") for rung in rungs]
    full_ms, chosen_ms = (len(files[rung]) / 10_000 for rung in (2, 1))
    place = Place(Weighing())
    limit = Limit("latency", upper=f"{(chosen_ms + full_ms) / 2:f}")
    found = widest_within(rungs, graph, place, QUICK, limit)
    assert (found.structure, found.full_ms) == (rungs[1], full_ms)
    path = tmp_path / "small.tflite"
    for rung, within in ((1, True), (2, False)):
        path.write_bytes(files[rung])
        told = measured_file(path, found, place, QUICK)
        assert (told["file"], told["unit"], told["within"]) == ("small.tflite", "ms", within)
        assert told["latency_ms"] == pytest.approx(len(files[rung]) / 10_000)
        assert told["num_runs"] >= QUICK.num_runs and told["verdict"]
        assert told["measurement"]["device"]["fingerprint"] == place.device.info().fingerprint
