from __future__ import annotations

import numpy as np
import pytest

from tflite_bench.types import Verdict
from tflite_bench.verdict import MIN_RUNS, judge


def _steady(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(10.0, 0.2, size=count)


def _judge(times: np.ndarray) -> tuple[Verdict, str]:
    return judge(times, np.random.default_rng(0))


@pytest.mark.parametrize("count", [20, 100, 2000])
def test_a_steady_run_is_ok(count: int) -> None:
    verdict, reason = _judge(_steady(count))
    assert verdict is Verdict.OK
    assert "end ran like the beginning" in reason


@pytest.mark.parametrize("count", [50, 93, 200])
def test_latency_that_doubles_after_20_runs_is_throttled(count: int) -> None:
    times = _steady(count)
    times[20:] *= 2
    verdict, reason = _judge(times)
    assert verdict is Verdict.THROTTLED
    assert "slower than its beginning" in reason


def test_a_slow_creep_is_throttled() -> None:
    verdict, _ = _judge(_steady(500) * np.linspace(1, 1.3, 500))
    assert verdict is Verdict.THROTTLED


def test_a_run_that_becomes_faster_was_not_warm() -> None:
    verdict, reason = _judge(_steady(500) * np.linspace(1.4, 1, 500))
    assert verdict is Verdict.NOISY
    assert "warm up longer" in reason


def test_rare_slow_runs_are_noise() -> None:
    times = _steady(200)
    times[::6] *= 2
    verdict, reason = _judge(times)
    assert verdict is Verdict.NOISY
    assert "One run in ten" in reason


def test_a_wide_interval_is_noise() -> None:
    times = np.tile([8.0, 9.0, 10.0, 11.0, 12.0], 3)
    verdict, reason = _judge(times)
    assert verdict is Verdict.NOISY
    assert "more runs are needed" in reason


def test_few_runs_are_noise_however_equal() -> None:
    verdict, reason = _judge(np.full(MIN_RUNS - 1, 10.0))
    assert verdict is Verdict.NOISY
    assert f"Only {MIN_RUNS - 1} runs" in reason
    assert _judge(np.full(MIN_RUNS, 10.0))[0] is Verdict.OK


def test_the_unit_does_not_matter() -> None:
    times = _steady(100)
    assert _judge(times) == _judge(times * 1000)
