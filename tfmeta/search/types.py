"""What a searcher is, and what a search returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tfmeta.graph.structure import Bound, Structure
from tfmeta.trial import Trial


@runtime_checkable
class Searcher(Protocol):
    """Proposes structures. It never evaluates one, and learns only from `tell`."""

    @property
    def name(self) -> str:
        """Its name in the registry, the default name of its run in a store."""
        ...

    @property
    def batch(self) -> int:
        """How many structures it wants to propose a generation."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options as JSON-able data; a run cannot be resumed with others."""
        ...

    @property
    def state(self) -> dict[str, Any]:
        """All that it knows, the random generator included, as JSON-able data."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a `state` of a searcher with the same space and options.

        Raises:
            StoreError: the state is another searcher's.
        """
        ...

    def constrain(self, bounds: Sequence[Bound]) -> None:
        """Keeps all later proposals within ``bounds``, which replace the earlier ones."""
        ...

    def ask(self, count: int) -> list[Structure]:
        """Returns at most ``count`` new structures, none of which it proposed before.

        Fewer, or none, when bounded tries find no more. What it was told stays as it is, so an
        answer that gets lost costs nothing but its proposals.

        Raises:
            BudgetError: no structure at all lies within the bounds.
        """
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learns the results of a generation, or other values of structures that it was told of before."""
        ...


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        best: the feasible trial with the best first objective; the earliest of equals.
        trials: all trials in the order of evaluation.
        pareto: the eligible trials that no other one beats in every objective and constrained
            value, best first.
        bounds: the closed-form bounds at the end, including those that stand for measured
            constraints.
        controls: name to the best trial of each control ("random", "uniform") that was asked for
            and found.
        missing: name of each control that was asked for and not found to the reason.
        settled: the trials, those of the "random" control among them, that have values for which they were only
            estimated during the search.
        note: why the search ended early; empty when it did not.
    """

    best: Trial
    trials: tuple[Trial, ...]
    pareto: tuple[Trial, ...]
    bounds: tuple[Bound, ...] = field(default=(), compare=False)  # functions have no equality
    controls: Mapping[str, Trial] = field(default_factory=dict, hash=False)
    missing: Mapping[str, str] = field(default_factory=dict, hash=False)
    settled: tuple[Trial, ...] = ()
    note: str = ""


def rank(trial: Trial) -> tuple[float, float]:
    """Returns a sort key, best first: feasible before infeasible, then the smaller violation, then
    the fitness.

    These are Deb's rules (https://doi.org/10.1016/S0045-7825(99)00389-8). Trials that failed have
    no place in them: filter them out before.
    """
    return trial.violation, -trial.fitness if trial.fitness is not None else float("inf")
