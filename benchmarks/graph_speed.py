"""How fast channel graphs are read, models pruned and populations costed.

    python benchmarks/graph_speed.py

Writes graph_speed.json and graph_speed.md beside this file. Times are seconds on the clock: of the first call, and the
median of several. Pruning and cloning are timed in turns.
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

ROUNDS = 7
POPULATION = 100_000


def main(argv: Sequence[str]) -> None:
    """Measures everything and writes the table."""
    rows: list[dict[str, Any]] = []
    for name, limit in (("EfficientNetV2L", 2), ("NASNetLarge", 3)):
        model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3))
        times = _times(lambda model=model: ChannelGraph.from_model(model))
        rows.append(_row(f"graph of {name}", times, "s", limit))
    graph = ChannelGraph.from_model(model)
    space, rng = SearchSpace.from_graph(graph), np.random.default_rng(0)
    widths = space.widths(rng.integers(0, space.num_options, (POPULATION, len(space.genes))))
    for what, costs in (("MACs", cost.macs), ("parameters", cost.params)):
        times = _times(lambda costs=costs: costs(graph, widths))
        rows.append(_row(f"{what} of {POPULATION:,} structures of NASNetLarge", times, "s", 10))
    model = keras.applications.MobileNetV2(weights=None)
    half = SearchSpace.from_graph(ChannelGraph.from_model(model)).uniform(0.5)
    ratios = [
        _seconds(lambda: prune(model, half)) / _seconds(lambda: keras.models.clone_model(model)) for _ in range(ROUNDS)
    ]
    rows.append(_row("prune MobileNetV2, times as long as Keras takes to clone it", ratios, "x", 1.5))
    here = Path(__file__).parent
    files.write_json(here / "graph_speed.json", {"rows": rows, "versions": installed_versions()})
    lines = [
        "# Speed of graphs",
        "",
        f"Written by `benchmarks/graph_speed.py`: the median of {ROUNDS} calls, and the first one.",
        "",
        "| what | median | first | wanted |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {r['what']} | {r['median']:.2f} {r['unit']} | {r['first']:.2f} {r['unit']} | ≤ {r['limit']} |" for r in rows
    ]
    files.write_text(here / "graph_speed.md", "\n".join(lines) + "\n")
    print("\n".join(lines[4:]))


def _row(what: str, values: Sequence[float], unit: str, limit: float) -> dict[str, Any]:
    return {"what": what, "median": float(np.median(values)), "first": values[0], "unit": unit, "limit": limit}


def _times(function: Callable[[], Any]) -> list[float]:
    return [_seconds(function) for _ in range(ROUNDS)]


def _seconds(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


if __name__ == "__main__":
    app.run(main)
