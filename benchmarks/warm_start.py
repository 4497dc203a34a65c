"""What a PruningNet gains from a trained model's weights, and from sorting its channels, on Fashion-MNIST.

    python benchmarks/warm_start.py

For each seed: a plain MobileNetV1 is trained, then PruningNets of it that begin with random weights, with its weights,
and with its weights sorted by importance. After each epoch the search split judges uniform structures, each with batch
normalisation of its own. Can be stopped and started again; writes warm_start.json and warm_start.md beside this file
after each seed. About 10 minutes on 2 cores.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from tfmeta import files
from tfmeta.data import load
from tfmeta.data.options import DataOptions
from tfmeta.export.bundle import installed_versions
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.importance import score
from tfmeta.importance.sorting import sort_channels
from tfmeta.networks.spec import build_network
from tfmeta.objectives.accuracy import Accuracy
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.pruning_net import PruningNet
from tfmeta.training import TrainOptions, evaluate, fit, set_seed, train_plain

_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of seeds.")

NETWORK = "mobilenet_v1?width=0.25&blocks=8"
PLAIN = TrainOptions(epochs=2, batch_size=128, learning_rate=0.1, augment=False)
EPOCHS = (0, 1)
RATIOS = (1.0, 0.75, 0.5, 0.25)
# How the PruningNet begins: random weights, or the trained ones sorted by a criterion ("first" leaves their order).
STARTS = ("random weights", "first", "l1", "taylor")
RESULTS = Path(__file__).with_suffix(".json")


def main(argv: Sequence[str]) -> None:
    """Makes what is missing, then writes the table."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))["results"] if RESULTS.exists() else {}
    splits = load("fashion_mnist", DataOptions(image_size=32, fit="pad", search_size=4000))
    for seed in range(_SEEDS.value):
        own = found.setdefault(str(seed), {})
        if len(own) == 1 + len(STARTS):
            continue
        set_seed(seed)
        model = train_plain(build_network(NETWORK, splits), splits, PLAIN)
        own["plain"] = evaluate(model, splits.search)
        graph = ChannelGraph.from_model(model)
        for start in STARTS:
            if start not in own:
                own[start] = {str(epochs): _accuracies(model, graph, splits, start, epochs, seed) for epochs in EPOCHS}
                files.write_json(RESULTS, {"versions": installed_versions(), "results": found})
        files.write_text(RESULTS.with_suffix(".md"), table(found))
    print(table(found))


def _accuracies(model: Any, graph: ChannelGraph, splits: Any, start: str, epochs: int, seed: int) -> list[float]:
    """Accuracies on the search split of uniform structures after so many epochs of the PruningNet."""
    set_seed(seed)
    net = PruningNet(graph, options=PruningNetOptions(seed=seed))
    if start in STARTS[1:]:
        net.warm_start(sort_channels(model, score(start, model, graph, splits, seed=seed)))
    if epochs:
        fit(net, splits, TrainOptions(epochs=epochs, batch_size=128, learning_rate=0.1, augment=False, seed=seed))
    accuracy = Accuracy(net, splits, seed=seed)
    return accuracy([net.space.uniform(ratio) for ratio in RATIOS])


def table(found: dict[str, dict[str, Any]]) -> str:
    """Returns warm_start.md."""
    done = [own for own in found.values() if len(own) == 1 + len(STARTS)]
    plain = [100 * own["plain"] for own in done]
    lines = [
        "# A PruningNet that begins with trained weights",
        "",
        f"Written by `python benchmarks/warm_start.py`. `{NETWORK}` on Fashion-MNIST (56,000 training images),",
        f"trained as a plain network for {PLAIN.epochs} epochs: {np.mean(plain):.1f} % on the search split.",
        "Below: its PruningNet's accuracy there in %, mean ± standard deviation over",
        f"{len(done)} seeds, with uniform widths and batch-norm statistics of their own.",
        "",
        "| PruningNet begins with | epochs | " + " | ".join(f"{ratio:g}x" for ratio in RATIOS) + " |",
        "| --- | ---: |" + " ---: |" * len(RATIOS),
    ]
    names = {"random weights": "random weights", "first": "trained weights, not sorted"}
    for epochs in EPOCHS:
        for start in STARTS:
            values = 100 * np.array([own[start][str(epochs)] for own in done])
            cells = [
                f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in zip(values.mean(0), values.std(0), strict=True)
            ]
            name = names.get(start, f"trained weights, sorted by {start}")
            lines.append(f"| {name} | {epochs} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
