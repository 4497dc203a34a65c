"""How much memory a PruningNet will take, told before it is built.

A generator with H hidden units holds H + 1 numbers for each one of its kernel, and training holds each of those three
times: the weight, its gradient, and the momentum of the optimizer (Adam has one more).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph, is_kernel
from tfmeta.supernet.layer_functions import has_own_code
from tfmeta.supernet.options import PruningNetOptions, default_encodings

_COPIES, _BYTES = 3, 4
# Activations, generated kernels and the copies that are made on the way need room besides.
_SHARE = 0.8


@dataclass(frozen=True)
class Demand:
    """What a PruningNet holds.

    Attributes:
        generators: weights of all generators.
        others: weights that are not generated, and the generated ones themselves.
    """

    generators: int
    others: int

    @property
    def training_bytes(self) -> int:
        """Bytes that training holds, without activations."""
        return _BYTES * _COPIES * (self.generators + self.others)


def demand(graph: ChannelGraph, options: PruningNetOptions) -> Demand:
    """Returns what the PruningNet of a graph holds; nothing is built."""
    encodings = default_encodings(graph) if options.encodings is None else options.encodings
    free = {group.name for group in graph.searchable}
    generators = others = 0
    for node in {node.layer: node for node in reversed(graph.nodes)}.values():
        seen = len(free.intersection(encodings.get(node.layer, ()))) if has_own_code(node) else 0
        for name, shape in node.weights.items():
            others += math.prod(shape)
            if seen and is_kernel(name):
                hidden = options.hidden_of(node.layer)
                generators += hidden * (seen + 1) + (hidden + 1) * math.prod(shape)
    return Demand(generators, others)


def available_bytes(root: Path = Path("/")) -> int:
    """Returns the bytes of main memory that a process can still get, here or in its container.

    The memory of a GPU is not looked at.

    Args:
        root: where the system's files are.
    """
    meminfo = root / "proc/meminfo"
    if not meminfo.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    rows = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    return min([int(rows["MemAvailable"].split()[0]) * 1024, *_left_in_container(root / "sys/fs/cgroup")])


def _left_in_container(cgroup: Path) -> Iterator[int]:
    for folder, limit, usage, cache in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),  # version 1
    ):
        if not all((folder / name).exists() for name in (limit, usage, "memory.stat")):
            continue
        most = (folder / limit).read_text(encoding="ascii").strip()
        if most != "max":
            # Files that are only kept in case they are read again give way.
            stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            yield int(most) - int((folder / usage).read_text(encoding="ascii")) + int(stat.get(cache, 0))


def largest_hidden(graph: ChannelGraph, options: PruningNetOptions, limit_bytes: int) -> int:
    """Returns the most hidden units, the same in every generator, with which training fits; 0 when none does."""
    one, two = (demand(graph, replace(options, hidden=hidden)).training_bytes for hidden in (1, 2))
    room = limit_bytes * _SHARE
    if one > room:
        return 0
    return 10**6 if two == one else 1 + int((room - one) // (two - one))


def check(graph: ChannelGraph, options: PruningNetOptions) -> None:
    """Raises UserError, with the size that fits, where a PruningNet would not fit into memory."""
    limit = available_bytes()
    needed = demand(graph, options).training_bytes
    if needed <= limit * _SHARE:
        return
    fits = largest_hidden(graph, options, limit)
    advice = (
        f"Take {fits} hidden units or fewer (--hidden={fits})."
        if fits
        else "Not even one hidden unit fits: take a smaller network, or a machine with more memory."
    )
    hidden = f"hidden={options.hidden}" if isinstance(options.hidden, int) else "the hidden units of its paper"
    raise UserError(
        f"The PruningNet of {graph.name!r} with {hidden} would take {gibibytes(needed)} in training, and "
        f"{gibibytes(limit)} are free (a GPU's memory is not looked at). {advice}"
    )


def gibibytes(count: int) -> str:
    """Returns bytes as a text."""
    return f"{count / 2**30:,.1f} GiB"
