"""How fast the parts are, as ratios within one run.

    python benchmarks/speed.py

Measures a PruningNet's training step against a plain Keras model of the same structure, the evaluation of a structure
against plain Keras inference on as many images, and how many structures are costed a second. Each pair is timed in
turns and the median of the ratios counts, so a machine that is slower for a while slows both sides. Writes speed.json
and speed.md beside this file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from tfmeta import files
from tfmeta.export.bundle import installed_versions
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.rebuild import rebuild
from tfmeta.graph.space import SearchSpace
from tfmeta.lazy import keras, tf
from tfmeta.networks.spec import build
from tfmeta.supernet.evaluation import Evaluator
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.pruning_net import PruningNet
from tfmeta.training import batches_of

_ROUNDS = flags.DEFINE_integer("rounds", 9, "Turns that each pair is timed.")

SHAPE, CLASSES, BATCH = (32, 32, 3), 10, 128
NETWORKS = ("mobilenet_v1?width=0.5", "mobilenet_v2?width=0.5", "resnet?depth=8")
WIDTH = 0.5  # the structure: half of every width
CALIBRATION, JUDGED = 1000, 4000

Timed = Callable[[], Any]


def main(argv: Sequence[str]) -> None:
    """Measures everything and writes the table."""
    rows = []
    for spec in NETWORKS:
        graph = ChannelGraph.from_model(build(spec, SHAPE, CLASSES).model)
        rows += [_training_step(spec, graph, hidden) for hidden in (PruningNetOptions.hidden, 32)]
        rows.append(_evaluation(spec, graph))
        print(*(f"{row['what']}: {row['ratio']:.2f}" for row in rows[-3:]), sep="\n", flush=True)
    costs = _costing()
    here = Path(__file__).parent
    files.write_json(here / "speed.json", {"ratios": rows, "costing": costs, "versions": installed_versions()})
    files.write_text(here / "speed.md", _markdown(rows, costs))


def _training_step(spec: str, graph: ChannelGraph, hidden: int) -> dict[str, Any]:
    space = SearchSpace.from_graph(graph)
    structure = space.uniform(WIDTH)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 255, (BATCH, *SHAPE)), tf.float32)
    labels = tf.constant(rng.integers(0, CLASSES, BATCH))
    net = PruningNet(graph, space, PruningNetOptions(hidden=hidden))
    widths = net.widths(structure)
    plain = rebuild(graph, graph.kept(structure))
    ours, theirs = _step(net), _step(plain)
    what = f"training step, PruningNet (hidden {hidden}) / plain Keras"
    return _compared(what, spec, lambda: ours(images, labels, widths), lambda: theirs(images, labels))


def _step(model: Any) -> Any:
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(images: Any, labels: Any, *widths: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, *widths, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return step


def _evaluation(spec: str, graph: ChannelGraph) -> dict[str, Any]:
    space = SearchSpace.from_graph(graph)
    structure = space.uniform(WIDTH)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (CALIBRATION + JUDGED, *SHAPE)).astype(np.float32)
    labels = rng.integers(0, CLASSES, JUDGED)
    calibration = batches_of(images[:CALIBRATION], 250)
    judged = list(zip(batches_of(images[CALIBRATION:], 250), batches_of(labels, 250), strict=True))
    evaluator = Evaluator(PruningNet(graph, space))
    plain = rebuild(graph, graph.kept(structure))
    forward = tf.function(lambda batch: plain(batch, training=False), autograph=False, reduce_retracing=True)
    everything = batches_of(images, 250)
    return _compared(
        "evaluation of a structure / plain Keras inference on as many images",
        spec,
        lambda: evaluator.accuracy(structure, calibration, judged),
        lambda: [forward(batch).numpy() for batch in everything],
    )


def _compared(what: str, spec: str, ours: Timed, theirs: Timed) -> dict[str, Any]:
    ours(), theirs()  # the first call traces
    ratios, times = [], []
    for _ in range(_ROUNDS.value):
        times.append((_seconds(ours), _seconds(theirs)))
        ratios.append(times[-1][0] / times[-1][1])
    own, other = np.median(times, 0)
    low, high = np.quantile(ratios, [0.25, 0.75])
    return {
        "what": what,
        "network": spec,
        "ratio": float(np.median(ratios)),
        "quartiles": [float(low), float(high)],
        "ours_ms": 1e3 * float(own),
        "theirs_ms": 1e3 * float(other),
    }


def _seconds(timed: Timed) -> float:
    start = time.perf_counter()
    timed()
    return time.perf_counter() - start


def _costing() -> dict[str, float]:
    graph = ChannelGraph.from_model(keras.applications.MobileNetV2(weights=None))
    space = SearchSpace.from_graph(graph)
    rng = np.random.default_rng(0)
    options = np.stack([rng.integers(0, space.num_options) for _ in range(1000)])
    widths = np.tile(space.widths(options), (200, 1))
    found = {}
    for name, function in (
        ("macs", cost.macs),
        ("params", cost.params),
        ("weight_bytes", cost.weight_bytes),
        ("peak_activation_bytes", cost.peak_activation_bytes),
    ):
        function(graph, widths[:10])
        speeds = []
        for _ in range(_ROUNDS.value):
            start = time.process_time()  # processor time: what one core does
            function(graph, widths)
            speeds.append(len(widths) / (time.process_time() - start))
        found[name] = float(np.median(speeds))
    return found


def _markdown(rows: list[dict[str, Any]], costs: dict[str, float]) -> str:
    lines = [
        "# Speed",
        "",
        f"Made by `python benchmarks/speed.py`. Images {SHAPE}, batch {BATCH}; the structure has {WIDTH} of every "
        f"width. A ratio is the median over {_ROUNDS.value} turns; below 1 tfmeta is faster.",
        "",
        "| What | Network | Ratio | Quartiles | tfmeta | Keras |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        low, high = row["quartiles"]
        lines.append(
            f"| {row['what']} | `{row['network']}` | {row['ratio']:.2f} | {low:.2f}–{high:.2f} | "
            f"{row['ours_ms']:.0f} ms | {row['theirs_ms']:.0f} ms |"
        )
    lines += ["", "| Structures of MobileNetV2 (224x224) costed a second, one core | |", "| --- | ---: |"]
    lines += [f"| `cost.{name}` | {speed:,.0f} |" for name, speed in costs.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
