"""From scores of channels to widths: how much of every group stays.

| ranking | which channels are compared |
|---|---|
| `uniform` | those of one group: every group keeps the same share |
| `global` | all: groups of unimportant channels lose more |
| `isomorphic` | those of groups that stand in the same kind of place (Fang et al., https://arxiv.org/abs/2407.04616) |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph, Group
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Bound, Structure

# Levels, from nothing to everything kept, of which the largest within the bounds is taken.
_LEVELS = np.linspace(0, 1, 1001)


def _uniform(graph: ChannelGraph, group: Group) -> object:
    return group.name


def _global(graph: ChannelGraph, group: Group) -> object:
    return None


def _isomorphic(graph: ChannelGraph, group: Group) -> object:
    ops = {node.layer: node.op for node in graph.nodes}
    return (
        group.size,
        tuple(sorted(ops[name] for name in group.producers)),
        tuple(sorted(ops[name] for name in group.consumers)),
    )


# Name of a ranking to what groups must share to be compared.
RANKINGS: dict[str, Callable[[ChannelGraph, Group], object]] = {
    "uniform": _uniform,
    "global": _global,
    "isomorphic": _isomorphic,
}


def rank(
    graph: ChannelGraph,
    space: SearchSpace,
    scores: Sequence[np.ndarray],
    *,
    ranking: str = "uniform",
    ratio: float | None = None,
    bounds: Sequence[Bound] = (),
) -> Structure:
    """Returns the widths that keep the most important channels.

    Args:
        graph: the channel graph.
        space: the widths that are allowed; each group gets the one nearest to the number of channels it should keep.
        scores: one array `[size]` a searchable group, as a criterion gives them.
        ranking: a name in `RANKINGS`.
        ratio: share of the channels to keep; without it, as many as the bounds allow.
        bounds: what the structure may cost.

    Raises:
        UserError: an unknown ranking, or neither a ratio nor a bound.
        BudgetError: even the smallest structure is too large.
    """
    if ratio is None and not bounds:
        raise UserError("Expected a ratio or a bound on what the structure costs. Received: neither.")
    if ratio is not None and not 0 < ratio <= 1:
        raise UserError(f"Expected a ratio above 0 and up to 1, received {ratio}.")
    levels = _LEVELS if ratio is None else np.array([ratio])
    return ladder(graph, space, scores, ranking=ranking, bounds=bounds, levels=levels)[-1]


def ladder(
    graph: ChannelGraph,
    space: SearchSpace,
    scores: Sequence[np.ndarray],
    *,
    ranking: str = "uniform",
    bounds: Sequence[Bound] = (),
    levels: np.ndarray = _LEVELS,
) -> list[Structure]:
    """Returns what is left when ever fewer channels go: structures from narrow to wide, each once.

    Args:
        graph: the channel graph.
        space: as for `rank`.
        scores: likewise.
        ranking: a name in `RANKINGS`.
        bounds: what a structure may cost.
        levels: shares of the channels that are compared, ascending; one structure each, where they differ.

    Raises:
        UserError: an unknown ranking.
        BudgetError: even the smallest structure is too large.
    """
    if ranking not in RANKINGS:
        raise UserError(f"Unknown ranking {ranking!r}. Expected one of: {', '.join(sorted(RANKINGS))}.")
    space.check_reachable(bounds)
    widths = space.widths(_options(space, _counts(graph, scores, RANKINGS[ranking], levels)))
    fits = np.ones(len(widths), bool)
    for bound in bounds:
        fits &= ~bound.above(widths)
    # The smallest option of a tied gene may be above the smallest level.
    return [Structure(tuple(row)) for row in dict.fromkeys(map(tuple, widths[fits].tolist()))] or [space.smallest()]


def _counts(
    graph: ChannelGraph,
    scores: Sequence[np.ndarray],
    kind: Callable[[ChannelGraph, Group], object],
    levels: np.ndarray,
) -> np.ndarray:
    """`[len(levels), num_groups]`: how many channels of each group are among the best of those it is compared with."""
    kinds = [kind(graph, group) for group in graph.searchable]
    counts = np.empty((len(levels), len(scores)))
    for which in dict.fromkeys(kinds):
        members = [index for index, own in enumerate(kinds) if own == which]
        owners = _ranked([scores[index] for index in members])
        kept = np.clip(np.rint(levels * len(owners)).astype(int), 1, len(owners))
        for place, index in enumerate(members):
            counts[:, index] = np.cumsum(owners == place)[kept - 1]
    return counts


def _ranked(scores: Sequence[np.ndarray]) -> np.ndarray:
    """`[channels of all groups]`: the group that each channel is of, best channels first.

    Equally good channels of several groups are mixed evenly: those that nothing tells apart keep the same share.
    """
    places = [np.empty(len(score)) for score in scores]  # of each among the equally good ones of its group, 0 to 1
    for score, place in zip(scores, places, strict=True):
        _, inverse, times = np.unique(score, return_inverse=True, return_counts=True)
        order = np.argsort(inverse, kind="stable")
        place[order] = np.arange(0.5, len(score)) - np.repeat(np.cumsum(times) - times, times)
        place /= times[inverse]
    owners = np.repeat(np.arange(len(scores)), [len(score) for score in scores])
    return owners[np.lexsort((np.concatenate(places), -np.concatenate(scores)))]


def _options(space: SearchSpace, counts: np.ndarray) -> np.ndarray:
    """`[P, len(genes)]`: the option of every gene that is nearest to the wanted widths `[P, num_groups]`."""
    indices = np.empty((len(counts), len(space.genes)), np.int64)
    for place, gene in enumerate(space.genes):
        options = np.array(gene.options)[:, 0]
        indices[:, place] = np.abs(counts[:, gene.groups[0], None] - options).argmin(1)
    return indices
