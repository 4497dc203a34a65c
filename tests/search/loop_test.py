"""The search as users call it: what it returns, what it remembers, and which errors it gives."""

import doctest
import math
from collections import Counter

import numpy as np
import pytest

import tfmeta.search
from tests.search import toy
from tfmeta.errors import BudgetError, StoreError, UserError
from tfmeta.graph.structure import Structure
from tfmeta.objectives import Constraint
from tfmeta.registry import resolve
from tfmeta.search import SEARCHERS, Trial, api, search
from tfmeta.search.genetic import Genetic, GeneticOptions
from tfmeta.store import Store

SMALL = GeneticOptions(population=8, parents=3, mutations=4, crossovers=3)
BUDGET = Constraint("macs", upper=6000)


def small(**changes):
    settings = {
        "space": toy.space(),
        "objectives": [toy.Accuracy(), toy.Macs()],
        "constraints": [BUDGET],
        "options": SMALL,
        "generations": 4,
    }
    return search(**{**settings, **changes})


def test_result_is_the_best_feasible_trial_and_the_front():
    result = small()
    assert len(result.trials) == 32
    assert [(t.generation, t.position) for t in result.trials] == [(g, p) for g in range(4) for p in range(8)]
    accuracies = [t.values["accuracy"] for t in result.trials]
    assert result.best.values["accuracy"] == max(accuracies) == result.best.fitness
    assert all(t.values["macs"] <= 6000 and t.feasible for t in result.trials)
    assert result.best == result.pareto[0]
    front = [(t.values["accuracy"], t.values["macs"]) for t in result.pareto]
    assert front == sorted(front, reverse=True)  # less accuracy only for fewer MACs
    assert result.note == ""


def test_the_package_itself_may_be_called():
    settings = {"space": toy.space(), "objectives": [toy.Accuracy()], "generations": 1}
    assert tfmeta.search(**settings) == search(**settings)


def test_the_example_in_the_docstring_runs():
    failed, run = doctest.testmod(api)
    assert run > 0
    assert failed == 0


def test_the_best_without_constraints_is_found_in_a_tiny_space_and_the_end_is_told():
    result = small(space=toy.space(groups=2, options=3), constraints=[])
    assert result.best.structure == Structure((24, 24))
    assert len(result.trials) == 9
    assert result.note.startswith("Stopped after 2 of 4 generations and 9 structures")


def test_a_minimised_first_objective_is_minimised():
    result = small(objectives=[toy.Macs()], constraints=[Constraint("macs", lower=3000)])
    assert result.best.values["macs"] == min(t.values["macs"] for t in result.trials) >= 3000


def test_equal_values_give_the_earliest_trial():
    result = small(objectives=[toy.Given(lambda s: 1.0)], constraints=[])
    assert (result.best.generation, result.best.position) == (0, 0)


def test_a_trial_without_a_number_fails_and_never_wins():
    def score(structure):
        return math.nan if structure.widths[0] > 32 else float(structure.widths[0])

    result = small(objectives=[toy.Given(score)], constraints=[])
    failed = [t for t in result.trials if t.failed]
    assert failed
    assert {t.note for t in failed} == {"given is not a finite number"}
    assert all("given" not in t.values and t.fitness is None for t in failed)
    assert result.best.structure.widths[0] <= 32


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_search_in_which_everything_fails_is_an_error_after_one_generation(value):
    calls = []

    def score(structure):
        calls.append(structure)
        return value

    with pytest.raises(UserError, match="All 8 evaluated structures failed, the first with: given"):
        small(objectives=[toy.Given(score)], constraints=[])
    assert len(calls) == 8


def test_an_objective_with_a_wrong_number_of_values_is_named():
    class Two(toy.Accuracy):
        def __call__(self, structures):
            return [1.0, 2.0]

    with pytest.raises(ValueError, match="one value a structure of the objective 'accuracy'"):
        small(objectives=[Two()], constraints=[])


# Store


@pytest.mark.parametrize("searcher", sorted(SEARCHERS))
def test_interrupted_anywhere_and_called_again_it_gives_the_same(tmp_path, searcher):
    options = SMALL if searcher == "genetic" else None
    settings = {"searcher": searcher, "options": options, "generations": 3}
    if searcher == "random":
        settings["options"] = resolve(SEARCHERS, "random", "searcher").Options(8)
    whole = small(**settings)
    counts = Counter()

    def interrupting(at):
        def score(structure):
            counts[structure] += 1
            if sum(counts.values()) == at:
                raise KeyboardInterrupt
            return toy.Accuracy()([structure])[0]

        return toy.Given(score, name="accuracy")

    for at in (1, 5, 14, 25):  # the first, within a generation, again, at the start of the last
        with pytest.raises(KeyboardInterrupt):
            small(objectives=[interrupting(at), toy.Macs()], store=tmp_path / "s.sqlite", **settings)
    resumed = small(objectives=[interrupting(-1), toy.Macs()], store=tmp_path / "s.sqlite", **settings)
    assert resumed == whole
    # Only the four structures at which it was interrupted were evaluated again.
    assert sum(counts.values()) == len(whole.trials) + 4


