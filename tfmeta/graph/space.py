"""The space that structures are drawn from: the possible widths of every group, and how to stay within a budget."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.errors import SpaceError
from tfmeta.graph import budget
from tfmeta.graph.structure import Bound, Structure

if TYPE_CHECKING:
    from tfmeta.graph.channel_graph import ChannelGraph

# MetaPruning's 31 scales, 0.10, 0.13, ..., 1.00, as percentages: integers decode to the same widths everywhere.
METAPRUNING_RATIOS = tuple(range(10, 101, 3))


@dataclass(frozen=True)
class Gene:
    """Groups that change together: option k gives every one of `groups` its width."""

    groups: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class SearchSpace:
    """All structures that a search may visit.

    Attributes:
        names: names of the searchable groups, in graph order.
        sizes: their full widths.
        genes: the free choices. Options ascend. A gene with one option is a pin.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    genes: tuple[Gene, ...]

    def __post_init__(self) -> None:
        covered = sorted(group for gene in self.genes for group in gene.groups)
        if covered != list(range(len(self.sizes))):
            raise SpaceError("Every searchable group must belong to exactly one gene.")

    @classmethod
    def from_graph(
        cls,
        graph: ChannelGraph,
        multiple_of: int = 8,
        min_ratio: float = 0.1,
        ratios: Sequence[int] | None = None,
        pins: Mapping[str, int] | None = None,
        ties: Iterable[Sequence[str]] = (),
    ) -> SearchSpace:
        """Returns the space over the searchable groups of ``graph``.

        Args:
            graph: the channel graph.
            multiple_of: layers have multiples of this many channels, or all of theirs. Phones compute whole tiles of 4,
                8 or 16 channels, so widths between cost time and give nothing. `tflite-bench staircase` measures the
                tile of a device, and `tfmeta.latency.staircase.read_staircase` reads it.
            min_ratio: the smallest width as a share of the full one.
            ratios: percentages of the full width, truncated, instead of multiples; `METAPRUNING_RATIOS` is the
                paper's list.
            pins: group name to the one width it must have.
            ties: names of groups that share one gene (the same relative width).

        Raises:
            SpaceError: an unknown group name, a pin outside 1..size, or options out of range.
        """
        try:
            multiple_of = operator.index(multiple_of)
        except TypeError as error:
            raise SpaceError(
                f"Expected an integer for multiple_of, received {multiple_of!r}. The step of a device is measured: run "
                "tflite-bench staircase --device=DEVICE --output=FILE and pass read_staircase(FILE).multiple_of, from "
                "tfmeta.latency.staircase."
            ) from error
        if multiple_of < 1 or not 0 < min_ratio <= 1:
            raise SpaceError(
                f"Expected multiple_of >= 1 and 0 < min_ratio <= 1, received {multiple_of} and {min_ratio}."
            )
        names = tuple(group.name for group in graph.searchable)
        sizes = tuple(group.size for group in graph.searchable)
        repeats = [count for group, count in zip(graph.groups, graph.repeats, strict=True) if group.pinned is None]
        # A width of a group that stands several times in every layer is as many times as wide there.
        steps = [multiple_of // math.gcd(multiple_of, count) for count in repeats]
        choices = [_choices(size, step, min_ratio, ratios) for size, step in zip(sizes, steps, strict=True)]
        for name, width in (pins or {}).items():
            group = _index(names, name)
            if not 1 <= width <= sizes[group]:
                raise SpaceError(f"Group {name!r} has {sizes[group]} channels, it cannot be pinned to {width}.")
            choices[group] = (width,)
        return cls(names, sizes, _genes(names, sizes, choices, ties))

    # Sizes and membership

    @property
    def num_genes(self) -> int:
        """Number of free choices (pins do not count)."""
        return sum(len(gene.options) > 1 for gene in self.genes)

    @functools.cached_property
    def num_options(self) -> np.ndarray:
        """`[len(genes)]` int: the number of options of every gene."""
        return np.array([len(gene.options) for gene in self.genes], np.int64)

    @property
    def log10_size(self) -> float:
        """Decimal logarithm of the number of structures."""
        return sum(math.log10(len(gene.options)) for gene in self.genes)

    @property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """The possible widths of every searchable group, ascending, in graph order."""
        found: list[tuple[int, ...]] = [()] * len(self.sizes)
        for gene in self.genes:
            for place, group in enumerate(gene.groups):
                found[group] = tuple(sorted({option[place] for option in gene.options}))
        return tuple(found)

    def contains(self, structure: Structure) -> bool:
        """Returns whether ``structure`` is one of this space."""
        return self._find(structure) is not None

    def indices(self, structure: Structure) -> np.ndarray:
        """Returns `[len(genes)]` int: the option of every gene.

        Raises:
            SpaceError: the structure is not in this space; the text names the first group that does not fit.
        """
        found = self._find(structure)
        if found is not None:
            return found
        if len(structure.widths) != len(self.sizes):
            raise SpaceError(f"Expected {len(self.sizes)} widths, received {len(structure.widths)}.")
        for name, width, choices in zip(self.names, structure.widths, self.choices, strict=True):
            if width not in choices:
                raise SpaceError(f"Width {width} of group {name!r} is not in the space, expected one of {choices}.")
        raise SpaceError("Tied groups of the structure have widths that do not belong together.")

    def structure(self, indices: np.ndarray) -> Structure:
        """Returns the structure with the given option of every gene, the inverse of `indices`."""
        return Structure(tuple(self.widths(np.asarray(indices)[None])[0]))

    def widths(self, indices: np.ndarray) -> np.ndarray:
        """Returns widths `[P, num_groups]` for option indices `[P, len(genes)]`."""
        widths = np.empty((len(indices), len(self.sizes)), np.int64)
        for place, (gene, options) in enumerate(zip(self.genes, self._options, strict=True)):
            widths[:, list(gene.groups)] = options[indices[:, place]]
        return widths

    # Drawing structures

    def full(self) -> Structure:
        """Returns the largest structure."""
        return self.structure(self.num_options - 1)

    def smallest(self) -> Structure:
        """Returns the smallest structure."""
        return self.structure(np.zeros(len(self.genes), int))

    def uniform(self, ratio: float) -> Structure:
        """Returns the structure whose every width is the option nearest to ``ratio`` times the full width."""
        return self.structure(self.uniform_indices(ratio))

    def uniform_indices(self, ratio: float) -> np.ndarray:
        """Returns the option of every gene in `uniform`."""
        nearest = []
        for gene, options in zip(self.genes, self._options, strict=True):
            nearest.append(int(np.argmin(np.abs(options[:, 0] - ratio * self.sizes[gene.groups[0]]))))
        return np.array(nearest)

    def sample(self, rng: np.random.Generator) -> Structure:
        """Returns a structure with every gene drawn uniformly from its options (the paper's sampling)."""
        return self.structure(rng.integers(0, self.num_options))

    def mutate(self, structure: Structure, rng: np.random.Generator, probability: float = 0.1) -> Structure:
        """Returns a copy in which each gene has changed, with ``probability``, to another of its options."""
        indices = self.indices(structure)
        offsets = rng.integers(1, np.maximum(self.num_options, 2))
        changed = (indices + offsets) % self.num_options
        return self.structure(np.where(rng.random(len(indices)) < probability, changed, indices))

    def cross(self, first: Structure, second: Structure, rng: np.random.Generator) -> Structure:
        """Returns a child that takes every gene from either parent with equal chance."""
        coin = rng.random(len(self.genes)) < 0.5
        return self.structure(np.where(coin, self.indices(first), self.indices(second)))

    # Budgets

    def check_reachable(self, bounds: Sequence[Bound]) -> None:
        """Raises BudgetError, with the reachable extreme, when a bound lies outside the whole space."""
        budget.check_reachable(self, bounds)

    def repair(self, structure: Structure, bounds: Sequence[Bound], rng: np.random.Generator) -> Structure:
        """Returns a structure within ``bounds``, as near to ``structure`` in proportion as the options allow.

        Raises:
            BudgetError: a bound lies outside the space, or no structure was found between the bounds.
        """
        return budget.repair(self, structure, bounds, rng)

    def uniform_ladder(self) -> list[Structure]:
        """Returns all uniform structures, from narrow to wide."""
        return [self.structure(indices) for indices in budget.ladder(self)]

    def uniform_within(self, bounds: Sequence[Bound]) -> Structure:
        """Returns the largest uniform structure that no upper bound forbids.

        Raises:
            BudgetError: even the smallest structure is too large.
        """
        return budget.uniform_within(self, bounds)

    # As plain data

    def to_json(self) -> dict[str, Any]:
        """Returns the space as JSON-able data, the inverse of `from_json`."""
        genes = [{"groups": list(g.groups), "options": [list(o) for o in g.options]} for g in self.genes]
        return {"names": list(self.names), "sizes": list(self.sizes), "genes": genes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchSpace:
        """Returns the space that `to_json` described."""
        genes = tuple(Gene(tuple(g["groups"]), tuple(tuple(o) for o in g["options"])) for g in data["genes"])
        return cls(tuple(data["names"]), tuple(data["sizes"]), genes)

    # Inner workings

    @functools.cached_property
    def _options(self) -> tuple[np.ndarray, ...]:
        return tuple(np.array(gene.options, np.int64) for gene in self.genes)

    @functools.cached_property
    def _lookup(self) -> tuple[dict[tuple[int, ...], int], ...]:
        return tuple({option: k for k, option in enumerate(gene.options)} for gene in self.genes)

    def _find(self, structure: Structure) -> np.ndarray | None:
        if len(structure.widths) != len(self.sizes):
            return None
        pairs = zip(self.genes, self._lookup, strict=True)
        found = [lookup.get(tuple(structure.widths[g] for g in gene.groups)) for gene, lookup in pairs]
        return None if None in found else np.array(found)


def _index(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise SpaceError(f"Unknown group {name!r}. Expected one of: {', '.join(names)}.")
    return list(names).index(name)


def _choices(size: int, multiple_of: int, min_ratio: float, ratios: Sequence[int] | None) -> tuple[int, ...]:
    if ratios is not None:
        if not ratios or any(not 0 < ratio <= 100 for ratio in ratios):
            raise SpaceError(f"Ratios are percentages above 0 and up to 100, received {tuple(ratios)}.")
        return tuple(sorted({max(1, size * ratio // 100) for ratio in ratios}))
    first = max(1, math.ceil(min_ratio * size / multiple_of)) * multiple_of
    return (*range(first, size, multiple_of), size)


def _genes(
    names: Sequence[str],
    sizes: Sequence[int],
    choices: Sequence[tuple[int, ...]],
    ties: Iterable[Sequence[str]],
) -> tuple[Gene, ...]:
    genes: dict[int, Gene] = {}
    free = set(range(len(names)))
    for tie in ties:
        groups = tuple(sorted(_index(names, name) for name in tie))
        if not free.issuperset(groups) or len(set(groups)) != len(groups):
            raise SpaceError(f"A group may be tied once, received {list(tie)} after other ties.")
        free.difference_update(groups)
        genes[groups[0]] = Gene(groups, _tied_options(groups, sizes, choices))
    for group in free:
        genes[group] = Gene((group,), tuple((width,) for width in choices[group]))
    return tuple(genes[first] for first in sorted(genes))


def _tied_options(
    groups: tuple[int, ...], sizes: Sequence[int], choices: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, ...], ...]:
    """Every group takes its choice nearest in ratio to the choice of the group with the most choices."""
    leader = max(groups, key=lambda group: len(choices[group]))
    options = []
    for width in choices[leader]:
        ratio = width / sizes[leader]
        options.append(tuple(min(choices[g], key=lambda c, g=g: abs(c / sizes[g] - ratio)) for g in groups))  # type: ignore[misc]
    return tuple(dict.fromkeys(options))
