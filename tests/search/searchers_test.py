"""Laws that every searcher in the registry keeps."""

import json

import numpy as np
import pytest

from tests.search import toy
from tfmeta.errors import BudgetError, StoreError, UserError
from tfmeta.graph.structure import Bound
from tfmeta.registry import resolve
from tfmeta.search import SEARCHERS, Searcher, Trial

NAMES = sorted(SEARCHERS)
WINDOW = Bound("macs", "MACs", toy.Macs().cost, lower=5000, upper=6000)


def make(name, seed=0, space=None, population=10):
    kind = resolve(SEARCHERS, name, "searcher")
    shares = {"mutations": 4, "crossovers": 4} if name == "genetic" else {}
    options = kind.Options(population=population, **shares)
    return kind(space or toy.space(), np.random.default_rng(seed), options)


def told(structures, generation, score):
    return [Trial(s, generation, place, {"score": score(s)}, fitness=score(s)) for place, s in enumerate(structures)]


ACCURACY = toy.Accuracy()


def trajectory(searcher, generations, score=ACCURACY, first=0):
    proposals = []
    for generation in range(first, first + generations):
        asked = searcher.ask(searcher.batch)
        proposals.append(asked)
        searcher.tell(told(asked, generation, lambda s: score([s])[0]))
    return proposals


@pytest.mark.parametrize("name", NAMES)
def test_fulfils_the_protocol_under_its_name(name):
    searcher = make(name)
    assert isinstance(searcher, Searcher)
    assert searcher.name == name
    assert searcher.batch == 10
    assert json.loads(json.dumps(searcher.options))["population"] == 10


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_proposals_and_other_seed_others(name):
    assert trajectory(make(name, 7), 5) == trajectory(make(name, 7), 5)
    assert trajectory(make(name, 7), 5) != trajectory(make(name, 8), 5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("finished", [0, 1, 3])
def test_restored_from_json_it_goes_on_alike(name, finished):
    whole = trajectory(make(name), 5)
    first = make(name)
    trajectory(first, finished)
    second = make(name, seed=99)
    second.restore(json.loads(json.dumps(first.state)))
    assert trajectory(second, 5 - finished, first=finished) == whole[finished:]


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_answer_changes_nothing_but_its_proposals(name):
    searcher = make(name)
    trajectory(searcher, 2)
    before = searcher.state
    lost = searcher.ask(10)
    again = searcher.ask(10)
    assert not set(lost) & set(again)
    searcher.restore(before)
    assert searcher.ask(10) == lost


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("score", [ACCURACY, lambda s: [0.0]], ids=["varied", "constant"])
def test_proposals_are_new_feasible_and_in_the_space(name, score):
    searcher = make(name)
    searcher.constrain([WINDOW])
    asked = [s for brood in trajectory(searcher, 8, score) for s in brood]
    assert len(asked) == len(set(asked)) == 80
    assert all(toy.space().contains(s) for s in asked)
    macs = toy.Macs()(asked)
    assert np.all((macs >= 5000) & (macs <= 6000))


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_space_is_exhausted_and_not_searched_for_ever(name):
    searcher = make(name, space=toy.space(groups=2, options=3))
    asked = [s for brood in trajectory(searcher, 3) for s in brood]
    assert len(asked) == len(set(asked)) == 9  # 3 x 3, all of them
    assert searcher.ask(10) == []


@pytest.mark.parametrize("name", NAMES)
def test_trials_without_a_fitness_are_no_trouble(name):
    searcher = make(name)
    asked = searcher.ask(10)
    failed = [Trial(s, 0, k, {}, failed=True) for k, s in enumerate(asked[:5])]
    skipped = [Trial(s, 0, k + 5, {}, violation=0.5) for k, s in enumerate(asked[5:])]
    searcher.tell(failed + skipped)
    assert len(searcher.ask(10)) == 10


@pytest.mark.parametrize("name", NAMES)
def test_an_impossible_bound_is_an_error_with_the_reachable_value(name):
    searcher = make(name)
    searcher.constrain([Bound("macs", "MACs", toy.Macs().cost, upper=100)])
    # The smallest structure has 3 * 8 + 5 * 64 = 344.
    with pytest.raises(BudgetError, match="below the smallest structure, which has 344"):
        searcher.ask(10)


@pytest.mark.parametrize("name", NAMES)
def test_a_window_that_no_structure_hits_is_an_error_and_ends(name):
    searcher = make(name)
    # MACs are multiples of 8 here, so nothing lies between 5001 and 5003.
    searcher.constrain([Bound("macs", "MACs", toy.Macs().cost, lower=5001, upper=5003)])
    with pytest.raises(BudgetError, match="No structure was found within"):
        searcher.ask(10)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_another_searcher_or_space_is_refused(name):
    state = make(name).state
    with pytest.raises(StoreError, match=f"Expected a state of the searcher '{name}'.*'other'"):
        make(name).restore({**state, "searcher": "other"})
    other = make(name, space=toy.space(groups=3))
    other.ask(2)
    with pytest.raises(StoreError, match="another number of groups than 6"):
        make(name).restore(other.state)
    with pytest.raises(StoreError, match="does not fit this searcher"):
        make(name).restore({**state, "rng": {"bit_generator": "MT19937"}})


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_population_is_refused(name):
    kind = resolve(SEARCHERS, name, "searcher")
    with pytest.raises(UserError, match="population >= 1"):
        kind.Options(population=0)
