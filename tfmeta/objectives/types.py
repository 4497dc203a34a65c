"""What an objective is, and a constraint on one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph.structure import Bound, Structure


@runtime_checkable
class Objective(Protocol):
    """A structure's score: a number with a unit."""

    @property
    def name(self) -> str:
        """The name under which values are stored and to which constraints refer ("macs")."""
        ...

    @property
    def unit(self) -> str:
        """Unit of the values ("ms"); empty for plain numbers."""
        ...

    @property
    def minimize(self) -> bool:
        """Whether smaller is better.

        A measured objective that is minimised is taken for a cost that grows with the MACs, so a
        search under a constraint on it can start with mostly feasible structures.
        """
        ...

    @property
    def closed_form(self) -> bool:
        """Whether the value is a formula of the widths; then it also is a `ClosedForm`."""
        ...

    def __call__(self, structures: Sequence[Structure]) -> Sequence[float] | np.ndarray:
        """Returns one value a structure; NaN where a structure has none."""
        ...


@runtime_checkable
class ClosedForm(Objective, Protocol):
    """An objective that is a formula of the widths and does not fall when a width grows."""

    def cost(self, widths: np.ndarray) -> np.ndarray:
        """Returns costs `[P]` for widths `[P, num_groups]`."""
        ...


@runtime_checkable
class Prepared(Objective, Protocol):
    """An objective that can begin with many structures at once, and is asked for them one by one later."""

    def prepare(self, structures: Sequence[Structure]) -> None:
        """Begins to evaluate ``structures``; may do nothing."""
        ...


@runtime_checkable
class Revised(Objective, Protocol):
    """An objective that may take an earlier answer back."""

    def outdated(self, structure: Structure, value: float) -> bool:
        """Whether ``value``, which it once gave for ``structure``, is not what it answers now."""
        ...


def predicted_name(name: str, unit: str) -> str:
    """Returns under which name the estimate of a value is told: "predicted_latency_ms"."""
    return f"predicted_{name}_{unit}" if unit else f"predicted_{name}"


@dataclass(frozen=True)
class Estimate:
    """What a value is expected to be, in the unit of its objective.

    Attributes:
        mean: the expected value.
        deviation: standard deviation of the value from it, but for what a measurement scatters by: one that falls on
            the other side of a limit by chance is no better.
    """

    mean: float
    deviation: float

    @property
    def reach(self) -> float:
        """How far from the mean the value may be: two standard deviations."""
        return 2.0 * self.deviation

    @classmethod
    def of(cls, values: Mapping[str, float], name: str, unit: str) -> Self:
        """Returns the estimate that `values` told; KeyError where there is none."""
        return cls(values[predicted_name(name, unit)], values[predicted_name(f"{name}_std", unit)])

    def values(self, name: str, unit: str) -> dict[str, float]:
        """Returns it under the names by which a trial or result tells an estimate: never that of the value itself."""
        return {predicted_name(name, unit): self.mean, predicted_name(f"{name}_std", unit): self.deviation}


@runtime_checkable
class Estimated(Objective, Protocol):
    """An objective that costs much, and can tell beforehand about what its values are going to be."""

    def learn(self, structures: Sequence[Structure], values: Sequence[float]) -> None:
        """Bases its estimates on these values, and not on those it was told before."""
        ...

    def estimate(self, structures: Sequence[Structure]) -> list[Estimate]:
        """Returns what is expected of each structure."""
        ...


# What misses a limit by this share of it may meet it: models of the same file differ by nearly as much.
_CLEARANCE = 0.01


@dataclass(frozen=True)
class Constraint:
    """Limits on the values of one objective, both inclusive.

    Attributes:
        objective: name of the objective.
        lower: smallest allowed value, or None.
        upper: largest allowed value, or None.
    """

    objective: str
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.lower, self.upper) if limit is not None]
        if not limits:
            raise UserError(f"A constraint on {self.objective!r} needs a lower or an upper limit, received neither.")
        if not all(math.isfinite(limit) for limit in limits) or limits != sorted(limits):
            raise UserError(
                f"Expected finite limits with lower <= upper for {self.objective!r}, received "
                f"lower={self.lower} and upper={self.upper}."
            )

    def violation(self, value: float) -> float:
        """Returns by how much ``value`` misses the nearer limit, relative to it; 0 if within."""
        if self.upper is not None and value > self.upper:
            return (value - self.upper) / (abs(self.upper) or 1.0)
        if self.lower is not None and value < self.lower:
            return (self.lower - value) / (abs(self.lower) or 1.0)
        return 0.0

    def in_doubt(self, estimate: Estimate) -> bool:
        """Returns whether an estimate misses a limit, but by so little that the value may meet it, measured well."""
        limits = [limit for limit in (self.lower, self.upper) if limit is not None]
        near = any(abs(estimate.mean - limit) <= estimate.reach + _CLEARANCE * abs(limit) for limit in limits)
        return near and self.violation(estimate.mean) > 0

    def bound(self, objective: ClosedForm) -> Bound:
        """Returns this constraint for `SearchSpace.repair`, with the formula of ``objective``."""
        return Bound(objective.name, objective.unit, objective.cost, self.lower, self.upper)

    def to_json(self) -> dict[str, Any]:
        """Returns this constraint as JSON-able data."""
        return {"objective": self.objective, "lower": self.lower, "upper": self.upper}
