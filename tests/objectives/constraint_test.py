"""Constraints: their limits, and by how much a value misses them."""

import math

import pytest

from tfmeta.errors import UserError
from tfmeta.objectives import Constraint


@pytest.mark.parametrize(
    ("value", "violation"),
    [(4.0, 0.2), (5.0, 0.0), (7.5, 0.0), (10.0, 0.0), (12.0, 0.2)],
)
def test_violation_is_relative_to_the_missed_limit(value, violation):
    assert Constraint("ms", lower=5.0, upper=10.0).violation(value) == pytest.approx(violation)


def test_violation_of_a_limit_of_zero_or_below_is_positive():
    assert Constraint("x", upper=0.0).violation(3.0) == 3.0
    assert Constraint("x", lower=-4.0).violation(-5.0) == pytest.approx(0.25)


def test_one_side_leaves_the_other_open():
    assert Constraint("ms", upper=10.0).violation(-1e9) == 0
    assert Constraint("ms", lower=5.0).violation(1e9) == 0


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, "needs a lower or an upper limit"),
        ({"lower": 2, "upper": 1}, "lower <= upper for 'macs', received lower=2 and upper=1"),
        ({"upper": math.nan}, "finite limits"),
        ({"lower": -math.inf}, "finite limits"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, text):
    with pytest.raises(UserError, match=text):
        Constraint("macs", **limits)
