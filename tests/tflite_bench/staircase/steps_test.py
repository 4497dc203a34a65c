"""Made-up staircases: their step is found, and where noise hides it that is said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tflite_bench.staircase.steps import STEPS, Point, counts, find_step

MS_A_CHANNEL = 0.02


def staircase(tile: int, *, noise: float = 0.002, linear: float = 0.0, tail: float = 0.0, seed: int = 0) -> list[Point]:
    """Latencies of whole tiles, over an overhead of 0.1 ms.

    Args:
        tile: channels of a tile; 1 is none.
        noise: standard deviation of a median, as a share of it, which its interval tells.
        linear: share of the time that follows the channels themselves.
        tail: how much longer the last tile takes where it is not full.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    points = []
    for count in counts():
        whole = math.ceil(count / tile) * tile
        ms = 0.1 + MS_A_CHANNEL * ((1 - linear) * whole + linear * count) * (1 + tail * (count % tile > 0))
        median = ms * (1 + noise * rng.normal())
        points.append(Point(count, median, median * (1 - 1.96 * noise), median * (1 + 1.96 * noise), 200))
    return points


def test_counts_stand_on_both_sides_of_every_multiple_of_4() -> None:
    assert counts() == (32, 33, 36, 37, 40, 41, 44, 45, 48, 49, 52, 53, 56, 57, 60, 61, 64)


@pytest.mark.parametrize("tile", [1, *STEPS])
@pytest.mark.parametrize("shape", [{}, {"linear": 0.15}, {"tail": 0.05}], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_the_step_of_a_staircase(tile: int, shape: dict[str, float], seed: int) -> None:
    found = find_step(staircase(tile, seed=seed, **shape)[::-1])
    assert found.step == tile, found.reason
    assert set(found.within) == set(STEPS)


def test_the_evidence_of_staircases_without_noise() -> None:
    linear, eight = (find_step(staircase(tile, noise=0.0)) for tile in (1, 8))
    for step in STEPS:
        assert linear.within[step].share == pytest.approx(1 - 1 / step)
        assert eight.within[step].share == pytest.approx(max(0, 1 - 8 / step))
    assert linear.reason == "No staircase: widths between multiples of 4 save 75% of the rise."
    assert eight.reason == "A staircase: widths between multiples of 8 save 0% of the rise."


@pytest.mark.parametrize("tile", [1, *STEPS])
def test_noise_never_makes_another_step(tile: int) -> None:
    for noise, hides in ((0.02, False), (0.05, False), (0.2, True)):
        found = [find_step(staircase(tile, noise=noise, seed=seed)) for seed in range(100)]
        assert sum(one.step not in (tile, None) for one in found) <= 100 * 0.05
        assert sum(one.step is None for one in found) > 90 or not hides
    assert found[0].reason.startswith(("No step found: ", "Latency rises by "))


def test_a_latency_that_does_not_rise_has_no_step() -> None:
    points = [Point(count, 1.0 + 0.0001 * count, 0.99, 1.01, 200) for count in counts()]
    found = find_step(points)
    assert found.step is None and found.within == {}
    assert found.reason.startswith("Latency rises by 0.0032 ± 0.014 ms only from 32 to 64 channels")


def test_other_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected one point for each of \(32, 33, "):
        find_step(staircase(8)[1:])
