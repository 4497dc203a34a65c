"""Measures structures that are drawn at random: what a predictor is fitted to, and what it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfmeta.errors import UserError
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.latency.objective import Latency
from tfmeta.latency.predictor import FEWEST
from tfmeta.latency.table import LatencyTable, Point
from tfmeta.latency.table_checks import FEWEST_HELD_OUT
from tfmeta.progress import meter

# Structures around a common level: the lowest, and the share of the widths that are drawn anew.
_LOWEST, _REDRAWN = 0.15, 0.6
_TRIES = 20  # for each structure, where a space has few


@dataclass(frozen=True)
class BuildOptions:
    """How a table is built.

    Attributes:
        measurements: structures that the predictor is fitted to.
        held_out: structures that it is judged by and never sees.
        seed: that they are drawn by.

    Raises:
        UserError: too few.
    """

    measurements: int = 60
    held_out: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("measurements", FEWEST), ("held_out", FEWEST_HELD_OUT)):
            if getattr(self, name) < least:
                raise UserError(f"Expected {name} of {least} or more. Received: {getattr(self, name)}.")


def drawn(space: SearchSpace, count: int, seed: int) -> list[Structure]:
    """Returns ``count`` different structures, fewer where the space has fewer.

    Every second one is random in every width; such are all of middling size, so the others lie around a common level.
    A smaller count gives the beginning of the same list.
    """
    rng = np.random.default_rng(seed)
    found: dict[Structure, None] = {}
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        level = space.uniform(rng.uniform(_LOWEST, 1.0))
        found.setdefault(space.mutate(level, rng, _REDRAWN) if len(found) % 2 else space.sample(rng))
    return list(found)


def measured(latency: Latency, structures: Sequence[Structure], num_fitted: int | None = None) -> list[Point]:
    """Returns the points of structures, measured now unless the store has them; those behind ``num_fitted`` held out.

    Raises:
        ExportError, BenchError, StoreError: see `Latency.measure`.
    """
    points = []
    with meter("latency table", total=len(structures), unit="structure") as display:
        for place, found in enumerate(latency.measure(structures)):
            points.append(Point.of(found, held_out=num_fitted is not None and place >= num_fitted))
            display.update()
    return points


def build(latency: Latency, space: SearchSpace, options: BuildOptions) -> LatencyTable:
    """Returns a table of a network on the device of ``latency``.

    Raises:
        ExportError, BenchError, StoreError: see `Latency.measure`.
        UserError: the space has too few structures, or nothing is known of the network's operators.
    """
    work = latency.work  # first, for it may fail
    wanted = options.measurements + options.held_out
    structures = drawn(space, wanted, options.seed)
    if len(structures) < wanted:
        raise UserError(
            f"Expected {wanted} different structures to measure. Received: a space in which {len(structures)} were "
            "found. Measure fewer, or lower --multiple_of or --min_ratio."
        )
    points = measured(latency, structures, options.measurements)
    return LatencyTable.fit(
        latency.graph, latency.info, latency.options, latency.baseline_ms, points, work, options.seed
    )
