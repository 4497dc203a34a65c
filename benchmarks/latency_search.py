"""A search under a latency constraint on the host: every structure measured, against hybrid.

    python benchmarks/latency_search.py

Twice the same search of 1000 structures of MobileNetV2 (96x96, one thread of the host): once every structure is
measured, once those that a prediction puts out of the question or behind the best are not. What is searched for is no
accuracy: nothing is trained. It is the mean logarithm of the relative widths, which wide networks have more of, each
further channel less; so the best structure depends on what a channel costs where. Told are wall time, measurements, and
the best structures, which are measured once more, in turns. Beside it: how well a line over the MACs and a latency
table tell the latencies that the first search measured, both fitted to the same random structures.

Takes about 25 minutes on idle cores; let nothing else run. The folder of --workdir keeps each finished part: the same
command goes on with the next one. Writes latency_search.json and latency_search.md beside this file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

import tflite_bench
from tfmeta import files
from tfmeta.export.bundle import installed_versions
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.latency import Latency, LatencyOptions, measure_files
from tfmeta.latency.building import BuildOptions, build
from tfmeta.latency.options import FINAL, LatencySource, Place
from tfmeta.latency.source import Asked, open_source
from tfmeta.latency.table import LatencyTable
from tfmeta.latency.table_error import Error
from tfmeta.latency.twin import Twins
from tfmeta.networks.spec import build as build_network
from tfmeta.objectives import Constraint
from tfmeta.search import search
from tfmeta.search.genetic import GeneticOptions
from tfmeta.store import Store

_NETWORK = flags.DEFINE_string("network", "mobilenet_v2@96", "A --model text, then @ and the side of the images.")
_STRUCTURES = flags.DEFINE_integer("structures", 1000, "How many each search sees.")
_POPULATION = flags.DEFINE_integer("population", 50, "Structures a generation.")
_LIMIT = flags.DEFINE_float("limit", 0.5, "Largest latency, as a share of the full network's.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/latency_search", "Where finished parts are kept.")

CLASSES, SEED = 100, 0
OPTIONS = LatencyOptions(rounds=5, num_runs=20, min_secs=0.1, warmup_secs=0.05, retries=1)
TABLE = BuildOptions(measurements=60, held_out=20)


class Widths:
    """The mean logarithm of the relative widths: a stand-in for accuracy that costs nothing. An objective."""

    name, unit, minimize, closed_form = "log_width", "", False, False

    def __init__(self, graph: ChannelGraph) -> None:
        self._sizes = np.array([group.size for group in graph.searchable])

    def __call__(self, structures: Sequence[Structure]) -> np.ndarray:
        """Returns one value a structure, 0 for the full network."""
        return np.log2(np.array([one.widths for one in structures]) / self._sizes).mean(1)


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is searched."""

    graph: ChannelGraph
    space: SearchSpace
    folder: Path

    def fresh(self, name: str) -> Path:
        """Returns the path of a store that knows the full network's latency alone: half a search has no wall time."""
        path = self.folder / f"{name}.sqlite"
        shutil.copyfile(self.baseline, path)
        return path

    @property
    def baseline(self) -> Path:
        """The store of the one latency that all parts hold theirs against."""
        return self.folder / "baseline.sqlite"


def main(argv: Sequence[str]) -> None:
    """Does the parts that are missing and writes the page."""
    spec, _, side = _NETWORK.value.rpartition("@")
    graph = ChannelGraph.from_model(build_network(spec, (int(side), int(side), 3), CLASSES).model)
    subject = Subject(graph, SearchSpace.from_graph(graph), Path(_WORKDIR.value))
    settings = _settings()
    if subject.folder.exists() and _read(subject.folder / "settings.json") != settings:
        raise SystemExit(
            f"{subject.folder} was made with other settings or on another machine. Give another --workdir."
        )
    files.write_json(subject.folder / "settings.json", settings)
    Twins(graph, OPTIONS.scheme, subject.folder).file(subject.space.smallest())  # converts, for all parts
    parts: dict[str, Any] = {}
    for name, run in PARTS.items():
        path = subject.folder / f"{name}.json"
        if not path.exists():
            print(name, flush=True)
            files.write_json(path, run(subject, parts))
        parts[name] = _read(path)
    here = Path(__file__).parent
    found = {"settings": settings}
    found |= {name: {key: part[key] for key in part if key != "trials"} for name, part in parts.items()}
    files.write_json(here / "latency_search.json", found)
    files.write_text(here / "latency_search.md", _markdown(found))


