"""A space of plain numbers and objectives with known answers, for the tests of search."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfmeta.graph.space import Gene, SearchSpace
from tfmeta.graph.structure import Structure


def space(groups: int = 6, options: int = 8) -> SearchSpace:
    """Widths 8, 16, ... for every group."""
    widths = tuple((8 * k,) for k in range(1, options + 1))
    genes = tuple(Gene((group,), widths) for group in range(groups))
    names = tuple(f"group{group}" for group in range(groups))
    return SearchSpace(names, (8 * options,) * groups, genes)


@dataclass(frozen=True)
class Macs:
    """Products of neighbouring widths, as in a plain chain of 1x1 convolutions."""

    name: str = "macs"
    unit: str = "MACs"
    minimize: bool = True
    closed_form: bool = True

    def cost(self, widths: np.ndarray) -> np.ndarray:
        widths = np.asarray(widths, float)
        return 3 * widths[:, 0] + (widths[:, 1:] * widths[:, :-1]).sum(1)

    def __call__(self, structures: Sequence[Structure]) -> np.ndarray:
        return self.cost(np.array([structure.widths for structure in structures]))


@dataclass(frozen=True)
class Accuracy:
    """A separable score: later groups are worth more, and every further channel less."""

    name: str = "accuracy"
    unit: str = ""
    minimize: bool = False
    closed_form: bool = False

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        return [
            float(sum((1 + group) * np.log(w) for group, w in enumerate(structure.widths))) for structure in structures
        ]


@dataclass(frozen=True)
class Latency:
    """Overhead, MACs, and a part that follows neither: a repeatable 5 % of "noise"."""

    name: str = "latency"
    unit: str = "ms"
    minimize: bool = True
    closed_form: bool = False

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        times = 1.0 + 1e-3 * Macs()(structures)
        return [float(ms * (1 + 0.05 * _noise(s))) for ms, s in zip(times, structures, strict=True)]


@dataclass(frozen=True)
class Given:
    """Any function of one structure as an objective."""

    function: Callable[[Structure], float]
    name: str = "given"
    unit: str = ""
    minimize: bool = False
    closed_form: bool = False

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        return [self.function(structure) for structure in structures]


def _noise(structure: Structure) -> float:
    digest = hashlib.sha256(repr(structure.widths).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**31 - 1
