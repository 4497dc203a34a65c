"""Shape twins against the converter: how fast, how alike, and whether they take as long on the host.

    python benchmarks/twins.py
    python benchmarks/twins.py --networks=resnet?depth=14@32,keras:EfficientNetB0@64 --structures=3

For every network and quantization scheme, random structures are made both ways in one run. Files are alike when the
operators, their order, and every tensor's shape, type and quantization layout agree. Both files then run in turns on
the host, so that what else the machine does costs both the same; the ratio is twin over converted, with its 95 %
interval. Writes twins.json and twins.md beside this file.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

import tflite_bench
from tfmeta import files
from tfmeta.export import SCHEMES, flatbuffer
from tfmeta.export.bundle import installed_versions
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.latency.conversion import structure_file
from tfmeta.latency.measure import measure_pair
from tfmeta.latency.options import LatencyOptions
from tfmeta.latency.twin import Twins
from tfmeta.lazy import keras
from tfmeta.networks.spec import build

_NETWORKS = flags.DEFINE_list(
    "networks",
    [
        "mobilenet_v2@224",
        "mobilenet_v1?width=0.5@96",
        "resnet?depth=14@32",
        "vgg?width=0.5@32",
        "unet?width=0.25@32",
        "fcn?width=0.5@32",
        "keras:DenseNet121@32",
        "keras:EfficientNetB0@64",
    ],
    "Networks, each a --model text or keras: and an application, then @ and the side of the images.",
)
_SCHEMES = flags.DEFINE_list("schemes", sorted(SCHEMES), "Quantization schemes.")
_STRUCTURES = flags.DEFINE_integer("structures", 1, "Random structures of each network and scheme.")
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Turns of the twin and the converted file; 0 does not run them.")

CLASSES, SEED, TIMES = 100, 0, 20


def main(argv: Sequence[str]) -> None:
    """Measures everything and writes the table."""
    rows = []
    with tflite_bench.open_device("host") as device:
        for network in _NETWORKS.value:
            graph = ChannelGraph.from_model(_model(network))
            for scheme in _SCHEMES.value:
                rows += _rows(network, graph, scheme, device)
                keras.backend.clear_session()
                here = Path(__file__).parent  # after each, since a run is long
                files.write_json(here / "twins.json", {"rows": rows, "versions": installed_versions()})
                files.write_text(here / "twins.md", _markdown(rows))


def _model(network: str) -> Any:
    spec, _, side = network.rpartition("@")
    shape = (int(side), int(side), 3)
    if spec.startswith("keras:"):
        application = getattr(keras.applications, spec.removeprefix("keras:"))
        return application(input_shape=shape, weights=None, classes=CLASSES, classifier_activation=None)
    return build(spec, shape, CLASSES).model


def _rows(network: str, graph: ChannelGraph, scheme: str, device: tflite_bench.Device) -> list[dict[str, Any]]:
    rng = np.random.default_rng(SEED)
    space = SearchSpace.from_graph(graph)
    structures = [space.sample(rng) for _ in range(_STRUCTURES.value)]
    converted_for: list[Structure] = []

    def convert(graph: ChannelGraph, structure: Structure, scheme: str) -> bytes:
        converted_for.append(structure)
        return structure_file(graph, structure, scheme)

    twins = Twins(graph, scheme, convert=convert)
    template_secs, _ = _timed(lambda: twins.reason_against(graph.full))  # needs the template, and converts nothing else
    conversions = len(converted_for)
    rows = []
    for structure in structures:
        convert_secs, converted = _timed(functools.partial(structure_file, graph, structure, scheme))
        reason = twins.reason_against(structure)
        row = {
            "network": network,
            "scheme": scheme,
            "widths": list(structure.widths),
            "template_ms": 1e3 * template_secs,
            "conversions": conversions,
            "convert_ms": 1e3 * convert_secs,
            "reason": reason,
        }
        if reason is None:
            row |= _against(twins, structure, converted, convert_secs, device)
        print({key: value for key, value in row.items() if key != "widths"}, flush=True)
        rows.append(row)
    return rows


def _against(
    twins: Twins, structure: Structure, converted: bytes, convert_secs: float, device: tflite_bench.Device
) -> dict[str, Any]:
    times = [_timed(lambda: twins.file(structure))[0] for _ in range(TIMES)]
    twin = twins.file(structure)
    row = {
        "twin_ms": 1e3 * float(np.median(times)),
        "faster": convert_secs / float(np.median(times)),
        "alike": _operators(twin) == _operators(converted),
        "size_ratio": len(twin) / len(converted),
        "size_bytes": len(converted),
    }
    if _ROUNDS.value:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in ("twin.tflite", "converted.tflite")]
            for path, data in zip(paths, (twin, converted), strict=True):
                path.write_bytes(data)
            options = LatencyOptions(rounds=_ROUNDS.value, num_runs=10 * _ROUNDS.value, min_secs=1.0, retries=4)
            found = measure_pair(device, paths[0], paths[1], options)
        row |= {
            "latency_ratio": found.ratio,
            "latency_interval": [found.comparison.low, found.comparison.high],
            "latency_ms": found.reference.median_ms,
            "verdict": found.verdict,
        }
    return row


def _operators(data: bytes) -> list[Any]:
    found = []
    for one in flatbuffer.parse(data).operators:
        tensors = []
        for tensor in (*one.inputs, *one.outputs):
            q = tensor.quantization
            scales = None if q is None else (len(q.scale), len(q.zero_point), q.axis if q.per_channel else None)
            tensors.append((tensor.shape, tensor.dtype, tensor.constant, scales))
        found.append((one.op, one.version, tensors))
    return found


def _timed(made: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    value = made()
    return time.perf_counter() - start, value


def _markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Shape twins against the converter",
        "",
        "Made by `python benchmarks/twins.py`. A twin is the .tflite file of a random structure, made from the full "
        f"network's; its time is the median of {TIMES}. Latencies are of one thread of the host, in {_ROUNDS.value} "
        "turns, repeated up to four times where that is too noisy. The template is what a network and scheme cost "
        "once, with the number of conversions in brackets.",
        "",
        "| Network | Scheme | Template | Converter | Twin | Faster | Alike | Size | Latency, twin / converted |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in rows:
        start = f"| `{row['network']}` | {row['scheme']} | {row['template_ms'] / 1e3:.1f} s ({row['conversions']}) | "
        start += f"{row['convert_ms'] / 1e3:.1f} s | "
        if row["reason"]:
            lines.append(f"{start}converted: {row['reason']} | | | | |")
            continue
        ratio = "–"
        if "latency_ratio" in row:
            low, high = row["latency_interval"]
            ratio = f"{row['latency_ratio']:.3f} ({low:.3f}–{high:.3f}) of {row['latency_ms']:.2f} ms"
            ratio += "" if row["verdict"] == "OK" else f" ({row['verdict']})"
        lines.append(
            f"{start}{row['twin_ms']:.1f} ms | {row['faster']:,.0f}× | {'yes' if row['alike'] else 'NO'} | "
            f"{100 * (row['size_ratio'] - 1):+.2f} % of {row['size_bytes'] / 1e6:.2f} MB | {ratio} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
