"""Predictions of latencies that are known in closed form."""

import json

import numpy as np
import pytest

from tests.latency.couplings import Converting, converted, graph_of, operators
from tfmeta.errors import UserError
from tfmeta.graph import cost
from tfmeta.graph.space import SearchSpace
from tfmeta.latency.features import Work
from tfmeta.latency.predictor import Predictor
from tfmeta.latency.template import Template

_FULL_RATE = {"CONV_2D 3x3": 3.0, "CONV_2D 1x1": 1.0, "DEPTHWISE_CONV_2D 5x5": 20.0, "FULLY_CONNECTED": 5.0}


@pytest.fixture(scope="module")
def work():
    return Work.of_template(Template.make(graph_of("mixed"), "fp32", Converting("mixed")))


@pytest.fixture(scope="module")
def widths():
    space = SearchSpace.from_graph(graph_of("mixed"), multiple_of=1)
    rng = np.random.default_rng(0)
    return np.array([space.sample(rng).widths for _ in range(260)])


@pytest.mark.parametrize("name", ["mixed", "unet", "matrices"])
def test_the_work_of_all_operators_is_that_of_the_network(name):
    graph = graph_of(name)
    work = Work.of_template(Template.make(graph, "fp32", Converting(name)))
    space = SearchSpace.from_graph(graph, multiple_of=1)
    rng = np.random.default_rng(0)
    widths = np.array([space.sample(rng).widths for _ in range(20)])
    found = work.of(widths)
    # What no layer multiplies, the graph does not count: [12, 16] x [16, 7].
    others = 12 * 16 * 7 if name == "matrices" else 0
    np.testing.assert_allclose(found[:, :, 0].sum(1), cost.macs(graph, widths) + others)
    assert (found[:, :, 1] >= found[:, :, 0]).all() and (found[:, :, 2] >= found[:, :, 1]).all()
    full = operators(converted(name, graph.full, "fp32"))
    assert [kind.split(" ")[0] for kind in work.kinds] == [one[0] for one in full]
    at_full = work.of(np.array([graph.full.widths]))[0]
    np.testing.assert_array_equal(at_full[:, 3], [np.prod(one[3][-1][0]) for one in full])
    for kind, row, one in zip(work.kinds, at_full, full, strict=True):
        elements = [np.prod(tensor[0]) for tensor in one[3][:-1]]
        data = 2 if kind.startswith("TRANSPOSE_CONV") else 0
        weighted = kind.startswith(("CONV", "DEPTHWISE", "FULLY", "TRANSPOSE_CONV"))
        assert (row[4], row[5]) == ((elements[data], elements[1]) if weighted else (sum(elements), 0))
    if name == "matrices":  # the last with its first matrix transposed
        assert [row[0] for kind, row in zip(work.kinds, at_full, strict=True) if kind == "BATCH_MATMUL"] == [
            2 * 16 * 16 * 5,
            2 * 16 * 16 * 5,
            12 * 16 * 7,
        ]


def true_ms(work, widths, rng=None):
    """A device with a rate for every kind, one operator that is slow, a constant, and noise of 1 %."""
    found = work.of(widths)
    rates = np.array([_FULL_RATE.get(kind, 0.0) for kind in work.kinds])
    rates[np.flatnonzero(rates)[2]] *= 1.5
    exact = 1e-6 * (found[:, :, 1] @ rates) + 2e-7 * found[:, :, 3:5].sum((1, 2)) + 0.005
    return exact if rng is None else exact * (1 + 0.01 * rng.standard_normal(len(exact)))


def test_sixty_measurements_predict_the_rest(work, widths, rng):
    predictor = Predictor.fit(work, widths[:60], true_ms(work, widths[:60], rng))
    mean, deviation = predictor.predict(widths[60:])
    error = mean / true_ms(work, widths[60:]) - 1
    assert np.abs(error).mean() < 0.01
    # Not told what measurements scatter by, it takes that for its own error.
    again = (true_ms(work, widths[60:], rng) - mean) / deviation
    assert 0.5 < again.std() < 2.0
    assert np.median(deviation / mean) == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize("noise", [0.01, 0.05])
@pytest.mark.parametrize("count", [40, 160])
def test_it_tells_how_far_it_is_from_the_latency_not_from_a_measurement(work, widths, noise, count):
    truth = true_ms(work, widths)
    covered, off, told = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        measured = truth * (1 + noise * rng.standard_normal(len(truth)))
        predictor = Predictor.fit(work, widths[:count], measured[:count], np.full(count, noise))
        mean, deviation = predictor.predict(widths[count:])
        covered.append(np.abs(mean - truth[count:]) <= 2 * deviation)
        off.append(np.abs(mean / truth[count:] - 1))
        told.append(deviation / mean)
    assert np.mean(covered) > 0.8
    assert np.median(told) < noise  # surer than one measurement
    assert 0.4 < np.mean(off) / np.median(told) < 1.2


def test_what_is_known_to_scatter_counts_less(work, widths, rng):
    truth = true_ms(work, widths)
    scatter = np.where(np.arange(60) % 2, 0.3, 0.005)
    measured = truth[:60] * (1 + scatter * rng.standard_normal(60))
    told, untold = (Predictor.fit(work, widths[:60], measured, one).predict(widths[60:]) for one in (scatter, None))
    errors = [np.abs(mean / truth[60:] - 1).mean() for mean, _ in (told, untold)]
    assert errors[0] < errors[1]
    assert np.median(told[1]) < np.median(untold[1])


def test_it_is_less_sure_with_fewer_measurements(work, widths, rng):
    few, many = (Predictor.fit(work, widths[:n], true_ms(work, widths[:n], rng), np.full(n, 0.01)) for n in (12, 200))
    assert few.predict(widths[200:])[1].mean() > many.predict(widths[200:])[1].mean()


@pytest.mark.parametrize(("count", "bad"), [(3, 1.0), (20, 0.0), (20, float("nan")), (20, float("inf"))])
def test_bad_measurements(work, widths, count, bad):
    with pytest.raises(UserError, match=r"Expected at least 10 structures with one latency above 0 each. Received"):
        Predictor.fit(work, widths[:count], np.full(count, bad))


def test_it_is_the_same_when_it_was_written_and_read(work, widths, rng):
    latencies = true_ms(work, widths[:60], rng)
    scatter = np.linspace(0.01, 0.02, 60)
    predictor = Predictor.fit(work, widths[:60], latencies, scatter)
    data = json.loads(json.dumps({"work": work.to_json(), "predictor": predictor.to_json()}))
    again = Predictor.from_json(data["predictor"], Work.from_json(data["work"]), widths[:60], latencies, scatter)
    for found, expected in zip(again.predict(widths), predictor.predict(widths), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_parts_of_a_latency_are_its_sum(work, widths, rng):
    predictor = Predictor.fit(work, widths[:60], true_ms(work, widths[:60], rng))
    parts = predictor.parts(widths)
    assert parts.shape == (len(widths), len(work.kinds) + 1)
    # What no operator explains deviates with none of them.
    np.testing.assert_allclose(parts.sum(1), predictor.predict(widths)[0])
