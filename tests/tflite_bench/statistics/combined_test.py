"""Several blocks as one sample."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tests.tflite_bench.blocks import cut, told
from tflite_bench.statistics.block import Block
from tflite_bench.statistics.combined import combine, times_of

TIMES = st.lists(st.floats(0.01, 1000.0), min_size=1, max_size=60)


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_count_extremes_mean_and_spread_are_exact_for_both_kinds(parts: list[list[float]]) -> None:
    times = np.concatenate(parts)
    for kind in (Block.of_times, told):
        whole = combine([kind(part) for part in parts])
        assert (whole.count, whole.min_ms, whole.max_ms) == (len(times), times.min(), times.max())
        assert whole.mean_ms == pytest.approx(times.mean())
        assert whole.std_ms == pytest.approx(times.std(), abs=1e-6 * times.max())


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_known_times_give_their_own_percentiles(parts: list[list[float]]) -> None:
    times = np.concatenate(parts)
    whole = combine([Block.of_times(part) for part in parts])
    found = (whole.p5_ms, whole.median_ms, whole.p90_ms, whole.p95_ms)
    assert found == pytest.approx(np.percentile(times, [5, 50, 90, 95]))


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_statistics_alone_give_percentiles_in_order_and_within_what_was_measured(parts: list[list[float]]) -> None:
    blocks = [told(part) for part in parts]
    whole = combine(blocks)
    assert whole.median_ms == np.median([block.median_ms for block in blocks])
    assert whole.min_ms <= whole.p5_ms and whole.median_ms <= whole.p90_ms <= whole.max_ms
    assert whole.median_ms <= whole.p95_ms <= whole.max_ms


@given(TIMES)
def test_stand_ins_agree_with_all_that_is_known(times: list[float]) -> None:
    block = told(times)
    found = times_of(block)
    assert len(found) == block.count
    assert np.all(np.diff(found) >= 0)
    ordered = np.sort(times)
    for place in (0, len(times) * 5 // 100, len(times) // 2, len(times) * 95 // 100, len(times) - 1):
        assert found[place] == pytest.approx(ordered[place])


def test_a_few_slow_runs_do_not_lift_the_90th_percentile() -> None:
    # 3 of 100 runs take twice as long, in three different blocks of ten, whose 95th percentile and maximum are then
    # that one run. A straight line from a block's median to its maximum would call a tenth of all runs slow.
    times = np.random.default_rng(0).normal(10.0, 0.1, 100)
    times[[7, 44, 81]] = 20.0
    known, unknown = (combine(cut(kind, times, 10)) for kind in ("times", "statistics"))
    assert unknown.p90_ms == pytest.approx(known.p90_ms, rel=0.05)


def test_a_block_weighs_as_much_as_it_has_runs() -> None:
    whole = combine([told([1.0] * 5000), told([9.0] * 100)])
    assert whole.p90_ms == 5.0  # the median of the two medians: percentiles never fall below the median
    assert combine([told([1.0] * 5000), told([9.0] * 100), told([1.0] * 10)]).p90_ms == 1.0


def test_a_long_block_has_few_stand_ins() -> None:
    assert len(times_of(told(np.linspace(1, 2, 100_000)))) == 1000
