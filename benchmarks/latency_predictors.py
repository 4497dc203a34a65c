"""How well a structure's latency on the host is predicted, by what, after how many measurements.

    python benchmarks/latency_predictors.py

Random structures of a network are made as twins and timed by the processor time of their thread, in several passes in
different orders; the median of the passes counts, and the difference between passes is the noise. Each predictor sees
the first measurements of one part and is judged on the other part, by the mean absolute error in percent and Kendall's
tau. Micro-models time every operator of the same structures alone, which takes the same time. Profiles of operators
inside whole files are what phones tell (`tflite-bench profile`); the host's interpreter does not. Writes
latency_predictors.json and latency_predictors.md beside this file.
"""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter

from tfmeta import files
from tfmeta.export import flatbuffer
from tfmeta.export.bundle import installed_versions
from tfmeta.export.rewrite import rewritten
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.latency.features import Work
from tfmeta.latency.predictor import Predictor
from tfmeta.latency.table_error import kendall_tau
from tfmeta.latency.template import Template
from tfmeta.networks.spec import build

_NETWORK = flags.DEFINE_string("network", "mobilenet_v2@96", "A --model text, then @ and the side of the images.")
_SCHEMES = flags.DEFINE_list("schemes", ["fp32", "int8"], "Quantization schemes.")
_STRUCTURES = flags.DEFINE_integer("structures", 200, "Random structures.")
_PASSES = flags.DEFINE_integer("passes", 3, "How often each is timed.", 2)

HELD_OUT, COUNTS, CLASSES, RUNS = 80, (15, 30, 60, 120), 100, 24


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a predictor is fitted to.

    Attributes:
        graph: the network's channel graph.
        work: of its operators.
        widths: `[N, num_searchable]`, the structures that were measured.
        times: `[N]` milliseconds of the whole files.
        scatter: `[N]` relative standard deviation of each.
        parts: `[N, num_operators]` milliseconds of every operator alone.
    """

    graph: ChannelGraph
    work: Work
    widths: np.ndarray
    times: np.ndarray
    scatter: np.ndarray
    parts: np.ndarray


# (what was seen, widths to predict) -> latencies in milliseconds
Predict = Callable[[Seen, np.ndarray], np.ndarray]


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
        scatter = np.std(passes / times, 0, ddof=1) / np.sqrt(len(passes))
        parts = np.stack([_parts(template, one) for one in structures[HELD_OUT : HELD_OUT + max(COUNTS)]])
        seen = Seen(graph, Work.of_template(template), widths, times, scatter, parts)
        rows += [{"scheme": scheme, **row} for row in _compared(seen)]
    here = Path(__file__).parent
    found = {"network": _NETWORK.value, "noise": noises, "rows": rows, "versions": installed_versions()}
    files.write_json(here / "latency_predictors.json", found)
    files.write_text(here / "latency_predictors.md", _markdown(rows, noises))


def _timed(template: Template, structures: Sequence[Any], rng: np.random.Generator) -> np.ndarray:
    times = np.empty(len(structures))
    for index in rng.permutation(len(structures)):
        times[index] = _fastest(template.layout.write(template.lengths.at(structures[index])))
    return times


def _fastest(data: bytes) -> float:
    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    for source in interpreter.get_input_details():
        interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
    runs = []
    for _ in range(RUNS):
        start = time.thread_time()
        interpreter.invoke()
        runs.append(time.thread_time() - start)
    return 1e3 * float(np.min(runs))


def _parts(template: Template, structure: Structure) -> list[float]:
    """Milliseconds of every operator of a structure's file, each in a file of its own."""
    data = template.layout.write(template.lengths.at(structure))
    num_operators = len(flatbuffer.parse(data).operators)
    return [_fastest(rewritten(data, functools.partial(_keep_only, place))) for place in range(num_operators)]


def _keep_only(place: int, model: Any) -> None:
    (graph,) = model.subgraphs
    operator = graph.operators[place]
    graph.operators = [operator]
    read = [index for index in operator.inputs.tolist() if index >= 0]
    graph.inputs = [index for index in read if model.buffers[graph.tensors[index].buffer].data is None]
    graph.outputs = operator.outputs.tolist()
    needed = {graph.tensors[index].buffer for index in read}
    for number, buffer in enumerate(model.buffers):
        if number not in needed:
            buffer.data = None
    model.signatureDefs = model.metadata = None


