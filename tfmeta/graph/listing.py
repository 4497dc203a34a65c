"""A channel graph as text: its groups, what makes and what reads each, and why some must stay."""

from __future__ import annotations

from collections.abc import Sequence

from tfmeta.graph.channel_graph import ChannelGraph, Value
from tfmeta.graph.labelling import NO_CHANNELS


def text(graph: ChannelGraph) -> str:
    """Returns what `print(graph)` shows; "2 x 32" are two channels to choose that each stand 32 times."""
    shown = [index for index, group in enumerate(graph.groups) if not (group.pinned or "").startswith(NO_CHANNELS)]
    free, pinned = ([i for i in shown if (graph.groups[i].pinned is None) == searched] for searched in (True, False))
    channels = sum(graph.groups[index].size * graph.repeats[index] for index in free)
    lines = [
        f"ChannelGraph of {graph.name!r}: {len(graph.nodes)} calls, {len(free)} searchable groups "
        f"({channels} channels), {len(pinned)} pinned"
    ]
    width = max([len(graph.groups[index].name) for index in shown] + [len("searchable") - 2])
    for title, indices in (("searchable", free), ("pinned", pinned)):
        if indices:
            lines += ["", f"{title:<{width + 2}}{'size':>8}  produced by → read by"]
            lines += [_row(graph, index, width) for index in indices]
    return "\n".join(lines)


def _row(graph: ChannelGraph, index: int, width: int) -> str:
    group, times = graph.groups[index], graph.repeats[index]
    size = f"{group.size} x {times}" if times > 1 else str(group.size)
    makers = group.producers or (group.name.partition("#")[0],)
    reason = f"  [{group.pinned}]" if group.pinned else ""
    return f"  {group.name:<{width}}{size:>8}  {_names(makers)} → {_names(_readers(graph, index))}{reason}"


def _readers(graph: ChannelGraph, group: int) -> Sequence[str]:
    """What reads a group: kernels, else operations in which it ends; and whether it is given out."""
    stands = graph.counts[:, group] > 0

    def holds(value: Value) -> bool:
        node = graph.nodes[value.node]
        return bool(stands[node.roles[node.outputs[value.output]]])

    ends = [
        node.layer
        for node in graph.nodes
        if any(map(holds, node.inputs)) and not any(stands[node.roles[role]] for role in node.outputs)
    ]
    readers = graph.groups[group].consumers or tuple(dict.fromkeys(ends))
    return (*readers, "(output)") if any(map(holds, graph.outputs)) else readers


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
