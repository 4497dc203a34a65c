"""How well a structure's latency on the host is predicted, by what, after how many measurements.

    python benchmarks/latency_predictors.py

Random structures of a network are made as twins and timed by the processor time of their thread, in several passes in
different orders; the median of the passes counts, and the difference between passes is the noise. Each predictor sees
the first measurements of one part and is judged on the other part, by the mean absolute error in percent and Kendall's
tau. Writes latency_predictors.json and latency_predictors.md beside this file.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter

from tfmeta import files
from tfmeta.export.bundle import installed_versions
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.latency.features import Work
from tfmeta.latency.predictor import Predictor
from tfmeta.latency.template import Template
from tfmeta.networks.spec import build

_NETWORK = flags.DEFINE_string("network", "mobilenet_v2@96", "A --model text, then @ and the side of the images.")
_SCHEMES = flags.DEFINE_list("schemes", ["fp32", "int8"], "Quantization schemes.")
_STRUCTURES = flags.DEFINE_integer("structures", 200, "Random structures.")
_PASSES = flags.DEFINE_integer("passes", 3, "How often each is timed.")

HELD_OUT, COUNTS, CLASSES, RUNS = 80, (15, 30, 60, 120), 100, 24

# (graph, work, widths, latencies, widths to predict) -> latencies
Predict = Callable[[ChannelGraph, Work, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def main(argv: Sequence[str]) -> None:
    """Measures, fits and writes the table."""
    spec, _, side = _NETWORK.value.rpartition("@")
    graph = ChannelGraph.from_model(build(spec, (int(side), int(side), 3), CLASSES).model)
    rng = np.random.default_rng(0)
    space = SearchSpace.from_graph(graph)
    # Half of them uniformly at random, half around a common level, so that small and large ones occur too.
    structures = [
        space.mutate(space.uniform(rng.uniform(0.15, 1.0)), rng, 0.6) if index % 2 else space.sample(rng)
        for index in range(_STRUCTURES.value)
    ]
    widths = np.array([one.widths for one in structures])
    rows, noises = [], {}
    for scheme in _SCHEMES.value:
        template = Template.make(graph, scheme)
        passes = np.stack([_timed(template, structures, rng) for _ in range(_PASSES.value)])
        times = np.median(passes, 0)
        noises[scheme] = float(np.median(np.abs(passes / times - 1)))
        work = Work.of_template(template)
        rows += [{"scheme": scheme, **row} for row in _compared(graph, work, widths, times)]
    here = Path(__file__).parent
    found = {"network": _NETWORK.value, "noise": noises, "rows": rows, "versions": installed_versions()}
    files.write_json(here / "latency_predictors.json", found)
    files.write_text(here / "latency_predictors.md", _markdown(rows, noises))


def _timed(template: Template, structures: Sequence[Any], rng: np.random.Generator) -> np.ndarray:
    times = np.empty(len(structures))
    for index in rng.permutation(len(structures)):
        data = template.layout.write(template.lengths.at(structures[index]))
        interpreter = Interpreter(model_content=data, num_threads=1)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]
        interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
        runs = []
        for _ in range(RUNS):
            start = time.thread_time()
            interpreter.invoke()
            runs.append(time.thread_time() - start)
        times[index] = 1e3 * np.min(runs)
    return times


def _compared(graph: ChannelGraph, work: Work, widths: np.ndarray, times: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for count in COUNTS:
        if count > len(times) - HELD_OUT:
            break
        for name, predict in PREDICTORS.items():
            seen, judged = slice(HELD_OUT, HELD_OUT + count), slice(HELD_OUT)
            found = predict(graph, work, widths[seen], times[seen], widths[judged])
            error = np.abs(found / times[judged] - 1)
            rows.append(
                {
                    "predictor": name,
                    "measurements": count,
                    "mape": float(error.mean()),
                    "worst": float(error.max()),
                    "tau": _tau(found, times[judged]),
                }
            )
            print(rows[-1], flush=True)
    return rows


def _macs(graph: ChannelGraph, work: Work, seen: np.ndarray, times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    known = np.asarray(cost.macs(graph, seen), float)
    columns = np.stack([known, np.ones(len(known))], 1)
    line = np.linalg.lstsq(columns / times[:, None], np.ones(len(times)), rcond=None)[0]
    return np.asarray(cost.macs(graph, asked), float) * line[0] + line[1]


def _kinds(graph: ChannelGraph, work: Work, seen: np.ndarray, times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    fitted = Predictor.fit(work, seen, times)
    return dataclasses.replace(fitted, mean=np.zeros_like(fitted.mean)).predict(asked)[0]


def _operators(graph: ChannelGraph, work: Work, seen: np.ndarray, times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return Predictor.fit(work, seen, times).predict(asked)[0]


def _process(graph: ChannelGraph, work: Work, seen: np.ndarray, times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    sizes = np.array([group.size for group in graph.searchable])
    kernel = ConstantKernel(0.1) * Matern(np.full(len(sizes), 3.0), (0.3, 100.0), nu=2.5) + WhiteKernel(1e-3)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings(action="ignore"):  # length scales at their bounds: widths that do not matter
        process.fit(np.log(seen / sizes), np.log(times))
    return np.asarray(np.exp(process.predict(np.log(asked / sizes))))


PREDICTORS: dict[str, Predict] = {
    "MACs, a straight line": _macs,
    "rates a kind of operator": _kinds,
    "rates a kind, and deviations of operators (`Predictor`)": _operators,
    "Gaussian process over the widths": _process,
}


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    pairs = np.triu_indices(len(first), 1)
    signs = np.sign(np.subtract.outer(first, first)) * np.sign(np.subtract.outer(second, second))
    return float(signs[pairs].mean())


def _markdown(rows: list[dict[str, Any]], noises: dict[str, float]) -> str:
    noise = ", ".join(f"{scheme} {100 * value:.1f} %" for scheme, value in noises.items())
    lines = [
        "# Predictors of latency",
        "",
        f"Made by `python benchmarks/latency_predictors.py`: `{_NETWORK.value}`, one thread of the host. Judged on "
        f"{HELD_OUT} structures that no predictor saw. A pass differs from the median of {_PASSES.value} passes by "
        f"(median): {noise}.",
        "",
        "| Scheme | Measurements | Predictor | Mean error | Worst | Kendall's tau |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['scheme']} | {row['measurements']} | {row['predictor']} | {100 * row['mape']:.2f} % | "
        f"{100 * row['worst']:.1f} % | {row['tau']:.3f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
