"""Random search: the control that every other searcher has to beat."""

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
from tfmeta.trial import Trial


@dataclass(frozen=True)
class RandomOptions:
    """Options of the random search.

    Attributes:
        population: structures a generation, so that it does as many evaluations as the searcher it
            controls.
    """

    population: int = 50

    def __post_init__(self) -> None:
        if self.population < 1:
            raise UserError(f"Expected population >= 1, received {self.population}.")


class Random:
    """Proposes random structures within the bounds and learns nothing. A `Searcher`."""

    name = "random"
    Options = RandomOptions

    def __init__(
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        options: RandomOptions | None = None,
    ):
        """Starts a search.

        Args:
            space: where to look.
            rng: random generator; this searcher owns it from now on.
            options: defaults where None.
        """
        self._options = options or RandomOptions()
        self._proposals = Proposals(space, rng)

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
        return {"searcher": self.name, **self._proposals.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a `state`; raises StoreError when it is not of this searcher."""
        check_searcher(state, self.name)
        self._proposals.restore(state)

    def constrain(self, bounds: Sequence[Bound]) -> None:
        """Keeps all later proposals within ``bounds``."""
        self._proposals.bounds = tuple(bounds)

    def ask(self, count: int) -> list[Structure]:
        """Returns at most ``count`` new random structures; BudgetError when none can exist."""
        return self._proposals.random(count)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Does nothing: what a random search proposes does not depend on results."""
