"""Structures whose files tell which dimension follows which channels.

A file of the full network says that a dimension is 32; whether that is the stem's width, another layer's or twice a
third's, it does not say. Beside the file of a narrower structure, a *probe*, it does, if no two channel axes shrink in
the same proportion. So a probe is drawn to tell all axes apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure

# A probe has no axis of length 1: the converter simplifies there (a depthwise convolution of one channel is a plain
# one), so its operators would not be those of wider structures. Groups of at most this size keep their full width.
_NARROW = 2
_MAX_PROBES = 4
_STEPS = 1000
# Probes are narrow, for they convert faster, but not so narrow that there are few widths to choose from.
_LEAST_RATIO = 0.25


@dataclass(frozen=True, eq=False)
class Lengths:
    """The different lengths of a graph's channel axes, as functions of the widths.

    Lengths that are multiples of one another count once, the smallest. The last one is 1: what never changes is a
    multiple of it.

    Attributes:
        graph: the channel graph.
        factors: `[num_lengths, num_searchable]` int64: channels in the axis by channel of the group.
        constants: `[num_lengths]` int64: channels in the axis whose group keeps its width.
        fixed: `[num_searchable]` bool: groups that are too narrow to be told apart, and must stay at full width.
    """

    graph: ChannelGraph
    factors: np.ndarray
    constants: np.ndarray
    fixed: np.ndarray

    @classmethod
    def of(cls, graph: ChannelGraph) -> Lengths:
        """Returns the lengths of ``graph``."""
        free = np.array([group.pinned is None for group in graph.groups])
        sizes = np.array([group.size for group in graph.groups])
        fixed = sizes[free] <= _NARROW
        counts = graph.counts[:, free]
        kept = graph.counts[:, ~free] @ sizes[~free] + counts[:, fixed] @ sizes[free][fixed]
        rows = np.column_stack([np.where(fixed, 0, counts), kept]).astype(np.int64)
        rows = rows[rows[:, :-1].any(1)]
        rows = np.unique(rows // np.gcd.reduce(rows, axis=1, keepdims=True), axis=0)
        rows = np.vstack([rows, np.append(np.zeros(free.sum(), np.int64), 1)])
        return cls(graph, rows[:, :-1], rows[:, -1], fixed)

    def at(self, structure: Structure) -> np.ndarray:
        """Returns `[num_lengths]` int64: the lengths of a structure."""
        return self.factors @ np.array(structure.widths, np.int64) + self.constants


def draw_probes(lengths: Lengths) -> tuple[Structure, ...]:
    """Returns the structures that, beside the full one, tell all lengths apart: one, and rarely more.

    The same graph gives the same probes.

    Raises:
        ExportError: there are too many groups of the same few channels.
    """
    rng = np.random.default_rng(0)
    probes: list[Structure] = []
    alike = _count_alike(lengths, [])
    while alike and len(probes) < _MAX_PROBES:
        probe, left = _draw(lengths, probes, rng)
        if left == alike:
            break
        alike = left
        probes.append(probe)
    if alike:
        raise ExportError(
            f"Expected channel groups that {_MAX_PROBES} structures can tell apart. Received: a graph with "
            f"{len(lengths.constants)} different channel axes, {alike} pairs of which always shrink alike. Widen the "
            "narrowest layers, or convert each structure."
        )
    return tuple(probes)


def _draw(lengths: Lengths, probes: Sequence[Structure], rng: np.random.Generator) -> tuple[Structure, int]:
    """Returns one more probe and how many pairs are left alike: widths are drawn anew as long as that mends some."""
    sizes = np.array([group.size for group in lengths.graph.searchable])
    least = np.where(lengths.fixed, sizes, np.maximum(_NARROW, np.ceil(_LEAST_RATIO * sizes).astype(int)))
    most = np.where(lengths.fixed, sizes, sizes - 1)
    widths = rng.integers(least, most + 1)
    alike = _count_alike(lengths, [*probes, Structure(tuple(widths))])
    for _ in range(_STEPS):
        if not alike:
            break
        place = rng.integers(len(sizes))
        changed = widths.copy()
        changed[place] = rng.integers(least[place], most[place] + 1)
        left = _count_alike(lengths, [*probes, Structure(tuple(changed))])
        if left <= alike:
            widths, alike = changed, left
    return Structure(tuple(widths)), alike


def _count_alike(lengths: Lengths, probes: Sequence[Structure]) -> int:
    """How many pairs of lengths are in the same proportion in the full structure and all ``probes``."""
    at = np.stack([lengths.at(one) for one in (lengths.graph.full, *probes)])
    same = np.ones((at.shape[1], at.shape[1]), bool)
    for row in at[1:]:
        same &= np.outer(at[0], row) == np.outer(row, at[0])
    return (int(same.sum()) - len(same)) // 2