def _compared(measured: Seen) -> list[dict[str, Any]]:
    rows = []
    judged = slice(HELD_OUT)
    for count in COUNTS:
        if count > len(measured.times) - HELD_OUT:
            break
        some = slice(HELD_OUT, HELD_OUT + count)
        seen = dataclasses.replace(
            measured,
            widths=measured.widths[some],
            times=measured.times[some],
            scatter=measured.scatter[some],
            parts=measured.parts[:count],
        )
        for name, predict in PREDICTORS.items():
            found = predict(seen, measured.widths[judged])
            error = np.abs(found / measured.times[judged] - 1)
            rows.append(
                {
                    "predictor": name,
                    "measurements": count,
                    "mape": float(error.mean()),
                    "worst": float(error.max()),
                    "tau": kendall_tau(found, measured.times[judged]),
                }
            )
            print(rows[-1], flush=True)
    return rows


def _macs(seen: Seen, asked: np.ndarray) -> np.ndarray:
    known = np.asarray(cost.macs(seen.graph, seen.widths), float)
    columns = np.stack([known, np.ones(len(known))], 1)
    line = np.linalg.lstsq(columns / seen.times[:, None], np.ones(len(known)), rcond=None)[0]
    return np.asarray(cost.macs(seen.graph, asked), float) * line[0] + line[1]


def _kinds(seen: Seen, asked: np.ndarray) -> np.ndarray:
    fitted = Predictor.fit(seen.work, seen.widths, seen.times, seen.scatter)
    return dataclasses.replace(fitted, mean=np.zeros_like(fitted.mean)).predict(asked)[0]


def _operators(seen: Seen, asked: np.ndarray) -> np.ndarray:
    return Predictor.fit(seen.work, seen.widths, seen.times, seen.scatter).predict(asked)[0]


def _micro(seen: Seen, asked: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LinearRegression

    known, wanted = seen.work.of(seen.widths), seen.work.of(asked)
    total = np.zeros(len(asked))
    for place in range(known.shape[1]):
        columns, times = _with_constant(known[:, place]), seen.parts[:, place]
        scale = np.maximum(columns.max(0), 1e-30)
        form = LinearRegression(positive=True, fit_intercept=False)
        form.fit(columns / scale / times[:, None], np.ones(len(times)))
        total += form.predict(_with_constant(wanted[:, place]) / scale)
    return total


def _with_constant(columns: np.ndarray) -> np.ndarray:
    return np.column_stack([columns, np.ones(len(columns))])


def _scaled_micro(seen: Seen, asked: np.ndarray) -> np.ndarray:
    return _micro(seen, asked) * float(np.median(seen.times[:5] / seen.parts[:5].sum(1)))


def _process(seen: Seen, asked: np.ndarray) -> np.ndarray:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    sizes = np.array([group.size for group in seen.graph.searchable])
    kernel = ConstantKernel(0.1) * Matern(np.full(len(sizes), 3.0), (0.3, 100.0), nu=2.5) + WhiteKernel(1e-3)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings(action="ignore"):  # length scales at their bounds: widths that do not matter
        process.fit(np.log(seen.widths / sizes), np.log(seen.times))
    return np.asarray(np.exp(process.predict(np.log(asked / sizes))))


PREDICTORS: dict[str, Predict] = {
    "MACs, a straight line": _macs,
    "rates a kind of operator": _kinds,
    "rates a kind, and deviations of operators (`Predictor`)": _operators,
    "Gaussian process over the widths": _process,
    "micro-models: operators alone, summed": _micro,
    "micro-models, scaled to five whole files": _scaled_micro,
}


def _markdown(rows: list[dict[str, Any]], noises: dict[str, float]) -> str:
    noise = ", ".join(f"{scheme} {100 * value:.1f} %" for scheme, value in noises.items())
    lines = [
        "# Predictors of latency",
        "",
        f"Made by `python benchmarks/latency_predictors.py`: `{_NETWORK.value}`, one thread of the host. A latency is "
        f"the smallest processor time of {RUNS} runs, the median of {_PASSES.value} passes: quieter than what a search "
        f"measures. A pass differs from that median by (median): {noise}. Judged on {HELD_OUT} structures that no "
        "predictor saw. Micro-models time every operator of a structure alone, which takes as long as the whole.",
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
