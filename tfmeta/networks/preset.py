"""What the MetaPruning paper fixes for one network: the search space, and what each weight generator is fed.

Liu et al., MetaPruning: Meta Learning for Automatic Neural Network Channel Pruning, ICCV 2019,
https://arxiv.org/abs/1903.10258. Where paper and repository (https://github.com/liuzechun/MetaPruning) differ, the
repository counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfmeta.errors import SpaceError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import METAPRUNING_RATIOS, SearchSpace
from tfmeta.graph.structure import Structure


@dataclass(frozen=True)
class Preset:
    """The paper's choices for one network.

    Attributes:
        build: `(input_shape=(224, 224, 3), classes=1000)` to the full network, ImageNet strides at every size.
        pinned: groups that always keep their full width.
        ties: groups that share one gene.
        ids: group of each place of the paper's vector of scale ids. A group that stands in several places must have
            the same id in all of them.
        encodings: layer to the groups whose relative widths (0..1] its weight generator reads. A layer that is not
            listed (the classifier) has an ordinary kernel.
        hidden: layer to the units of its generator's hidden layer.
        affine: batch-norm layers that have gamma and beta in the PruningNet; the others only normalise.
    """

    build: Callable[..., Any]
    pinned: tuple[str, ...]
    ties: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...]
    encodings: Mapping[str, tuple[str, ...]]
    hidden: Mapping[str, int]
    affine: frozenset[str]

    def space(self, graph: ChannelGraph) -> SearchSpace:
        """Returns the paper's search space: 31 ratios from 10 % to 100 % for every gene.

        Args:
            graph: the channel graph of what `build` returned.
        """
        sizes = {group.name: group.size for group in graph.searchable}
        pins = {name: sizes[name] for name in self.pinned}
        return SearchSpace.from_graph(graph, ratios=METAPRUNING_RATIOS, pins=pins, ties=self.ties)

    def structure(self, graph: ChannelGraph, ids: Sequence[int]) -> Structure:
        """Returns the structure that a vector of the paper's scale ids stands for.

        Args:
            graph: the channel graph of what `build` returned.
            ids: one id a place of `self.ids`: i in 0..30 for (10 + 3i) percent of the width, truncated, -1 for the
                full width.

        Raises:
            SpaceError: a wrong number of ids, an id out of range, or different ids for one group.
        """
        if len(ids) != len(self.ids):
            raise SpaceError(f"Expected {len(self.ids)} scale ids, received {len(ids)}.")
        percents: dict[str, int] = {}
        for name, scale in zip(self.ids, ids, strict=True):
            percent = _percent(int(scale))
            for group in next((tie for tie in self.ties if name in tie), (name,)):
                if percents.setdefault(group, percent) != percent:
                    raise SpaceError(f"Group {group!r} has two different scale ids, {scale} is the second.")
        widths = (group.size * percents.get(group.name, 100) // 100 for group in graph.searchable)
        return Structure(tuple(widths))

    def scale_ids(self, graph: ChannelGraph, structure: Structure) -> tuple[int, ...]:
        """Returns the vector of scale ids that `structure` reads as the same structure.

        Where several ids give one width, because widths are truncated, it is the smallest of them.

        Args:
            graph: the channel graph of what `build` returned.
            structure: a structure of the paper's space.

        Raises:
            SpaceError: a width that the paper's space does not have.
        """
        space = self.space(graph)
        space.indices(structure)  # what is not in the space is told
        scales = {
            name: next(i for i, percent in enumerate(METAPRUNING_RATIOS) if size * percent // 100 == width)
            for name, size, width in zip(space.names, space.sizes, structure.widths, strict=True)
        }
        return tuple(scales[name] for name in self.ids)


def _percent(scale: int) -> int:
    if not -1 <= scale < len(METAPRUNING_RATIOS):
        raise SpaceError(f"Expected scale ids from -1 to {len(METAPRUNING_RATIOS) - 1}, received {scale}.")
    return METAPRUNING_RATIOS[scale]  # -1, the full width, is the last one
