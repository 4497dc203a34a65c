from __future__ import annotations

import math

import numpy as np
import pytest

from tests.tflite_bench.blocks import KINDS, cut
from tflite_bench.statistics import bootstrap


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_bootstrap_medians_have_the_distribution_of_drawing_samples(count: int) -> None:
    # The equivalence that the docstring claims: places drawn from a Beta distribution against
    # `count` indices drawn a time. Both give 200,000 medians; a probability then has a standard
    # error of at most 0.0011, a difference of two 0.0016, and the bound is 5 of those.
    samples = np.arange(count, dtype=np.float64)
    draws = 200_000
    fast = bootstrap.bootstrap_medians(samples, np.random.default_rng(1), draws)
    chosen = np.random.default_rng(2).integers(count, size=(draws, count))
    slow = np.median(samples[chosen], axis=1)
    for value in np.unique(slow):
        assert abs(np.mean(fast == value) - np.mean(slow == value)) < 0.008
    assert set(np.unique(fast)) <= set(np.unique(slow))


def test_the_median_of_three_has_its_exact_probabilities() -> None:
    # Three draws from {0, 1, 2}: the median is 0 when at least two are 0: 3 * (1/9) * (2/3) + 1/27
    # = 7/27, the same for 2, and 13/27 for 1.
    medians = bootstrap.bootstrap_medians([0.0, 1.0, 2.0], np.random.default_rng(0), 200_000)
    shares = [np.mean(medians == value) for value in (0, 1, 2)]
    np.testing.assert_allclose(shares, [7 / 27, 13 / 27, 7 / 27], atol=0.006)


@pytest.mark.parametrize("count", [20, 51])
def test_the_interval_of_the_median_holds_the_true_one_19_times_in_20(count: int) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        low, high = bootstrap.median_interval([rng.exponential(size=count)], rng)
        held += low <= math.log(2) <= high  # the median of the exponential distribution
    # 380 expected; the standard deviation is 4.4, the bound below 5 of them.
    assert 358 <= held <= 400


def test_equal_samples_leave_no_doubt() -> None:
    assert bootstrap.median_interval([[2.0] * 7], np.random.default_rng(0)) == (2.0, 2.0)


def test_the_ratio_is_the_median_of_the_block_ratios() -> None:
    # Medians of A: 1, 2, 4; of B: 3, 4, 20; ratios 3, 2, 5, whose median is 3.
    a = [[1.0, 1.0, 9.0], [2.0], [4.0, 4.0]]
    b = [[3.0], [4.0, 4.0, 1.0], [20.0, 20.0]]
    assert bootstrap.compare(a, b).ratio == pytest.approx(3.0)


def test_swapping_the_two_inverts_the_answer() -> None:
    rng = np.random.default_rng(4)
    a = rng.normal(10, 0.1, size=(10, 30))
    b = rng.normal(11, 0.1, size=(10, 30))
    one, other = bootstrap.compare(list(a), list(b)), bootstrap.compare(list(b), list(a))
    assert one.ratio * other.ratio == pytest.approx(1.0)
    assert (one.conclusion, other.conclusion) == (bootstrap.SLOWER, bootstrap.FASTER)
    assert one.low <= one.ratio <= one.high


def test_a_drift_that_meets_both_models_alike_leaves_the_ratio() -> None:
    rng = np.random.default_rng(5)
    drift = np.linspace(1, 3, 10)[:, None]
    a = drift * rng.normal(10, 0.1, size=(10, 30))
    b = drift * rng.normal(10.5, 0.1, size=(10, 30))
    assert bootstrap.compare(list(a), list(b)).ratio == pytest.approx(1.05, abs=0.01)
    # Without the pairing the same times cannot tell: the drift is far larger than the difference.
    assert bootstrap.contrast([a.ravel()], [b.ravel()]).conclusion == bootstrap.NO_DIFFERENCE


def test_two_runs_of_one_model_are_seldom_called_different() -> None:
    # Blocks of one model whose level wanders by 3 % from block to block: a test that took all
    # samples for independent would see a difference in most of these pairs.
    rng = np.random.default_rng(6)
    false_alarms = 0
    for _ in range(200):
        level = rng.normal(1, 0.03, size=(2, 10, 1))
        times = level * rng.normal(1, 0.01, size=(2, 10, 50))
        false_alarms += bootstrap.compare(list(times[0]), list(times[1])).conclusion != (bootstrap.NO_DIFFERENCE)
    assert false_alarms <= 20  # 10 expected at most (5 %), standard deviation 3.1


def test_a_difference_below_the_least_effect_is_none() -> None:
    blocks = [[1.0] * 10] * 10
    assert bootstrap.compare(blocks, [[1.005] * 10] * 10).conclusion == bootstrap.NO_DIFFERENCE
    assert bootstrap.compare(blocks, [[1.02] * 10] * 10).conclusion == bootstrap.SLOWER
    assert bootstrap.compare(blocks, [[0.98] * 10] * 10).conclusion == bootstrap.FASTER


def test_the_same_times_give_the_same_answer() -> None:
    a, b = np.random.default_rng(7).normal(10, 1, size=(2, 5, 20))
    assert bootstrap.compare(list(a), list(b)) == bootstrap.compare(list(a), list(b))


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ([], [], "Received: 0 and 0"),
        ([[1.0]], [[1.0], [2.0]], "Received: 1 and 2"),
        ([[1.0]], [[]], "times above 0"),
        ([[0.0]], [[1.0]], "times above 0"),
        ([[math.nan]], [[1.0]], "times above 0"),
    ],
)
def test_blocks_that_cannot_be_compared_are_an_error(a: list[list[float]], b: list[list[float]], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        bootstrap.compare(a, b)


@pytest.mark.parametrize("blocks", [[], [[]]])
def test_no_samples_are_an_error(blocks: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        bootstrap.median_interval(blocks, np.random.default_rng(0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_holds_the_true_median_also_when_blocks_differ(kind: str) -> None:
    # The level of each of 10 blocks wanders by 3 %: an interval that takes the 200 runs for independent is 3 times
    # too narrow, and holds the true median in about half of the cases.
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(200):
        times = 10 * rng.normal(1, 0.03, (10, 1)) * rng.normal(1, 0.01, (10, 20))
        low, high = bootstrap.median_interval(cut(kind, times.ravel(), 10), rng)
        held += low <= 10 <= high
    assert held >= 180  # 190 expected, standard deviation 3.1


def test_statistics_alone_are_compared_like_single_times() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(10, 0.2, 200), rng.normal(11, 0.2, 200)
    known, unknown = (bootstrap.compare(cut(kind, a, 10), cut(kind, b, 10)) for kind in KINDS)
    assert (known.conclusion, unknown.conclusion) == (bootstrap.SLOWER, bootstrap.SLOWER)
    assert unknown.ratio == pytest.approx(known.ratio, rel=0.01)
    assert unknown.low < unknown.ratio < unknown.high
    # One block of which only statistics are known is no certainty either.
    single = bootstrap.compare(cut("statistics", a[:10], 1), cut("statistics", a[10:20], 1))
    assert single.low < single.ratio < single.high
    assert single.conclusion == bootstrap.TOO_FEW


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_rounds_tell_nothing_however_different(count: int) -> None:
    found = bootstrap.compare([[1.0] * 20] * count, [[2.0] * 20] * count)
    assert found.conclusion == ("too few rounds to tell" if count < 5 else bootstrap.SLOWER)
    assert found.ratio == pytest.approx(2.0)
