"""Search spaces: what they hold, and that every operation stays inside."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import nets
from tfmeta import ChannelGraph, SearchSpace, Structure
from tfmeta.errors import SpaceError
from tfmeta.graph.space import METAPRUNING_RATIOS, Gene
from tfmeta.lazy import keras

SIZES = {"a": 32, "b": 24, "c": 64, "d": 7}


@st.composite
def spaces(draw):
    """Spaces over four groups: multiples or ratios, with and without a pin and a tie."""
    names, sizes = tuple(SIZES), tuple(SIZES.values())
    genes = []
    tied = draw(st.booleans())
    for group, size in enumerate(sizes):
        options = draw(st.sets(st.integers(1, size), min_size=1, max_size=6))
        if tied and group == 0:
            genes.append(Gene((0, 2), tuple((width, 2 * width) for width in sorted(options))))
        elif not tied or group != 2:
            genes.append(Gene((group,), tuple((width,) for width in sorted(options))))
    return SearchSpace(names, sizes, tuple(genes))


seeds = st.integers(0, 2**32 - 1)


@given(spaces(), seeds)
def test_every_operation_stays_inside(space, seed):
    rng = np.random.default_rng(seed)
    first, second = space.sample(rng), space.sample(rng)
    children = [space.mutate(first, rng, 0.5), space.cross(first, second, rng), space.uniform(rng.random())]
    for structure in (first, second, *children, space.full(), space.smallest()):
        assert space.contains(structure)
        assert space.structure(space.indices(structure)) == structure


@given(spaces(), seeds)
def test_mutation_with_probability_one_changes_every_free_gene(space, seed):
    rng = np.random.default_rng(seed)
    before = space.sample(rng)
    changed = space.indices(space.mutate(before, rng, 1.0)) != space.indices(before)
    assert (changed == (space.num_options > 1)).all()
    assert space.mutate(before, rng, 0.0) == before


@given(spaces(), seeds)
def test_a_child_takes_every_gene_from_a_parent(space, seed):
    rng = np.random.default_rng(seed)
    first, second = space.sample(rng), space.sample(rng)
    child = space.indices(space.cross(first, second, rng))
    assert ((child == space.indices(first)) | (child == space.indices(second))).all()


@given(spaces())
def test_json_round_trip(space):
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@given(spaces())
def test_the_size_is_the_number_of_structures(space):
    assert space.log10_size == pytest.approx(np.log10(np.prod(space.num_options.astype(float))))
    assert space.num_genes == (space.num_options > 1).sum()


def test_mutation_reaches_every_other_option_alike(rng):
    space = SearchSpace(("a",), (4,), (Gene((0,), ((1,), (2,), (3,), (4,))),))
    drawn = [space.mutate(Structure((2,)), rng, 1.0).widths[0] for _ in range(3000)]
    # 1000 expected of each, with a standard deviation of 26.
    assert set(drawn) == {1, 3, 4}
    assert all(abs(drawn.count(width) - 1000) < 130 for width in (1, 3, 4))


# Spaces of a graph

# `residual` has the groups stem 6, a1 5, b1 7, b2 8.


def _space(**options):
    return SearchSpace.from_graph(ChannelGraph.from_model(nets.tiny("residual")), **options)


def test_choices_are_multiples_and_the_full_width():
    space = _space(multiple_of=2)
    assert space.names == ("stem", "a1", "b1", "b2")
    assert space.choices == ((2, 4, 6), (2, 4, 5), (2, 4, 6, 7), (2, 4, 6, 8))
    assert space.full() == Structure((6, 5, 7, 8))
    assert space.smallest() == Structure((2, 2, 2, 2))
    assert _space(multiple_of=8).choices == ((6,), (5,), (7,), (8,))


def _choices(outputs, image):
    graph = ChannelGraph.from_model(keras.Model(image, outputs))
    space = SearchSpace.from_graph(graph)
    return dict(zip(space.names, space.choices, strict=True))


def test_a_multiple_counts_channels_where_a_normalisation_has_groups():
    image, layers = keras.Input((8, 8, 3), name="image"), keras.layers
    x = image
    for filters in (64, 128, 96):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{filters}")(x)
        x = layers.GroupNormalization(32, name=f"norm{filters}")(x)
    # Each of the 32 groups has 2, 4 and 3 channels, so every width is a multiple of 32.
    x = layers.Conv2D(16, 1, name="last")(x)
    assert _choices(x, image) == {
        "conv64": (1, 2),
        "conv128": (1, 2, 3, 4),
        "conv96": (1, 2, 3),
    }
    assert _choices(layers.Dense(4, name="logits")(layers.Flatten()(x)), image)["last"] == (8, 16)  # 64 places each


def test_a_multiple_counts_channels_around_grouped_convolutions():
    image, layers = keras.Input((8, 8, 3), name="image"), keras.layers
    x = layers.Conv2D(128, 1, name="wide")(image)
    x = layers.Conv2D(128, 3, groups=32, padding="same", name="grouped")(x)
    x = layers.Conv2D(64, 1, name="narrow")(x)
    few = layers.Conv2D(24, 3, groups=2, name="few")(x)  # 32 columns of 2, and 12 of 2: multiples of 4 columns
    assert _choices(layers.Conv2D(4, 1, name="last")(few), image) == {
        "wide": (1, 2, 3, 4),
        "grouped": (1, 2, 3, 4),
        "narrow": tuple(range(4, 33, 4)),
        "few": (4, 8, 12),
    }


def test_the_smallest_ratio_is_rounded_up():
    # Half of 6, 5, 7 and 8 is 3, 2.5, 3.5 and 4, so the first multiples of 2 are 4.
    assert [choices[0] for choices in _space(multiple_of=2, min_ratio=0.5).choices] == [4, 4, 4, 4]
    assert [choices[0] for choices in _space(multiple_of=1, min_ratio=0.5).choices] == [3, 3, 4, 4]


def test_uniform_takes_the_nearest_option():
    # 0.5 of 6, 5, 7, 8 is 3, 2.5, 3.5, 4; a tie between two options goes to the smaller one.
    assert _space(multiple_of=2).uniform(0.5) == Structure((2, 2, 4, 4))
    assert _space(multiple_of=1).uniform(1.0) == _space(multiple_of=1).full()


def test_the_papers_ratios_give_31_truncated_widths():
    assert METAPRUNING_RATIOS[:3] == (10, 13, 16)
    assert METAPRUNING_RATIOS[-1] == 100
    assert len(METAPRUNING_RATIOS) == 31
    graph = ChannelGraph.from_model(nets.FAMILIES["resnet50"]())
    space = SearchSpace.from_graph(graph, ratios=METAPRUNING_RATIOS)
    # Width = int(base * scale): for the 512 channels of a stage that is 51, 66, 81, 97, ..., 496, 512.
    widest = space.choices[space.sizes.index(512)]
    assert widest == tuple(int(512 * (10 + 3 * i) / 100) for i in range(31))
    assert widest[:4] == (51, 66, 81, 97)
    # A base of 16 has fewer distinct widths.
    narrow = space.choices[space.sizes.index(16)]
    assert narrow == tuple(range(1, 17))


def test_pins_hold_and_do_not_count():
    space = _space(multiple_of=1, pins={"a1": 3})
    assert space.choices[1] == (3,)
    assert space.num_genes == 3
    assert {space.sample(np.random.default_rng(seed)).widths[1] for seed in range(20)} == {3}


def test_tied_groups_share_one_gene():
    space = _space(multiple_of=2, ties=[("a1", "b2")])
    assert space.num_genes == 3
    # b2 has the most choices: 2, 4, 6, 8 of 8 are 0.25, 0.5, 0.75, 1. Of a1's 2, 4, 5 of 5, which are 0.4, 0.8, 1, the
    # nearest are 0.4, 0.4, 0.8, 1.
    assert space.genes[1] == Gene((1, 3), ((2, 2), (2, 4), (4, 6), (5, 8)))
    assert space.contains(Structure((6, 4, 7, 6)))
    assert not space.contains(Structure((6, 2, 7, 8)))
    with pytest.raises(SpaceError, match="Tied groups"):
        space.indices(Structure((6, 2, 7, 8)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multiple_of": 0}, "Expected multiple_of >= 1 and 0 < min_ratio <= 1, received 0 and 0.1"),
        *[
            (
                {"multiple_of": value},
                rf"Expected an integer for multiple_of, received {value!r}\. .*tflite-bench staircase",
            )
            for value in ("device", 8.0, None)
        ],
        ({"min_ratio": 0.0}, "received 8 and 0.0"),
        ({"ratios": (0, 50)}, r"Ratios are percentages above 0 and up to 100, received \(0, 50\)"),
        ({"ratios": ()}, "Ratios are percentages"),
        ({"pins": {"nothing": 3}}, "Unknown group 'nothing'. Expected one of: stem, a1, b1, b2"),
        ({"pins": {"a1": 6}}, "Group 'a1' has 5 channels, it cannot be pinned to 6"),
        ({"ties": [("stem", "other")]}, "Unknown group 'other'"),
        ({"ties": [("stem", "a1"), ("a1", "b1")]}, "A group may be tied once"),
        ({"ties": [("stem", "stem")]}, "A group may be tied once"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(SpaceError, match=message):
        _space(**options)


def test_a_structure_outside_is_told_by_group():
    space = _space(multiple_of=2)
    with pytest.raises(SpaceError, match=r"Width 3 of group 'a1' is not in the space, expected one of \(2, 4, 5\)"):
        space.indices(Structure((6, 3, 7, 8)))
    with pytest.raises(SpaceError, match="Expected 4 widths, received 2"):
        space.indices(Structure((6, 5)))
    assert not space.contains(Structure((6, 5)))


def test_genes_cover_every_group_once():
    with pytest.raises(SpaceError, match="exactly one gene"):
        SearchSpace(("a", "b"), (4, 4), (Gene((0,), ((4,),)),))