@pytest.mark.parametrize("searcher", sorted(SEARCHERS))
def test_values_that_an_objective_takes_back_are_evaluated_again(tmp_path, searcher):
    class Hot(toy.Latency):
        """Every third structure takes longer until ``left`` are evaluated; then it is told to end."""

        left = 14

        def __call__(self, structures):
            Hot.left -= 1
            if Hot.left == 0:
                raise KeyboardInterrupt
            return [ms * (1.5 if Hot.left > 0 and Hot.left % 3 == 0 else 1) for ms in super().__call__(structures)]

        def outdated(self, structure, value):
            return value != toy.Latency()([structure])[0]

    options = SMALL if searcher == "genetic" else resolve(SEARCHERS, "random", "searcher").Options(8)
    settings = {
        "searcher": searcher,
        "options": options,
        "generations": 3,
        "objectives": [toy.Accuracy(), toy.Macs(), Hot()],
        "constraints": [Constraint("latency", upper=6.0)],
        "store": tmp_path / "s.sqlite",
        "run": "a",
    }
    with pytest.raises(KeyboardInterrupt):
        small(**settings)
    with Store(tmp_path / "s.sqlite") as store:
        before = store.trials("a")
    resumed = small(**settings)
    assert len(resumed.trials) == 24
    for found in (resumed.trials, small(**settings).trials):  # and stored
        assert not any(Hot().outdated(trial.structure, trial.values["latency"]) for trial in found)
        assert all(trial.feasible == (trial.values["latency"] <= 6) for trial in found)
    assert sum(Hot().outdated(trial.structure, trial.values["latency"]) for trial in before) > 2
    assert resumed.best in resumed.trials and resumed.best.values["latency"] <= 6


def test_a_finished_search_is_answered_from_the_store(tmp_path):
    first = small(store=tmp_path / "s.sqlite")
    broken = toy.Given(lambda s: math.nan, name="accuracy")
    assert small(store=tmp_path / "s.sqlite", objectives=[broken, toy.Macs()]) == first


def test_more_generations_go_on_and_fewer_look_back(tmp_path):
    short = small(store=tmp_path / "s.sqlite", generations=2)
    long = small(store=tmp_path / "s.sqlite", generations=4)
    assert long == small(generations=4)
    assert small(store=tmp_path / "s.sqlite", generations=2) == short


def test_an_open_store_stays_open_and_holds_several_runs():
    with Store() as store:
        genetic = small(store=store)
        random = small(store=store, searcher="random", options=None, generations=1)
        other = small(store=store, run="tight", constraints=[Constraint("macs", upper=2000)])
        assert store.runs == ("genetic", "random", "tight")
        assert tuple(store.trials("genetic")) == genetic.trials
        assert tuple(store.trials("random")) == random.trials
        assert tuple(store.trials("tight")) == other.trials


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"constraints": [Constraint("macs", upper=7000)]}, r"constraints\S* was .*6000.*7000"),
        ({"options": GeneticOptions(8, 2, 4, 3)}, "options.parents was 3, is 2"),
        ({"objectives": [toy.Macs(), toy.Accuracy()]}, "objectives.0.name was"),
        ({"depends_on": {"checkpoint": "b"}}, 'depends_on.checkpoint was "a", is "b"'),
        ({"space": toy.space(options=7)}, r"another model or search space: space.genes\S* was"),
    ],
)
def test_a_store_of_another_search_is_refused_and_kept(tmp_path, changes, text):
    path = tmp_path / "s.sqlite"
    first = small(store=path, depends_on={"checkpoint": "a"})
    settings = {"depends_on": {"checkpoint": "a"}, **changes}
    with pytest.raises(StoreError, match=text):
        small(store=path, **settings)
    assert small(store=path, depends_on={"checkpoint": "a"}) == first


def test_trials_that_do_not_fit_the_searcher_are_refused(tmp_path):
    settings = {"constraints": [], "objectives": [toy.Accuracy()]}
    with Store() as store:
        small(store=store, generations=1, **settings)
        store.add_trial("genetic", Trial(Structure((8,) * 6), 1, 0, {"accuracy": 0.0}, 0.0))
        with pytest.raises(StoreError, match="generation 1 of the run 'genetic' are not what"):
            small(store=store, generations=2, **settings)


# Arguments


def test_a_searcher_may_be_given_itself(tmp_path):
    def fresh(seed):
        return Genetic(toy.space(), np.random.Generator(np.random.PCG64(seed)), SMALL)

    path = tmp_path / "s.sqlite"
    result = small(searcher=fresh(0), options=None, store=path)
    assert result.trials == small().trials
    assert small(searcher=fresh(0), options=None, store=path) == result
    with pytest.raises(StoreError, match="start was"):
        small(searcher=fresh(1), options=None, store=path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"searcher": "simulated"}, "Unknown searcher 'simulated'.*genetic, random"),
        ({"searcher": "random"}, "Expected RandomOptions for the searcher 'random'"),
        ({"generations": 0}, "generations >= 1, received 0"),
        ({"objectives": []}, "Expected objectives, or a net and splits"),
        ({"objectives": [toy.Macs(), toy.Macs()]}, "different names, received .'macs', 'macs'"),
        ({"space": None}, "Expected a space, a graph or a net"),
        ({"objectives": ["params"]}, "'params' needs a channel graph"),
        ({"constraints": [Constraint("watts", upper=1)]}, "'watts' to be the name of a given"),
        ({"controls": ["best"]}, "Unknown control 'best'. Expected some of: random, uniform"),
    ],
)
def test_arguments_that_do_not_go_together(changes, text):
    with pytest.raises(UserError, match=text):
        small(**changes)


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        # 3 * 8 + 5 * 64 and 3 * 64 + 5 * 4096
        (Constraint("macs", upper=300), "300 MACs for macs is below the smallest .* has 344"),
        (Constraint("macs", lower=30000), "30,000 MACs for macs is above the largest .* 20,672"),
    ],
)
def test_an_impossible_closed_form_budget_is_refused_before_anything_is_evaluated(constraint, text):
    def score(structure):
        raise AssertionError("nothing may be evaluated")

    with pytest.raises(BudgetError, match=text):
        small(objectives=[toy.Given(score), toy.Macs()], constraints=[constraint])
