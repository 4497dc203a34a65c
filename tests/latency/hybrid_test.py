"""The latency objective that predicts first, on a device whose times are known in closed form."""

import itertools

import numpy as np
import pytest

from tests.latency.couplings import Converting, graph_of
from tests.latency.devices import Scripted
from tfmeta.errors import UserError
from tfmeta.graph.space import SearchSpace
from tfmeta.latency import Latency, LatencyOptions
from tfmeta.latency.building import drawn
from tfmeta.latency.features import Work
from tfmeta.latency.hybrid import Hybrid, PredictedLatency
from tfmeta.latency.options import LatencySource
from tfmeta.latency.table import LatencyTable, Point
from tfmeta.latency.template import Template
from tfmeta.objectives import Estimated, Objective, Prepared


@pytest.fixture(scope="module")
def work():
    return Work.of_template(Template.make(graph_of("mixed"), "fp32", Converting("mixed")))


@pytest.fixture(scope="module")
def structures():
    return drawn(SearchSpace.from_graph(graph_of("mixed"), multiple_of=1), 60, seed=5)


def ratio(work, structure):
    """The latency by the full network's: as many multiply-adds, and a tenth that is always there."""
    full = [group.size for group in graph_of("mixed").searchable]
    macs = work.of(np.array([structure.widths, full]))[:, :, 0].sum(1)
    return float((macs[0] / macs[1] + 0.1) / 1.1)


@pytest.fixture
def points(work, structures):
    values = [(one.widths, ratio(work, one)) for one in structures[:40]]
    return [Point(widths, value, value, value, "OK", held_out=False) for widths, value in values]


@pytest.fixture
def latency():
    """On it the full network takes 2 ms; so does everything, which is measured nowhere below but for the baseline."""
    device = Scripted(itertools.repeat([2.0, 2.0]))
    with Latency(graph_of("mixed"), device, LatencyOptions(rounds=2, num_runs=10, min_secs=0.0, retries=0)) as latency:
        latency.__dict__["baseline_ms"] = 2.0
        yield latency


def test_it_estimates_from_the_first_measurements_and_from_what_it_learns(latency, work, structures, points):
    begun = []
    hybrid = Hybrid(latency, work, lambda: begun.append(1) or points, {"begin_with": 40})
    assert isinstance(hybrid, Objective) and isinstance(hybrid, Estimated) and isinstance(hybrid, Prepared)
    assert (hybrid.name, hybrid.unit) == ("latency", "ms")
    others = structures[40:]
    true = [2.0 * ratio(work, one) for one in others]
    first = hybrid.estimate(others)
    np.testing.assert_allclose([one.mean for one in first], true, rtol=0.02)
    # All it learns says that structures take twice as long as those in the beginning.
    hybrid.learn(others, [2 * value for value in true])
    later = hybrid.estimate(others)
    assert np.mean([one.mean for one in later]) > 1.2 * np.mean(true)
    assert np.mean([one.deviation for one in later]) > np.mean([one.deviation for one in first])
    # It forgets what it is not told of again, and measures its beginning once.
    hybrid.learn([], [])
    assert hybrid.estimate(others) == first
    assert begun == [1]


def test_the_same_measurements_give_the_same_estimates_however_they_came(latency, work, structures, points):
    others, values = structures[40:], [2.0 * ratio(work, one) for one in structures[40:]]
    at_once, in_steps = (Hybrid(latency, work, lambda: points, {}) for _ in range(2))
    for count in (3, 3, 11, 20):
        in_steps.learn(others[:count], values[:count])
        in_steps.estimate(others[:1])
    at_once.learn(others, values)
    assert at_once.estimate(structures) == in_steps.estimate(structures)


def test_a_measurement_that_scatters_counts_less(latency, work, structures, points):
    others = structures[40:]
    values = [3.0 * ratio(work, one) for one in others]  # half as much again as the first measurements say
    sure, unsure = (Hybrid(latency, work, lambda: points, {}) for _ in range(2))
    for hybrid, scatter in ((sure, 0.001), (unsure, 0.5)):
        latency.stored = lambda one, wide=1.96 * scatter: {
            "widths": one.widths,
            "ratio": 1.0,
            "ratio_low": 1.0 - wide,
            "ratio_high": 1.0 + wide,
            "verdict": "OK",
        }
        hybrid.learn(others, values)
    means = [np.mean([one.mean for one in hybrid.estimate(structures)]) for hybrid in (sure, unsure)]
    expected = np.mean([2.0 * ratio(work, one) for one in structures])
    assert means[1] == pytest.approx(expected, rel=0.05) and means[0] > 1.1 * expected


def test_searches_are_told_apart_by_what_they_began_with(latency, work):
    one, other = (Hybrid(latency, work, list, {"seed": seed}).identity for seed in (0, 1))
    assert one != other
    assert {key: value for key, value in one.items() if key != "hybrid"} == latency.identity


def test_a_space_that_is_too_small_to_predict_in(latency, work, structures, points):
    with pytest.raises(UserError, match=r"at least 10 structures to predict in\. Received: 9\. Set --latency=measured"):
        Hybrid(latency, work, lambda: points[:9], {}).estimate(structures[:1])


def test_the_prediction_of_a_table_has_a_name_of_its_own(latency, work, structures, points):
    table = LatencyTable.fit(graph_of("mixed"), latency.info, latency.options, 2.0, points, work, seed=5)
    predicted = PredictedLatency(table, "digest")
    assert (predicted.name, predicted.unit, predicted.identity) == ("predicted_latency_ms", "ms", {"table": "digest"})
    assert isinstance(predicted, Objective) and not isinstance(predicted, Estimated)
    np.testing.assert_allclose(
        predicted(structures[40:]), [2.0 * ratio(work, one) for one in structures[40:]], rtol=0.02
    )
    told = predicted.expected(structures[:1])[0].values("latency", "ms")
    assert list(told) == ["predicted_latency_ms", "predicted_latency_std_ms"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"how": "guessed"}, "one of measured, predicted, hybrid. Received: 'guessed'"),
        ({"table": "t.json"}, "no table is used. Set --latency=predicted or hybrid."),
        ({"allow_other_device": True}, "no table is used. Set --latency=predicted or hybrid."),
        (
            {"how": "hybrid", "allow_other_device": True},
            "so there is no other device to allow. Give --latency_table, or leave out --allow_other_device_table.",
        ),
        ({"how": "hybrid", "begin_with": 9}, "at least 10 structures to begin with. Received: 9."),
    ],
)
def test_sources_that_make_no_sense(options, text):
    with pytest.raises(UserError) as raised:
        LatencySource(**options)
    assert text in str(raised.value)
