"""The fit of a measured cost against a closed-form one, on tables small enough to fit by hand."""

import numpy as np
import pytest

from tfmeta.search import proxy


def test_isotonic_pools_neighbours_that_fall():
    # 3, 1 -> 2, 2; then 4, 6, 5 -> 4, 5.5, 5.5.
    fit = proxy.isotonic(np.array([3.0, 1.0, 4.0, 6.0, 5.0]))
    np.testing.assert_allclose(fit, [2, 2, 4, 5.5, 5.5])
    # 5, 4, 0: first 4.5, 4.5; then 0 pulls all three to their mean of 3.
    np.testing.assert_allclose(proxy.isotonic(np.array([5.0, 4.0, 0.0])), [3, 3, 3])
    # With three times the weight on the first: (3 * 4 + 0) / 4.
    fit = proxy.isotonic(np.array([4.0, 0.0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(fit, [3, 3])


def test_isotonic_is_the_nearest_never_falling_sequence(rng):
    values = rng.normal(size=30).cumsum() * 0.2 + rng.normal(size=30)
    fit = proxy.isotonic(values)
    assert np.all(np.diff(fit) >= 0)
    for _ in range(200):
        other = np.sort(fit + 0.1 * rng.normal(size=30))
        assert ((other - values) ** 2).sum() >= ((fit - values) ** 2).sum()


COSTS = np.array([300.0, 100.0, 200.0])
VALUES = np.array([8.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("limit", "largest", "smallest"),
    [
        (4.0, 200.0, 200.0),  # on a measured point
        (6.0, 250.0, 250.0),  # half way from 4 to 8
        (3.0, 150.0, 150.0),
        (9.0, 300.0, 300.0),  # over all: the largest; nothing reaches it
        (1.0, 100.0, 100.0),  # under all
    ],
)
def test_limits_between_and_outside_the_measured_points(limit, largest, smallest):
    assert proxy.largest_cost(COSTS, VALUES, limit) == pytest.approx(largest)
    assert proxy.smallest_cost(COSTS, VALUES, limit) == pytest.approx(smallest)


def test_on_a_flat_part_the_largest_and_the_smallest_cost_are_its_ends():
    costs, values = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 5.0, 5.0, 9.0])
    assert proxy.largest_cost(costs, values, 5.0) == 3
    assert proxy.smallest_cost(costs, values, 5.0) == 2


def test_a_repeated_cost_counts_with_its_mean():
    costs, values = np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0, 5.0])
    assert proxy.largest_cost(costs, values, 3.0) == 2  # the mean of 2 and 4


def test_targets_move_inwards_and_meet_in_the_middle_of_a_narrow_window():
    assert proxy.targets(None, 10.0, 0.1) == (None, 9.0)
    assert proxy.targets(10.0, None, 0.1) == (11.0, None)
    lower, upper = proxy.targets(9.8, 10.0, 0.1)
    # The margin shrinks to half the window over its upper end: 0.1 / 10.
    assert (lower, upper) == (pytest.approx(9.898), pytest.approx(9.9))
    assert lower <= upper
