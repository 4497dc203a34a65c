"""Opens what a search takes its latencies from: the device, a table, or both."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tflite_bench
from tflite_bench.messages import tell
from tfmeta import files
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.latency.building import drawn, measured
from tfmeta.latency.hybrid import Hybrid, PredictedLatency
from tfmeta.latency.measure import opened
from tfmeta.latency.objective import Latency
from tfmeta.latency.options import LatencyOptions, LatencySource, Place
from tfmeta.latency.table import LatencyTable
from tfmeta.store import Store


@dataclass(frozen=True)
class Asked:
    """What latencies are wanted of.

    Attributes:
        graph: the channel graph of the full network.
        space: where structures are drawn from.
        place: the device.
        options: how to measure, and in which scheme.
        folder: where .tflite files are kept.
        store: where measurements are kept.
        own_table: the table of the work directory.
        seed: that structures are drawn by.
    """

    graph: ChannelGraph
    space: SearchSpace
    place: Place
    options: LatencyOptions
    folder: Path
    store: Store
    own_table: Path
    seed: int


@dataclass(frozen=True)
class Opened:
    """An objective, and what results tell of it.

    Attributes:
        objective: to evaluate; a limit on latency is a limit on it.
        device: fingerprint of the device that its values are of.
        about: where its values come from, as plain data.
        begun_with: structures that are measured before anything is predicted.
    """

    objective: Latency | Hybrid | PredictedLatency
    device: str
    about: dict[str, Any]
    begun_with: tuple[Structure, ...] = ()

    @property
    def measures(self) -> bool:
        """Whether the objective's values are measured: never those of a table."""
        return not isinstance(self.objective, PredictedLatency)

    @property
    def measured(self) -> set[Structure]:
        """The structures that were measured for it, as far as it knows: an interrupted search asked it for others."""
        return set() if isinstance(self.objective, PredictedLatency) else {*self.begun_with, *self.objective.answered}

    def told(self, structure: Structure) -> dict[str, float]:
        """Returns what is told beside a structure's value: of a prediction, its standard deviation."""
        if not isinstance(self.objective, PredictedLatency):
            return {}
        return self.objective.expected([structure])[0].values(Latency.name, Latency.unit)


@contextlib.contextmanager
def open_source(source: LatencySource, asked: Asked) -> Iterator[Opened]:
    """Gives the objective that ``source`` names.

    Raises:
        UserError: there is no table where one is needed, or it is of another network, device or options.
        BenchError: no such device, or it cannot be reached.
    """
    table = read_table(source, asked.graph, asked.options, asked.own_table)
    about: dict[str, Any] = {"source": source.how}
    if table is not None:
        about["table"] = {
            "file": _file_told(_place(source, asked.own_table), asked.own_table.parent),
            "created": table.created,
            "device": table.device.name,
            "held_out_error": dataclasses.asdict(table.error),
        }
    if source.how == "predicted" and table is not None:
        about |= _compared(table, source, asked)
        predicted = PredictedLatency(table, files.sha256(_place(source, asked.own_table)))
        yield Opened(predicted, table.device.fingerprint, about)
        return
    with Latency(
        asked.graph,
        asked.place.device,
        asked.options,
        asked.folder,
        asked.store,
        device_options=asked.place.options,
    ) as latency:
        if source.how == "measured":
            yield Opened(latency, latency.info.fingerprint, about)
            return
        if table is not None:
            about |= _different(table.different(latency.info, asked.options), source)
            begun_with = {"table": files.sha256(_place(source, asked.own_table))}
            hybrid = Hybrid(latency, table.work, lambda: table.points, begun_with)
            yield Opened(hybrid, latency.info.fingerprint, about)
            return
        first = tuple(drawn(asked.space, source.begin_with, asked.seed))
        begun_with = {"begin_with": source.begin_with, "seed": asked.seed}
        hybrid = Hybrid(latency, latency.work, lambda: measured(latency, first), begun_with)
        yield Opened(hybrid, latency.info.fingerprint, about, first)


def read_table(
    source: LatencySource, graph: ChannelGraph, options: LatencyOptions, own_table: Path
) -> LatencyTable | None:
    """Returns the table that ``source`` takes latencies from, None where it takes none.

    Args:
        source: where latencies come from.
        graph: the channel graph of the full network.
        options: how to measure, and in which scheme.
        own_table: the table of the work directory.

    Raises:
        UserError: there is none where one is needed, it is of another network, or of other options where these are not
            allowed. The device, which need not be there yet, is not compared.
    """
    if source.how == "measured" or (source.how == "hybrid" and source.table is None):
        return None
    path = _place(source, own_table)
    table = LatencyTable.load(path)
    table.check_network(graph, path)
    _check(table.different(table.device, options), source)
    return table


def _place(source: LatencySource, own_table: Path) -> Path:
    return own_table if source.table is None else Path(source.table)


def _file_told(path: Path, workdir: Path) -> str:
    """The path relative to the work directory, from where it is found again, or absolute where it is outside."""
    absolute, root = (Path(os.path.abspath(one)) for one in (path, workdir))
    return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)


def _compared(table: LatencyTable, source: LatencySource, asked: Asked) -> dict[str, str]:
    """As `_different`, of a device that need not be there where any other is allowed as well."""
    try:
        with opened(asked.place.device, asked.place.options) as device:
            info = device.info()
    except tflite_bench.DeviceError as error:
        if not source.allow_other_device:
            raise
        found = _different(table.different(table.device, asked.options), source)
        return {**found, "not_compared": f"{asked.place.device!r} cannot be reached: {error}"}
    return _different(table.different(info, asked.options), source)


def _different(different: str, source: LatencySource) -> dict[str, str]:
    """What results tell of a table that is of another device or other options."""
    _check(different, source)
    if not different:
        return {}
    tell(f"latency: the table was made on another device or with other options: {different}.")
    return {"other_device": different}


def _check(different: str, source: LatencySource) -> None:
    if different and not source.allow_other_device:
        raise UserError(
            f"The latency table was made on another device or with other options: {different}. Build one here (tfmeta "
            "latency --build), or use it all the same with --allow_other_device_table; results will say so."
        )
