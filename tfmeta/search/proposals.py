"""What all searchers share: new structures within bounds, and the random generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfmeta.errors import BudgetError, StoreError
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Bound, Structure

# Deviation from MetaPruning, whose random fill tries for ever: with a 41 M MobileNetV1 budget it
# never ends.
_RANDOM_TRIES = 100
_REFUSALS = 3


class Proposals:
    """Makes structures that are within bounds and were never proposed before."""

    def __init__(self, space: SearchSpace, rng: np.random.Generator):
        self.space = space
        self.rng = rng
        self.bounds: tuple[Bound, ...] = ()
        # A dict for its order: the state must not depend on the hash of a structure.
        self._proposed: dict[Structure, None] = {}

    def collect(self, make: Callable[[], Structure], count: int, tries: int) -> list[Structure]:
        """Returns at most ``count`` new structures that ``make`` gave, repaired, in at most
        ``tries`` calls.

        Raises:
            BudgetError: no structure lies within the bounds, and none was ever proposed.
        """
        found: list[Structure] = []
        refusals = 0
        for _ in range(tries):
            if len(found) >= count or refusals >= _REFUSALS:
                break
            try:
                structure = self.space.repair(make(), self.bounds, self.rng)
            except BudgetError:
                if not self._proposed:
                    raise
                # A window can be so narrow that a repair fails by chance; each failure was many
                # tries already.
                refusals += 1
                continue
            if structure not in self._proposed:
                self._proposed[structure] = None
                found.append(structure)
        return found

    def random(self, count: int) -> list[Structure]:
        """Returns at most ``count`` new random structures.

        Raises:
            BudgetError: no structure lies within the bounds, and none was ever proposed.
        """
        return self.collect(lambda: self.space.sample(self.rng), count, _RANDOM_TRIES * count)

    @property
    def state(self) -> dict[str, Any]:
        """The random generator and all that was proposed, as JSON-able data."""
        return {
            "rng": self.rng.bit_generator.state,
            "proposed": [list(structure.widths) for structure in self._proposed],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a `state`.

        Raises:
            StoreError: the state was written with another random generator or for another space.
        """
        try:
            proposed = dict.fromkeys(Structure(tuple(widths)) for widths in state["proposed"])
            self.rng.bit_generator.state = state["rng"]
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"The stored state does not fit this searcher ({error!r}). Start a new run or a new store."
            ) from error
        if any(len(structure.widths) != len(self.space.sizes) for structure in proposed):
            raise StoreError(
                "The stored state is of a space with another number of groups than "
                f"{len(self.space.sizes)}. "
                "Start a new run or a new store."
            )
        self._proposed = proposed


def check_searcher(state: Mapping[str, Any], name: str) -> None:
    """Raises StoreError unless ``state`` was written by the searcher ``name``."""
    if state.get("searcher") != name:
        raise StoreError(
            f"Expected a state of the searcher {name!r}, received one of "
            f"{state.get('searcher')!r}. Resume the run "
            "with the searcher that started it, or start a new run."
        )
