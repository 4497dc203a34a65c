"""How fast channel graphs are read, models pruned and populations costed.

    python benchmarks/graph_speed.py

Writes graph_speed.json and graph_speed.md beside this file. Times are processor seconds, best of several rounds, on a
machine with other work. Pruning and cloning are timed in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app

from tfmeta import ChannelGraph, SearchSpace, cost, files, prune
from tfmeta.export.bundle import installed_versions
from tfmeta.lazy import keras

ROUNDS = 3
POPULATION = 100_000


def main(argv: Sequence[str]) -> None:
    """Measures everything and writes the table."""
    rows: list[dict[str, Any]] = []
    for name, limit in (("EfficientNetV2L", 2), ("NASNetLarge", 3)):
        model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3))
        rows.append(_row(f"graph of {name}", _best(lambda model=model: ChannelGraph.from_model(model)), "s", limit))
    graph = ChannelGraph.from_model(model)
    space, rng = SearchSpace.from_graph(graph), np.random.default_rng(0)
    widths = space.widths(rng.integers(0, space.num_options, (POPULATION, len(space.genes))))
    for what, costs in (("MACs", cost.macs), ("parameters", cost.params)):
        seconds = _best(lambda costs=costs: costs(graph, widths))
        rows.append(_row(f"{what} of {POPULATION:,} structures of NASNetLarge", seconds, "s", 10))
    model = keras.applications.MobileNetV2(weights=None)
    half = SearchSpace.from_graph(ChannelGraph.from_model(model)).uniform(0.5)
    pairs = [(_seconds(lambda: prune(model, half)), _seconds(lambda: keras.models.clone_model(model))) for _ in "12345"]
    ratio = float(np.median([ours / theirs for ours, theirs in pairs]))
    rows.append(_row("prune MobileNetV2, times as long as Keras takes to clone it", ratio, "x", 1.5))
    here = Path(__file__).parent
    files.write_json(here / "graph_speed.json", {"rows": rows, "versions": installed_versions()})
    lines = ["# Speed of graphs", "", "Written by `benchmarks/graph_speed.py`.", "", "| what | measured | wanted |"]
    lines += ["|---|---:|---:|", *(f"| {r['what']} | {r['value']:.2f} {r['unit']} | ≤ {r['limit']} |" for r in rows)]
    files.write_text(here / "graph_speed.md", "\n".join(lines) + "\n")
    print("\n".join(lines[4:]))


def _row(what: str, value: float, unit: str, limit: float) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "limit": limit}


def _best(function: Callable[[], Any]) -> float:
    return min(_seconds(function) for _ in range(ROUNDS))


def _seconds(function: Callable[[], Any]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


if __name__ == "__main__":
    app.run(main)
