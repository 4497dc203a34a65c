"""Beside the stages: measures random structures on a device and writes a table that predicts all others."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfmeta.differences import differences
from tfmeta.errors import UserError
from tfmeta.graph.space import SearchSpace
from tfmeta.latency.building import BuildOptions, build, drawn
from tfmeta.latency.objective import Latency
from tfmeta.latency.options import HOST, LatencyOptions, Place
from tfmeta.latency.table import LatencyTable
from tfmeta.project import Project
from tfmeta.store import Store


@dataclass(frozen=True)
class TableOptions:
    """What table to make.

    Attributes:
        place: the device.
        latency: how to measure, and in which scheme.
        build: how many structures.
        output: where the table is written; None takes the work directory's own place.
    """

    place: Place = HOST
    latency: LatencyOptions = field(default_factory=LatencyOptions)
    build: BuildOptions = field(default_factory=BuildOptions)
    output: str | None = None


def build_table(project: Project, options: TableOptions) -> tuple[LatencyTable, Path]:
    """Writes a latency table and returns it and its place; one that is there already is not made again.

    What was measured is in the store, so the same command after an interruption goes on.

    Raises:
        UserError: another table is there, or the network's latency cannot be predicted.
        ExportError, BenchError, StoreError: see `tfmeta.latency.objective.Latency`.
    """
    path = project.workdir.latency_table if options.output is None else Path(options.output)
    with (
        Store(project.workdir.store) as store,
        Latency(
            project.graph,
            options.place.device,
            options.latency,
            project.workdir.path / "latency",
            store,
            device_options=options.place.options,
        ) as latency,
    ):
        if path.exists():
            return _same(path, latency, project.space, options.build), path
        table = build(latency, project.space, options.build)
    table.save(path)
    return table, path


def _same(path: Path, latency: Latency, space: SearchSpace, build: BuildOptions) -> LatencyTable:
    """The table at ``path`` if it is the one that would be made now."""
    table = LatencyTable.load(path)
    table.check_network(latency.graph, path)
    held_out = sum(one.held_out for one in table.points)
    there = BuildOptions(len(table.points) - held_out, held_out, table.seed)
    different = [
        table.different(latency.info, latency.options),
        differences(table.options.to_json(), latency.options.to_json()),
        differences(vars(there), vars(build)),
    ]
    structures = drawn(space, len(table.points), table.seed)
    if not any(different) and [one.widths for one in structures] != [one.widths for one in table.points]:
        different = ["its structures are of another space (--multiple_of, --min_ratio)"]
    if any(different):
        raise UserError(
            f"{path} holds another table: {'; '.join(filter(None, different))}. Give another --output, or delete it."
        )
    return table