def _settings() -> dict[str, Any]:
    """Everything that the parts depend on."""
    with tflite_bench.open_device("host") as device:
        fingerprint = device.info().fingerprint
    return {
        **{flag.name: flag.value for flag in (_NETWORK, _STRUCTURES, _POPULATION, _LIMIT)},
        "options": OPTIONS.to_json(),
        "table": dataclasses.asdict(TABLE),
        "seed": SEED,
        "device": fingerprint,
        "versions": installed_versions(),
    }


def _baseline(subject: Subject, parts: dict[str, Any]) -> dict[str, Any]:
    subject.baseline.unlink(missing_ok=True)
    with Store(subject.baseline) as store, Latency(subject.graph, "host", OPTIONS, subject.folder, store) as latency:
        return {"full_ms": latency.baseline_ms, "device": latency.info.to_json()}


def _table(subject: Subject, parts: dict[str, Any]) -> dict[str, Any]:
    with (
        Store(subject.fresh("table")) as store,
        Latency(subject.graph, "host", OPTIONS, subject.folder, store) as latency,
    ):
        table = build(latency, subject.space, TABLE)
    table.save(subject.folder / "table")
    return {"verdicts": table.verdicts}


def _searched(how: str) -> Callable[[Subject, dict[str, Any]], dict[str, Any]]:
    def run(subject: Subject, parts: dict[str, Any]) -> dict[str, Any]:
        path = subject.fresh(how)
        limit = _LIMIT.value * parts["baseline"]["full_ms"]
        half = _POPULATION.value // 2
        start = time.monotonic()
        with Store(path) as store:
            asked = Asked(
                subject.graph, subject.space, Place(), OPTIONS, subject.folder, store, own_table=path, seed=SEED
            )
            with open_source(LatencySource(how), asked) as latency:
                answer = search(
                    graph=subject.graph,
                    space=subject.space,
                    options=GeneticOptions(_POPULATION.value, max(2, half // 2), half, _POPULATION.value - half),
                    objectives=[Widths(subject.graph), "macs", latency.objective],
                    constraints=[Constraint("latency", upper=limit)],
                    store=store,
                    generations=_STRUCTURES.value // _POPULATION.value,
                    seed=SEED,
                )
        seconds = time.monotonic() - start
        payloads = _measurements(path)
        verdicts = [one["verdict"] for one in payloads]
        return {
            "seconds": seconds,
            "structures": len(answer.trials),
            "measurements": len(payloads),
            "not_ok": sum(verdict != "OK" for verdict in verdicts),
            "front": len(answer.pareto),
            "best": {"widths": list(answer.best.structure.widths), "values": dict(answer.best.values)},
            "limit_ms": limit,
            "trials": [
                (one.structure.widths, one.values["latency"]) for one in answer.trials if "latency" in one.values
            ],
        }

    return run


def _verified(subject: Subject, parts: dict[str, Any]) -> dict[str, Any]:
    """Both winners and the full network in turns, for longer."""
    twins = Twins(subject.graph, OPTIONS.scheme, subject.folder)
    structures = {how: Structure(tuple(parts[how]["best"]["widths"])) for how in ("measured", "hybrid")}
    paths = {}
    for name, structure in {"full": subject.space.full(), **structures}.items():
        paths[name] = subject.folder / f"{name}.tflite"
        files.write_bytes(paths[name], twins.file(structure))
    found = measure_files("host", [paths[how] for how in structures], paths["full"], FINAL)
    full_ms = parts["baseline"]["full_ms"]
    return {
        how: {
            "ms": one.ratio * full_ms,
            "low_ms": one.comparison.low * full_ms,
            "high_ms": one.comparison.high * full_ms,
            "verdict": one.verdict,
        }
        for how, one in zip(structures, found, strict=True)
    }


def _proxies(subject: Subject, parts: dict[str, Any]) -> dict[str, Any]:
    """A line over the MACs and the table's predictor, fitted to the same structures and judged on the same others."""
    table = LatencyTable.load(subject.folder / "table")
    seen = [one for one in table.points if not one.held_out]
    held = [one for one in table.points if one.held_out]
    macs, times = _macs(subject, [one.widths for one in seen]), np.array([one.ratio for one in seen])
    columns = np.stack([macs, np.ones(len(macs))], 1)
    line = np.linalg.lstsq(columns / times[:, None], np.ones(len(times)), rcond=None)[0] * table.baseline_ms
    judged = {
        "random structures, held out": ([one.widths for one in held], [one.ratio * table.baseline_ms for one in held]),
        "structures of the search": tuple(zip(*parts["measured"]["trials"], strict=True)),
    }
    rows = []
    for what, (widths, measured) in judged.items():
        by_macs = _macs(subject, widths) * line[0] + line[1]
        by_table, deviation = table.predictor.predict(np.array(widths))
        for name, predicted in (("a line over the MACs", by_macs), ("the latency table", by_table)):
            error = dataclasses.asdict(Error.between(np.array(measured), predicted, deviation))
            del error["within"]  # a line has no deviations
            rows.append({"judged": what, "predictor": name, **error})
    return {"rows": rows, "fitted_to": len(seen)}


PARTS: dict[str, Callable[[Subject, dict[str, Any]], dict[str, Any]]] = {
    "baseline": _baseline,
    "table": _table,
    "hybrid": _searched("hybrid"),
    "measured": _searched("measured"),
    "verified": _verified,
    "proxies": _proxies,
}


def _macs(subject: Subject, widths: Sequence[Sequence[int]]) -> np.ndarray:
    return np.asarray(cost.macs(subject.graph, np.array(widths)), float)


def _measurements(path: Path) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        found = [json.loads(row[0]) for row in database.execute("SELECT payload FROM measurements")]
    return [one for one in found if one["kind"] == "structure"]


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def _markdown(found: dict[str, Any]) -> str:
    network, baseline, fitted_to = found["settings"]["network"], found["baseline"], found["proxies"]["fitted_to"]
    device, limit_ms = baseline["device"], found["hybrid"]["limit_ms"]
    lines = [
        "# A search for latency: measuring each, or only what decides",
        "",
        f"Made by `python benchmarks/latency_search.py`: `{network}`, fp32, one thread of {device['name']} "
        f"({device['runtime']} {device['runtime_version']}); the full network takes {baseline['full_ms']:.2f} ms, the "
        f"limit is {limit_ms:.2f} ms. What is searched for is the mean logarithm of the relative widths, a stand-in "
        "that costs nothing; nothing is trained. Measurements are of structures, each in turns with the full network; "
        "those of a hybrid search count the structures that it begins with.",
        "",
        "| Search | Structures | Measured | Not OK | Wall time | Best found | Its latency | Measured again |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for how in ("measured", "hybrid"):
        one, again = found[how], found["verified"][how]
        values = one["best"]["values"]
        lines.append(
            f"| {how} | {one['structures']} | {one['measurements']} | {one['not_ok']} | {one['seconds']:.0f} s | "
            f"{values['log_width']:.4f} | {values['latency']:.3f} ms | {again['ms']:.3f} ms "
            f"({again['low_ms']:.3f}–{again['high_ms']:.3f}, {again['verdict']}) |"
        )
    lines += [
        "",
        f"How well latencies are told by what was fitted to the same {fitted_to} random structures:",
        "",
        "| Judged on | Structures | Predictor | Mean error | Worst | Kendall's tau |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['judged']} | {row['structures']} | {row['predictor']} | {100 * row['mape']:.2f} % | "
        f"{100 * row['worst']:.1f} % | {row['tau']:.3f} |"
        for row in found["proxies"]["rows"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
