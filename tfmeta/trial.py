"""One evaluated structure, as searchers learn from it and the store remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfmeta.graph.structure import Structure


@dataclass(frozen=True)
class Trial:
    """One evaluated structure.

    Attributes:
        structure: what was evaluated.
        generation: in which generation of its run; probes before the first one have -1.
        position: its place in the generation.
        values: objective name to value. Costly objectives are missing where a constraint was
            already violated.
        fitness: the first objective, turned so that larger is better; None when unknown (failed or
            skipped).
        violation: by how much the constraints are missed, relative to the bounds and summed; 0 is
            feasible.
        failed: an objective gave no finite number; `note` says which.
        note: why values are missing.
        estimated: a value that decides about the constraints was estimated and not evaluated, so that this trial may
            breed but not win. `values` holds the estimate under another name (`tfmeta.objectives.Estimate`).
    """

    structure: Structure
    generation: int
    position: int
    values: Mapping[str, float] = field(hash=False)
    fitness: float | None = None
    violation: float = 0.0
    failed: bool = False
    note: str = ""
    estimated: bool = False

    @property
    def feasible(self) -> bool:
        """Whether every constraint is met."""
        return self.violation == 0

    @property
    def eligible(self) -> bool:
        """Whether this trial may win: feasible, evaluated, not failed, and nothing about it only estimated."""
        return self.feasible and not self.failed and not self.estimated and self.fitness is not None

    def to_json(self) -> dict[str, Any]:
        """Returns this trial as JSON-able data, the inverse of `from_json`."""
        return {
            "widths": list(self.structure.widths),
            "generation": self.generation,
            "position": self.position,
            "values": dict(self.values),
            "fitness": self.fitness,
            "violation": self.violation,
            "failed": self.failed,
            "note": self.note,
            **({"estimated": True} if self.estimated else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """Returns the trial that `to_json` described."""
        rest = {key: value for key, value in data.items() if key != "widths"}
        return cls(structure=Structure(tuple(data["widths"])), **rest)
