"""Structures, selections and bounds."""

import numpy as np
import pytest

from tfmeta import Selection, Structure
from tfmeta.errors import SpaceError
from tfmeta.graph.structure import Bound


def test_structures_are_plain_and_hashable():
    structure = Structure(np.array([3, 4]))
    assert structure.widths == (3, 4)
    assert {structure, Structure((3, 4))} == {structure}
    assert all(type(width) is int for width in structure.widths)


def test_a_width_below_one_is_refused():
    with pytest.raises(SpaceError, match=r"Every width must be at least 1, received \(3, 0\)"):
        Structure((3, 0))


def test_first_keeps_the_leading_channels():
    selection = Selection.first(Structure((2, 3)))
    assert selection.kept == ((0, 1), (0, 1, 2))
    assert selection.structure == Structure((2, 3))


def test_largest_keeps_the_largest_scores_in_order():
    scores = [np.array([0.1, 0.9, 0.5, 0.7]), np.array([1.0, 1.0, 1.0])]
    # 0.9, 0.7 and 0.5 are the places 1, 3 and 2; equal scores go to the earlier channel.
    assert Selection.largest(Structure((3, 2)), scores).kept == ((1, 2, 3), (0, 1))
    with pytest.raises(SpaceError, match="Expected scores for 2 groups, received 1"):
        Selection.largest(Structure((3, 2)), scores[:1])


@pytest.mark.parametrize("kept", [(), (1, 1), (2, 1), (-1, 0)])
def test_kept_channels_are_ascending_and_different(kept):
    with pytest.raises(SpaceError, match="ascending, different and not negative, at least one a group"):
        Selection((kept,))


def test_bounds_compare_with_both_limits():
    widths = np.array([[1, 1], [2, 3], [5, 5]])
    bound = Bound("width", "channels", lambda rows: rows.sum(1), lower=3, upper=9)
    assert bound.below(widths).tolist() == [True, False, False]
    assert bound.above(widths).tolist() == [False, False, True]
    unbounded = Bound("width", "channels", lambda rows: rows.sum(1))
    assert not unbounded.below(widths).any()
    assert not unbounded.above(widths).any()
