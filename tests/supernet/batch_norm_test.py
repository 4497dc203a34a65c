"""Statistics merged from batches are those of all values at once, whatever the batches."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests import nets
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.supernet.batch_norm import Accumulator, batch_normalise, pooled


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    offset=st.floats(-100, 100),
    seed=st.integers(0, 2**32 - 1),
)
def test_merged_batches_equal_all_values_at_once(sizes, offset, seed):
    rng = np.random.default_rng(seed)
    batches = [rng.normal(offset, rng.uniform(0.1, 3, 5), (size, 3, 2, 5)) for size in sizes]
    merged = Accumulator()
    for batch in batches:
        merged.add(len(batch), {"layer": (batch.mean((0, 1, 2)), batch.var((0, 1, 2)))})
    mean, variance = merged.statistics()["layer"]
    values = np.concatenate(batches)
    np.testing.assert_allclose(mean, values.mean((0, 1, 2)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(variance, values.var((0, 1, 2)), rtol=1e-5)


def test_nothing_of_a_start_value_stays():
    merged = Accumulator()
    merged.add(1, {"layer": (np.array([50.0]), np.array([4.0]))})
    # An exponential average from (0, 1) with momentum 0.9 would give (5, 1.3).
    assert merged.statistics() == {"layer": (50.0, 4.0)}


def test_calls_are_pooled_by_their_number_of_values():
    first, second = np.array([0.0, 1.0, 2.0], "float32"), np.array([5.0, 7.0, 9.0, 11.0, 13.0], "float32")
    parts = [(float(len(v)), v[:, None].mean(0), v[:, None].var(0)) for v in (first, second)]
    mean, variance = pooled([tuple(tf.constant(x, tf.float32) for x in part) for part in parts])
    values = np.concatenate([first, second])
    np.testing.assert_allclose(mean, [values.mean()], rtol=1e-6)
    np.testing.assert_allclose(variance, [values.var()], rtol=1e-6)


@pytest.mark.parametrize("shape", [(6, 5, 4, 6), (12, 6), (5, 3, 6)])
def test_normalises_with_the_statistics_of_the_batch(shape):
    node = next(node for node in ChannelGraph.from_model(nets.tiny("plain")).nodes if node.layer == "conv1_bn")
    rng = np.random.default_rng(0)
    inputs = rng.normal(3, 2, shape).astype("float32")
    gamma, beta = rng.random(6, "float32"), rng.random(6, "float32")
    outputs, mean, variance = batch_normalise(node, tf.constant(inputs), {"gamma": gamma, "beta": beta})
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(mean, inputs.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(variance, inputs.var(axes), rtol=1e-5)
    # Keras' default epsilon is 0.001.
    expected = (inputs - inputs.mean(axes)) / np.sqrt(inputs.var(axes) + 1e-3) * gamma + beta
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_one_value_a_channel_has_no_variance():
    node = next(node for node in ChannelGraph.from_model(nets.tiny("plain")).nodes if node.layer == "conv1_bn")
    outputs, mean, variance = batch_normalise(node, tf.ones([1, 6]), {})
    np.testing.assert_array_equal(outputs, np.zeros((1, 6)))
    np.testing.assert_array_equal((mean, variance), (np.ones(6), np.zeros(6)))
