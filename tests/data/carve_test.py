"""Carving: disjoint, complete, balanced, reproducible, and told what is too small."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmeta.data.carve import balanced, carve_count, carve_fraction
from tfmeta.errors import DataError

PARTS = ("train", "search")
labels_of_counts = st.lists(st.integers(2, 30), min_size=1, max_size=6)


def spread(counts):
    return np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))


def names(count):
    return [f"class{i}" for i in range(count)]


@given(labels_of_counts, st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_share_of_every_class_is_carved_and_one_image_kept(counts, fraction, seed):
    labels = spread(counts)
    options = {"class_names": names(len(counts)), "parts": PARTS}
    kept, carved = carve_fraction(labels, fraction, np.random.default_rng(seed), **options)
    assert sorted([*kept, *carved]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        share = np.count_nonzero(labels[carved] == label)
        assert 1 <= share <= count - 1
        assert abs(share - fraction * count) <= 1.0
    again = carve_fraction(labels, fraction, np.random.default_rng(seed), **options)
    np.testing.assert_array_equal(carved, again[1])


@given(labels_of_counts, st.data())
def test_a_count_is_carved_exactly_and_evenly(counts, data):
    labels, classes = spread(counts), len(counts)
    count = data.draw(st.integers(classes, len(labels) - classes))
    kept, carved = carve_count(labels, count, np.random.default_rng(0), class_names=names(classes), parts=PARTS)
    assert len(carved) == count
    assert not set(kept) & set(carved)
    shares = np.bincount(labels[carved], minlength=classes)
    open_classes = shares < np.array(counts) - 1  # those that could have given more
    assert np.all(shares[open_classes] >= shares.max() - 1)
    assert np.bincount(labels[kept], minlength=classes).min() >= 1


def test_a_balanced_choice_fills_up_from_the_large_classes():
    # 10 images out of 2 + 3 + 20: level 2 gives 6, then one of each large class gives 8, the class
    # of 20 gives the last 2.
    labels = spread([2, 3, 20])
    chosen = balanced(labels, 10, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [2, 3, 5]
    assert len(np.unique(chosen)) == 10
    assert len(balanced(labels, 1000, np.random.default_rng(0))) == 25


def test_with_more_classes_than_images_it_is_drawn_which_classes_give_one():
    labels = spread([3] * 500)
    chosen = [labels[balanced(labels, 40, np.random.default_rng(seed))] for seed in (0, 1)]
    assert [len(np.unique(labels)) for labels in chosen] == [40, 40]
    assert set(chosen[0]) != set(chosen[1])
    assert all(labels.max() > 250 for labels in chosen)  # not the first 40
    gaps = labels[labels % 2 == 0]  # every other class has no image
    assert len(np.unique(gaps[balanced(gaps, 249, np.random.default_rng(0))])) == 249


def test_another_seed_carves_other_images():
    labels = spread([50, 50])
    first, second = (
        carve_fraction(labels, 0.2, np.random.default_rng(s), class_names=names(2), parts=PARTS)[1] for s in (0, 1)
    )
    assert first.tolist() != second.tolist()


def test_a_class_with_one_image_is_named_with_its_count():
    with pytest.raises(DataError, match=r"at least 2 images.*train, search; but 'cat' has 1\. Add"):
        carve_fraction(
            np.array([0, 1, 0]),
            0.5,
            np.random.default_rng(0),
            class_names=("dog", "cat"),
            parts=PARTS,
        )


def test_a_class_without_images_is_named_too():
    with pytest.raises(DataError, match="'ghost' has 0"):
        carve_count(
            np.array([0, 0, 0]),
            2,
            np.random.default_rng(0),
            class_names=("dog", "ghost"),
            parts=PARTS,
        )


@pytest.mark.parametrize("count", [1, 7])
def test_a_count_that_cannot_be_balanced_tells_the_bounds(count):
    # Two classes of 4: at least one of each, and one of each stays, so 2 to 6.
    with pytest.raises(DataError, match=rf"search split of 2 to 6 images.*Received: {count}\."):
        carve_count(spread([4, 4]), count, np.random.default_rng(0), class_names=names(2), parts=PARTS)
