"""The genetic search of MetaPruning (ICCV 2019, https://arxiv.org/abs/1903.10258), section 3.3.

Its numbers are the released code's: a population of 50, the best 10 of all time as parents, 25
mutations in which every gene changes with probability 0.1, 25 crossovers, random structures for
what is missing, nothing proposed twice. Deviations, all because the original can loop for ever or
drift out of its budget: tries are bounded everywhere, every child is repaired into the bounds and
not rejected, and bounds may have a lower side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Bound, Structure
from tfmeta.search.proposals import Proposals, check_searcher
from tfmeta.search.types import rank
from tfmeta.trial import Trial

_TRIES = 10  # calls for each wanted child, as in the released code (10 batches of 25; 250 for 25)


@dataclass(frozen=True)
class GeneticOptions:
    """Options of the genetic search.

    Attributes:
        population: structures a generation.
        parents: how many of the best trials of all time breed.
        mutations: mutated parents in a generation.
        crossovers: children of two parents in a generation; the rest of the population is random.
        mutation_probability: with which each gene of a mutated parent takes another value.
    """

    population: int = 50
    parents: int = 10
    mutations: int = 25
    crossovers: int = 25
    mutation_probability: float = 0.1

    def __post_init__(self) -> None:
        if self.population < 1 or self.parents < 1:
            raise UserError(
                f"Expected population >= 1 and parents >= 1, received {self.population} and {self.parents}."
            )
        children = self.mutations + self.crossovers
        if min(self.mutations, self.crossovers) < 0 or children > self.population:
            raise UserError(
                "Expected mutations + crossovers within 0 and the population of "
                f"{self.population}, received "
                f"{self.mutations} and {self.crossovers}."
            )
        if not 0 < self.mutation_probability <= 1:
            raise UserError(f"Expected 0 < mutation_probability <= 1, received {self.mutation_probability}.")


class Genetic:
    """Breeds the best structures so far. A `Searcher`."""

    name = "genetic"
    Options = GeneticOptions

    def __init__(
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        options: GeneticOptions | None = None,
    ):
        """Starts a search.

        Args:
            space: where to look.
            rng: random generator; this searcher owns it from now on.
            options: the paper's where None.
        """
        self._options = options or GeneticOptions()
        self._proposals = Proposals(space, rng)
        # Elitism: the best of all time, feasible first, whichever generation they come from.
        self._pool: list[Trial] = []

    @property
    def batch(self) -> int:
        """Structures a generation."""
        return self._options.population

    @property
    def options(self) -> dict[str, Any]:
        """The options as JSON-able data."""
        return dataclasses.asdict(self._options)

    @property
    def state(self) -> dict[str, Any]:
        """All that it knows, as JSON-able data."""
        pool = [trial.to_json() for trial in self._pool]
        return {"searcher": self.name, "pool": pool, **self._proposals.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a `state`; raises StoreError when it is not of this searcher."""
        check_searcher(state, self.name)
        self._proposals.restore(state)
        self._pool = [Trial.from_json(trial) for trial in state["pool"]]

    def constrain(self, bounds: Sequence[Bound]) -> None:
        """Keeps all later proposals within ``bounds``."""
        self._proposals.bounds = tuple(bounds)

    def ask(self, count: int) -> list[Structure]:
        """Returns at most ``count`` new structures; raises BudgetError when none can exist.

        Another count than the population keeps its shares of mutations and crossovers.
        """
        options = self._options
        parents = self._parents()
        found: list[Structure] = []
        if parents:
            mutations = options.mutations * count // options.population
            found += self._proposals.collect(lambda: self._mutated(parents), mutations, _TRIES * mutations)
        if len(parents) > 1:
            crossovers = options.crossovers * count // options.population
            found += self._proposals.collect(lambda: self._crossed(parents), crossovers, _TRIES * crossovers)
        return found + self._proposals.random(count - len(found))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes the good ones among ``trials`` into the pool of parents."""
        known = {trial.structure: trial for trial in (*self._pool, *trials)}  # the later one has other values
        sound = [trial for trial in known.values() if not trial.failed]
        self._pool = sorted(sound, key=rank)[: self._options.parents]  # stable: the earlier of equals

    def _parents(self) -> list[Structure]:
        feasible = [trial for trial in self._pool if trial.feasible]
        return [trial.structure for trial in feasible or self._pool]

    def _mutated(self, parents: list[Structure]) -> Structure:
        space, rng = self._proposals.space, self._proposals.rng
        parent = parents[rng.integers(len(parents))]
        return space.mutate(parent, rng, self._options.mutation_probability)

    def _crossed(self, parents: list[Structure]) -> Structure:
        space, rng = self._proposals.space, self._proposals.rng
        first, second = rng.choice(len(parents), 2, replace=False)
        return space.cross(parents[first], parents[second], rng)
