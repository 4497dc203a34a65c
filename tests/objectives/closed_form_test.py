"""Laws of the closed-form objectives, over all that the registry names."""

import keras
import numpy as np
import pytest

import tfmeta
from tfmeta.objectives import CLOSED_FORM, OBJECTIVES, ClosedForm, Constraint, Objective
from tfmeta.objectives.macs import Macs
from tfmeta.objectives.size import Size
from tfmeta.registry import resolve
from tfmeta.search import search


@pytest.fixture(scope="module")
def graph():
    """3x3 convolution to 16, 1x1 to 32, dense to 10; no biases, so every cost can be counted."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(image)
    x = keras.layers.Conv2D(32, 1, use_bias=False, name="point")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(10, use_bias=False, name="top")(x)
    return tfmeta.ChannelGraph.from_model(keras.Model(image, x))


@pytest.fixture(scope="module")
def space(graph):
    return tfmeta.SearchSpace.from_graph(graph, multiple_of=4)


def make(name, graph):
    return resolve(OBJECTIVES, name, "objective")(graph)


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_fulfils_the_protocols_under_its_name(name, graph):
    objective = make(name, graph)
    assert isinstance(objective, Objective)
    assert isinstance(objective, ClosedForm)
    assert objective.name == name
    assert objective.unit
    assert objective.minimize and objective.closed_form


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_values_of_structures_and_costs_of_widths_agree(name, graph, space, rng):
    objective = make(name, graph)
    structures = [space.sample(rng) for _ in range(20)]
    widths = np.array([structure.widths for structure in structures])
    np.testing.assert_array_equal(objective(structures), objective.cost(widths))
    assert len(objective([])) == 0


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_costs_never_fall_when_a_width_grows(name, graph, space):
    cost = make(name, graph).cost
    for base in (space.smallest(), space.uniform(0.5)):
        for group in range(len(space.sizes)):
            wider = np.array(base.widths)
            wider[group] += 4
            assert cost(wider[None])[0] > cost(np.array([base.widths]))[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 8 * 8 * (3 * 3 * 3 * 8 + 8 * 16) + 16 * 10
        ("macs", 64 * (216 + 128) + 160),
        # 216 + 128 + 160
        ("params", 504),
        ("size", 4 * 504),
    ],
)
def test_cost_of_the_half_width_net_counted_by_hand(name, expected, graph, space):
    half = space.uniform(0.5)
    assert half.widths == (8, 16)
    assert make(name, graph)([half]).tolist() == [expected]


def test_options_reach_the_cost(graph, space):
    full = [space.full()]
    # All weights are kernels here, so int8 takes one byte for each of 432 + 512 + 320.
    assert Size(graph, "int8")(full).tolist() == [1264]
    assert Macs(graph, "metapruning")(full) == tfmeta.cost.macs(graph, full, "metapruning")


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_search_takes_objectives_and_constraints_by_name(name, graph, space):
    objective = make(name, graph)
    limit = float(objective([space.uniform(0.5)])[0])
    others = [other for other in CLOSED_FORM if other != name]
    result = search(
        graph=graph,
        space=space,
        objectives=others,
        constraints=[Constraint(name, lower=limit / 2, upper=limit)],
        generations=2,
    )
    assert all(limit / 2 <= t.values[name] <= limit for t in result.trials)
    assert set(result.best.values) == set(CLOSED_FORM)
