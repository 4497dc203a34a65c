"""Structures (a width per channel group), selections (which channels), and bounds on what they cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfmeta.errors import SpaceError


@dataclass(frozen=True)
class Structure:
    """A width for every searchable group, in graph order."""

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        widths = tuple(int(width) for width in self.widths)
        if any(width < 1 for width in widths):
            raise SpaceError(f"Every width must be at least 1, received {widths}.")
        object.__setattr__(self, "widths", widths)


@dataclass(frozen=True)
class Selection:
    """The kept channels of every searchable group, in graph order, each ascending."""

    kept: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        kept = tuple(tuple(int(channel) for channel in group) for group in self.kept)
        for group in kept:
            if not group or group[0] < 0 or any(a >= b for a, b in itertools.pairwise(group)):
                raise SpaceError(
                    "Kept channels must be ascending, different and not negative, at least one a "
                    f"group, received {group}."
                )
        object.__setattr__(self, "kept", kept)

    @property
    def structure(self) -> Structure:
        """The widths of this selection."""
        return Structure(tuple(len(group) for group in self.kept))

    @classmethod
    def first(cls, structure: Structure) -> Selection:
        """Returns the selection that keeps the first channels of every group."""
        return cls(tuple(tuple(range(width)) for width in structure.widths))

    @classmethod
    def largest(cls, structure: Structure, scores: Sequence[np.ndarray]) -> Selection:
        """Returns the selection that keeps the channels with the largest scores.

        Args:
            structure: how many channels of each group to keep.
            scores: one array `[size]` a searchable group; ties go to the earlier channel.
        """
        if len(scores) != len(structure.widths):
            raise SpaceError(f"Expected scores for {len(structure.widths)} groups, received {len(scores)}.")
        order = (np.argsort(-np.asarray(score), kind="stable") for score in scores)
        pairs = zip(order, structure.widths, strict=True)
        return cls(tuple(tuple(sorted(ranked[:width])) for ranked, width in pairs))


@dataclass(frozen=True)
class Bound:
    """A closed-form cost that must stay within limits.

    Attributes:
        name: what is bounded, for texts ("macs").
        unit: its unit, for texts.
        cost: widths `[P, num_groups]` int to costs `[P]`; must not fall when a width grows.
        lower: smallest allowed cost, or None.
        upper: largest allowed cost, or None.
    """

    name: str
    unit: str
    cost: Callable[[np.ndarray], np.ndarray]
    lower: float | None = None
    upper: float | None = None

    def below(self, widths: np.ndarray) -> np.ndarray:
        """Returns `[P]` bool: the cost is under the lower limit."""
        if self.lower is None:
            return np.zeros(len(widths), bool)
        return np.asarray(self.cost(widths) < self.lower)

    def above(self, widths: np.ndarray) -> np.ndarray:
        """Returns `[P]` bool: the cost is over the upper limit."""
        if self.upper is None:
            return np.zeros(len(widths), bool)
        return np.asarray(self.cost(widths) > self.upper)
