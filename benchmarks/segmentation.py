"""A U-Net and an FCN through the whole pipeline, on canvases of Fashion-MNIST items.

    python benchmarks/segmentation.py --workdir=runs/segmentation

For each network what `tfmeta run` does: one PruningNet, one genetic search for half of the MACs and as many random
structures, the searched network and its controls trained alike from scratch, fp32 and int8 files that are tested and
timed. Can be stopped at any moment and started again. Writes segmentation.json and segmentation.md beside this file
after every network.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from tfmeta import files
from tfmeta.data.options import DataOptions
from tfmeta.export.bundle import installed_versions
from tfmeta.project import Project, ProjectOptions
from tfmeta.report.data import FileRow, Latency, Missing, ReportData
from tfmeta.stages.export import ExportOptions
from tfmeta.stages.limits import Limit
from tfmeta.stages.retrain import RetrainOptions
from tfmeta.stages.run import RunOptions, run
from tfmeta.stages.search import SearchOptions
from tfmeta.training import TrainOptions
from tfmeta.workdir import Workdir

_WORKDIR = flags.DEFINE_string("workdir", "runs/segmentation", "Folder for everything that is made on the way.")

NETWORKS = {"U-Net": "unet?width=0.5", "FCN": "fcn"}
MULTIPLE_OF = 4
# Chosen so that both networks together take about 20 minutes on 2 cores.
DATA = DataOptions(train_size=3000, search_size=300, test_size=1000)
TRAIN = TrainOptions(epochs=8, batch_size=16, learning_rate=0.1, augment=False)
RETRAIN = TrainOptions(epochs=6, batch_size=16, learning_rate=0.1, augment=False)
# The searched structure must lie this near to its budget, so that it is compared at the same cost.
LIMIT = Limit("macs", lower="0.475x", upper="0.5x")
SEARCH = SearchOptions(limits=(LIMIT,), generations=3, population=10, calibration_images=200)


def main(argv: Sequence[str]) -> None:
    """Makes what is missing, then writes the table."""
    root, results = Path(_WORKDIR.value), []
    for label, model in NETWORKS.items():
        done = root / f"{model.split('?')[0]}.json"
        if not done.exists():
            files.write_json(done, {"setting": _setting(), **_run(label, model, root)})
        found = json.loads(done.read_text("utf-8"))
        if found.pop("setting") != _setting():
            raise SystemExit(f"{done} was made with other settings. Give another --workdir.")
        results.append(found)
        folder = Path(__file__).parent
        everything = {"setting": _setting(), "versions": installed_versions(), "results": results}
        files.write_json(folder / "segmentation.json", everything)
        files.write_text(folder / "segmentation.md", _markdown(results))


def _setting() -> dict[str, Any]:
    recipe = ("epochs", "batch_size", "learning_rate", "augment")
    setting = {
        "networks": NETWORKS,
        "data": dataclasses.asdict(DATA),
        "train": {name: getattr(TRAIN, name) for name in recipe},
        "retrain": {name: getattr(RETRAIN, name) for name in recipe},
        "search": {name: getattr(SEARCH, name) for name in ("generations", "population", "calibration_images")},
        "budget": dataclasses.asdict(LIMIT),
    }
    found: dict[str, Any] = json.loads(json.dumps(setting))
    return found


def _run(label: str, model: str, root: Path) -> dict[str, Any]:
    options = ProjectOptions(model=model, dataset="fashion_canvas", data=DATA, multiple_of=MULTIPLE_OF)
    with Workdir(root / model.split("?")[0]) as workdir:
        data, *_ = run(Project(workdir, options), RunOptions(TRAIN, SEARCH, RetrainOptions(RETRAIN), ExportOptions()))
    return {
        "network": label,
        "model": model,
        "budget": data.budget,
        "rows": [_row(data, row.name) for row in data.rows],
    }


def _row(data: ReportData, name: str) -> dict[str, Any]:
    row = data.row(name)
    if row is None or isinstance(row.search_accuracy, Missing) or isinstance(row.test_accuracy, Missing):
        raise SystemExit(f"Expected the row {name!r} with a {data.metric}. Received: {row}.")
    return {
        "row": name,
        "macs": row.macs,
        "params": row.params,
        "search_mean_iou": row.search_accuracy,
        "test_mean_iou": row.test_accuracy,
        "files": {file.scheme: _file(file) for file in data.files if file.model == name},
    }


def _file(file: FileRow) -> dict[str, Any]:
    if isinstance(file.test_accuracy, Missing) or not isinstance(file.latency, Latency):
        raise SystemExit(f"Expected a file with a mean IoU and a latency. Received: {file}.")
    return {
        "size_bytes": file.size_bytes,
        "test_mean_iou": file.test_accuracy,
        "pixels_as_keras": None if isinstance(file.agreement, Missing) else file.agreement,
        **dataclasses.asdict(file.latency),
    }


def _markdown(results: list[dict[str, Any]]) -> str:
    size = DATA.train_size, DATA.search_size, DATA.test_size
    lines = [
        "# A U-Net and an FCN on canvases of Fashion-MNIST",
        "",
        "Made by `python benchmarks/segmentation.py`; the numbers behind it are in `segmentation.json`.",
        "",
        f"`fashion_canvas`, 64x64 pixels, 4 items on each: {size[0]:,} canvases to train, {size[1]:,} to search, "
        f"{size[2]:,} to test. PruningNet {TRAIN.epochs} epochs; every network in the table {RETRAIN.epochs} epochs "
        f"from scratch, same recipe, one seed. Search: {SEARCH.generations * SEARCH.population} structures, random: as "
        "many. Mean IoU in %, over all 11 classes with the background, on the test split; that of the search has "
        "generated weights and is on the search split. Latency is the median of LiteRT with one thread, on a "
        "machine on which other work ran at the same time; what is not OK has its verdict and is no measurement to go "
        "by. So few epochs train none of these networks to the end, and with one seed chance moves them as much as "
        "widths do: the table shows that the pipeline works for maps, not which search is better.",
        "",
        "| Network | | MACs | Params | Mean IoU, search | Mean IoU | fp32 file | fp32 size | fp32 latency | int8 file "
        "| int8 size | int8 latency |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        for row in result["rows"]:
            cells = [
                result["network"],
                row["row"],
                f"{row['macs'] / 1e6:.2f} M",
                f"{row['params'] / 1e3:.1f} k",
                f"{100 * row['search_mean_iou']:.2f}",
                f"{100 * row['test_mean_iou']:.2f}",
                *(cell for scheme in ("fp32", "int8") for cell in _cells(row["files"][scheme])),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    for result in results:
        lines += [
            "",
            f"{result['network']} is `{result['model']}`; budget: {result['budget']}. The same as one command:",
        ]
        lines += ["", "```sh", _command(result["model"]), "```"]
    return "\n".join(lines) + "\n"


def _command(model: str) -> str:
    """What a user would type for one network."""
    words = [
        "tfmeta run",
        "--workdir=W",
        "--dataset=fashion_canvas",
        f"--model='{model}'",
        f"--multiple_of={MULTIPLE_OF}",
    ]
    words += [f"--{name}={getattr(DATA, name)}" for name in ("train_size", "search_size", "test_size")]
    for stage, recipe in (("train", TRAIN), ("retrain", RETRAIN)):
        words += [f"--{stage}_epochs={recipe.epochs}", f"--{stage}_batch_size={recipe.batch_size}"]
        words += [f"--{stage}_learning_rate={recipe.learning_rate}", f"--no{stage}_augment"]
    words += [f"--min_macs={LIMIT.lower}", f"--max_macs={LIMIT.upper}"]
    words += [f"--{name}={getattr(SEARCH, name)}" for name in ("generations", "population", "calibration_images")]
    return " ".join(words)


def _cells(file: dict[str, Any]) -> list[str]:
    verdict = "" if file["verdict"] == "OK" else f" ({file['verdict']})"
    return [
        f"{100 * file['test_mean_iou']:.2f}",
        f"{file['size_bytes'] / 1024:.1f} KiB",
        f"{file['p50_ms']:.3f} ms{verdict}",
    ]


if __name__ == "__main__":
    app.run(main)
