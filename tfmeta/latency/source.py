"""Opens what a search takes its latencies from: the device, a table, or both."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        about: where its values come from, as plain data.
    """

    objective: Latency | Hybrid | PredictedLatency
    about: dict[str, Any]

    @property
    def measures(self) -> bool:
        """Whether the objective's values are measured: never those of a table."""
        return not isinstance(self.objective, PredictedLatency)

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
    table = _table(source, asked)
    about: dict[str, Any] = {"source": source.how}
    if table is not None:
        about["table"] = {
            "file": str(_place(source, asked)),
            "created": table.created,
            "device": table.device.name,
            "held_out_error": dataclasses.asdict(table.error),
        }
    if source.how == "predicted" and table is not None:
        if source.allow_other_device:
            about["other_device"] = f"not compared with {asked.place.device!r}: --allow_other_device_table"
        else:
            with opened(asked.place.device, asked.place.options) as device:
                _check_device(table, different=table.different(device.info(), asked.options), allowed=False)
        yield Opened(PredictedLatency(table, files.sha256(_place(source, asked))), about)
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
            yield Opened(latency, about)
            return
        if table is not None:
            different = table.different(latency.info, asked.options)
            _check_device(table, different, allowed=source.allow_other_device)
            about |= {"other_device": different} if different else {}
        yield Opened(_hybrid(source, asked, latency, table), about)


def _hybrid(source: LatencySource, asked: Asked, latency: Latency, table: LatencyTable | None) -> Hybrid:
    if table is not None:
        points = table.points
        return Hybrid(latency, table.work, lambda: points, {"table": files.sha256(_place(source, asked))})
    begun_with = {"begin_with": source.begin_with, "seed": asked.seed}
    return Hybrid(
        latency,
        latency.work,
        lambda: measured(latency, drawn(asked.space, source.begin_with, asked.seed)),
        begun_with,
    )


def _place(source: LatencySource, asked: Asked) -> Path:
    return asked.own_table if source.table is None else Path(source.table)


def _table(source: LatencySource, asked: Asked) -> LatencyTable | None:
    if source.how == "measured" or (source.how == "hybrid" and source.table is None):
        return None
    table = LatencyTable.load(_place(source, asked))
    table.check_network(asked.graph, _place(source, asked))
    return table


def _check_device(table: LatencyTable, different: str, *, allowed: bool) -> None:
    if not different:
        return
    if not allowed:
        raise UserError(
            f"The latency table was made on another device or with other options: {different}. Build one here (tfmeta "
            "latency --build), or use it all the same with --allow_other_device_table; results will say so."
        )
    tell(f"latency: the table was made on another device or with other options: {different}.")
