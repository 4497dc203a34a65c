"""The Pareto front of small tables that can be checked by eye."""

import numpy as np
import pytest

from tfmeta.search import pareto_front

# accuracy (larger is better), MACs (smaller is better)
TABLE = np.array(
    [
        [0.70, 300.0],
        [0.72, 300.0],  # dominates the first row: same MACs, better accuracy
        [0.60, 100.0],
        [0.65, 350.0],  # worse than row 1 in both
        [0.72, 300.0],  # equal to row 1: neither dominates
    ]
)


def test_front_of_five_rows():
    front = pareto_front(TABLE, [False, True])
    assert front.tolist() == [False, True, True, False, True]


def test_turning_a_column_and_its_direction_changes_nothing():
    turned = TABLE * [-1, 1]
    np.testing.assert_array_equal(pareto_front(turned, [True, True]), pareto_front(TABLE, [False, True]))


def test_one_column_keeps_the_best_only():
    assert pareto_front(TABLE[:, :1], [False]).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("rows", [0, 1])
def test_tables_without_a_rival(rows):
    assert pareto_front(TABLE[:rows], [False, True]).tolist() == [True] * rows


def test_equals_a_count_over_all_pairs(rng):
    values = rng.integers(0, 6, (60, 3)).astype(float)
    minimize = [True, False, True]
    costs = values * [1, -1, 1]
    beaten = [any(all(other <= row) and any(other < row) for other in costs) for row in costs]
    assert pareto_front(values, minimize).tolist() == [not b for b in beaten]
