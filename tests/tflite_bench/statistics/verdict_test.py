"""The verdict, for blocks with single times and for blocks of which only statistics are known."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import numpy.typing as npt
import pytest

from tests.tflite_bench.blocks import KINDS, cut
from tflite_bench.conditions import Conditions
from tflite_bench.limits import Limits
from tflite_bench.statistics.verdict import MIN_RUNS, judge
from tflite_bench.types import Verdict

Times = npt.NDArray[np.float64]
each_kind = pytest.mark.parametrize("kind", KINDS)


def _steady(count: int, seed: int = 0) -> Times:
    return np.random.default_rng(seed).normal(10.0, 0.2, size=count)


def _judge(kind: str, times: Times, blocks: int = 1) -> tuple[Verdict, str]:
    return judge(cut(kind, times, blocks), np.random.default_rng(0))


@each_kind
@pytest.mark.parametrize("blocks", [1, 2, 5, 10])
@pytest.mark.parametrize("count", [20, 100, 2000])
def test_a_steady_run_is_ok(kind: str, count: int, blocks: int) -> None:
    verdict, reason = _judge(kind, _steady(count), blocks)
    assert verdict is Verdict.OK
    assert "end ran like the beginning" in reason


@each_kind
@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("count", [26, 50, 93, 200, 1000, 20_000])
def test_latency_that_doubles_after_20_runs_is_throttled(kind: str, count: int, blocks: int) -> None:
    times = _steady(count)
    times[20:] *= 2
    verdict, reason = _judge(kind, times, blocks)
    assert verdict is Verdict.THROTTLED
    assert "slower than" in reason


@each_kind
@pytest.mark.parametrize("after", [0.1, 0.2, 0.3, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("blocks", [1, 4, 10])
def test_latency_that_doubles_anywhere_before_the_last_quarter_is_throttled(
    kind: str, after: float, blocks: int
) -> None:
    times = _steady(200)
    times[int(after * 200) :] *= 2
    assert _judge(kind, times, blocks)[0] is Verdict.THROTTLED


@each_kind
@pytest.mark.parametrize("count", [150, 400, 1000])
def test_latency_that_doubles_in_every_block_is_throttled(kind: str, count: int) -> None:
    # A phone that cools down between the blocks: the first half of each is fast.
    times = _steady(count).reshape(10, -1)
    times[:, times.shape[1] // 2 :] *= 2
    assert _judge(kind, times.ravel(), 10)[0] is Verdict.THROTTLED


@each_kind
@pytest.mark.parametrize("blocks", [1, 10])
def test_a_slow_creep_is_throttled(kind: str, blocks: int) -> None:
    verdict, _ = _judge(kind, _steady(500) * np.linspace(1, 1.35, 500), blocks)
    assert verdict is Verdict.THROTTLED


def test_steady_runs_are_seldom_called_throttled() -> None:
    # 3 % of scatter, one run in twenty 40 % slower, blocks whose level wanders by 2 %.
    rng = np.random.default_rng(1)
    wrong = {kind: 0 for kind in KINDS}
    for _ in range(100):
        times = 10 * rng.normal(1, 0.02, (10, 1)) * rng.normal(1, 0.03, (10, 20))
        times[rng.random(times.shape) < 0.05] *= 1.4
        for kind in KINDS:
            wrong[kind] += _judge(kind, times.ravel(), 10)[0] is Verdict.THROTTLED
    assert max(wrong.values()) <= 5, wrong


@each_kind
def test_a_run_that_becomes_faster_was_not_warm(kind: str) -> None:
    verdict, reason = _judge(kind, _steady(500) * np.linspace(1.4, 1, 500), 10)
    assert verdict is Verdict.NOISY
    assert "warm up longer" in reason


@each_kind
def test_rare_slow_runs_are_noise(kind: str) -> None:
    times = _steady(200)
    times[3::6] *= 2
    verdict, reason = _judge(kind, times, 5)
    assert verdict is Verdict.NOISY
    assert "One run in ten" in reason


@each_kind
@pytest.mark.parametrize("blocks", [1, 3])
def test_a_wide_interval_is_noise(kind: str, blocks: int) -> None:
    times = np.tile([10.0, 12.0, 8.0, 11.0, 9.0], 3)
    verdict, reason = _judge(kind, times, blocks)
    assert verdict is Verdict.NOISY
    assert "more runs are needed" in reason


@each_kind
def test_blocks_that_differ_are_noise_however_equal_their_runs(kind: str) -> None:
    levels = np.array([10.0, 9.0, 11.0, 9.2, 10.8, 9.1, 10.9, 10.1, 9.0, 11.0])
    verdict, reason = _judge(kind, np.repeat(levels, 100), 10)
    assert verdict is Verdict.NOISY
    assert "more runs are needed" in reason


@each_kind
def test_few_runs_are_noise_however_equal(kind: str) -> None:
    verdict, reason = _judge(kind, np.full(MIN_RUNS - 1, 10.0))
    assert verdict is Verdict.NOISY
    assert f"Only {MIN_RUNS - 1} runs" in reason
    assert _judge(kind, np.full(MIN_RUNS, 10.0))[0] is Verdict.OK


@each_kind
def test_the_unit_does_not_matter(kind: str) -> None:
    times = _steady(100)
    assert _judge(kind, times, 5) == _judge(kind, times * 1000, 5)


COOL = Conditions(thermal_status=0, clock_limits_mhz=((0, 1800), (7, 2400)), clocks_mhz=((0, 600), (7, 2400)))


@each_kind
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"thermal_status": 2}, "thermal status rose from none to moderate"),
        ({"clock_limits_mhz": ((0, 1800), (7, 1900))}, "clock limit of core 7 from 2400 to 1900 MHz"),
    ],
)
def test_a_device_that_tells_of_throttling_is_believed(kind: str, changes: dict[str, object], text: str) -> None:
    blocks = cut(kind, _steady(100), 5)
    after = dataclasses.replace(COOL, **changes)  # type: ignore[arg-type]
    verdict, reason = judge(blocks, np.random.default_rng(0), before=COOL, after=after)
    assert verdict is Verdict.THROTTLED
    assert re.search(text, reason)
    # The other way round it cooled down.
    assert judge(blocks, np.random.default_rng(0), before=after, after=COOL)[0] is Verdict.OK


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, Conditions(thermal_status=1)),
        (Conditions(thermal_status=0), None),
        (Conditions(thermal_status=0), Conditions(thermal_status=None)),
        (COOL, dataclasses.replace(COOL, clocks_mhz=((0, 300), (7, 300)))),  # idle again
        (COOL, dataclasses.replace(COOL, clock_limits_mhz=((0, 1800),))),  # cores were switched off: not the same list
    ],
)
def test_what_a_device_does_not_tell_is_held_against_nothing(
    before: Conditions | None, after: Conditions | None
) -> None:
    blocks = cut("times", _steady(100), 5)
    assert judge(blocks, np.random.default_rng(0), before=before, after=after)[0] is Verdict.OK


HELD = Conditions(
    thermal_status=0, clock_limits_mhz=((0, 1800), (7, 1200)), clock_tops_mhz=((0, 1800), (1, 1800), (7, 2400))
)


@pytest.mark.parametrize(
    ("before", "after", "limits", "text"),
    [
        (Conditions(thermal_status=3), Conditions(thermal_status=3), Limits(), "thermal status is severe"),
        (None, Conditions(thermal_status=2), Limits(max_thermal_status=6), "thermal status is moderate"),
        (None, Conditions(thermal_status=1), Limits(max_thermal_status=0), "thermal status is light"),
        (HELD, HELD, Limits(min_clock_share=0.9), "held core 7 at 1200 of its 2400 MHz, less than 90%"),
        (None, HELD, Limits(min_clock_share=0.9, pin="big"), "held core 7"),
        (HELD, None, Limits(min_clock_share=0.9, pin="0x80"), "held core 7"),
        (HELD, HELD, Limits(min_clock_share=0.9, pin="little"), ""),
        (HELD, HELD, Limits(min_clock_share=0.9, pin="0x3"), ""),
        (HELD, HELD, Limits(), ""),
        (HELD, HELD, Limits(min_clock_share=0.5), ""),
        (None, Conditions(thermal_status=1), Limits(), ""),
    ],
)
def test_a_device_that_was_throttled_all_the_time_is_told(
    before: Conditions | None, after: Conditions | None, limits: Limits, text: str
) -> None:
    blocks = cut("statistics", _steady(100), 5)
    verdict, reason = judge(blocks, np.random.default_rng(0), before=before, after=after, limits=limits)
    assert verdict is (Verdict.THROTTLED if text else Verdict.OK)
    assert text in reason


@pytest.mark.parametrize(
    ("pin", "off", "told"),
    [
        ("big", 7, True),
        ("0x80", 7, True),
        ("big", 0, False),
        ("little", 0, True),
        ("none", 7, False),
        ("all", 7, False),
    ],
)
def test_a_pinned_core_that_goes_off_is_told(pin: str, off: int, told: bool) -> None:
    tops = ((0, 1800), (1, 1800), (7, 2400))
    before = Conditions(clock_tops_mhz=tops)
    after = Conditions(clock_tops_mhz=tuple(pair for pair in tops if pair[0] != off))
    blocks = cut("statistics", _steady(100), 5)
    verdict, reason = judge(blocks, np.random.default_rng(0), before=before, after=after, limits=Limits(pin=pin))
    assert (verdict is Verdict.THROTTLED and f"switched core {off} off" in reason) == told


@each_kind
@pytest.mark.parametrize("fast_runs", [20, 3])
def test_what_was_fast_in_the_warm_up_only_is_throttled(kind: str, fast_runs: int) -> None:
    warmup = _steady(200)
    warmup[fast_runs:] *= 2
    warmup[0] = 80.0  # the first inference packs weights
    blocks, block = cut(kind, _steady(200) * 2, 10), KINDS[kind](warmup)
    verdict, reason = judge(blocks, np.random.default_rng(0), warmup=block)
    assert verdict is Verdict.THROTTLED
    assert re.search(r"It took 9\.\d+ ms when it was loaded, 20\.?\d* ms when timed \(\d+ runs\)", reason), reason
    slow = KINDS[kind](_steady(20) * 3)
    assert judge(blocks, np.random.default_rng(0), warmup=slow)[0] is Verdict.OK


@pytest.mark.parametrize("scatter", [0.05, 0.08, 0.12])
def test_blocks_that_scatter_in_no_order_are_seldom_called_throttled(scatter: float) -> None:
    rng = np.random.default_rng(2)
    wrong = {kind: 0 for kind in KINDS}
    for _ in range(60):
        times = 10 * rng.normal(1, scatter, (10, 1)) * rng.normal(1, 0.02, (10, 25))
        for kind in KINDS:
            wrong[kind] += _judge(kind, times.ravel(), 10)[0] is Verdict.THROTTLED
    assert max(wrong.values()) <= 7, wrong  # 3 expected at most, standard deviation 1.7


def test_what_is_stale_is_nothing_else() -> None:
    times = _steady(100)
    times[20:] *= 2
    found = judge(cut("times", times, 5), np.random.default_rng(0), stale_reason="Another file was there.")
    assert found == (Verdict.STALE, "Another file was there.")
