"""Searched against uniform against random structures, on all of Fashion-MNIST.

    python benchmarks/fashion_mnist.py --workdir=runs/fashion_mnist

For each network and seed: one PruningNet, one genetic search a budget, and as many random structures as the search
evaluated. The searched structure, the best random one and the uniform width multiplier of the same budget are then
trained alike, from scratch and from generated weights, and tested on the 10,000 test images. Can be stopped at any
moment and started again. Writes fashion_mnist.json and fashion_mnist.md beside this file after every network and seed.
Two networks are worked on at a time, one core each, which trains small networks faster than one with two cores.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from tfmeta import files
from tfmeta.data.options import DataOptions
from tfmeta.export.bundle import installed_versions
from tfmeta.graph import cost
from tfmeta.project import Project, ProjectOptions
from tfmeta.stages.limits import Limit
from tfmeta.stages.retrain import RetrainOptions, load_model, retrain
from tfmeta.stages.search import SearchOptions, search
from tfmeta.stages.train import train
from tfmeta.training import TrainOptions, evaluate
from tfmeta.workdir import Workdir

_WORKDIR = flags.DEFINE_string("workdir", "runs/fashion_mnist", "Folder for everything that is made on the way.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of seeds.")
_PROCESSES = flags.DEFINE_integer("processes", 2, "Networks that are worked on at a time, one core each.")
_JOB = flags.DEFINE_string("job", None, "Work on this network and seed only ('0-2': first network, seed 2).")

INITS = ("scratch", "generated")
CONTROLS = ("uniform", "random")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One network and its budgets, as shares of the full network's MACs."""

    label: str
    model: str
    multiple_of: int
    budgets: tuple[float, ...]


EXPERIMENTS = (
    Experiment("MobileNetV1 0.25, 8 blocks", "mobilenet_v1?width=0.25&blocks=8", 8, (0.75, 0.5, 0.25)),
    Experiment("ResNet-8", "resnet?depth=8&width=0.5", 2, (0.5,)),
)

# Chosen so that the whole table takes at most about 90 minutes on 2 cores. So few epochs do not overfit, hence no
# augmentation.
SUPERNET = TrainOptions(epochs=4, batch_size=128, learning_rate=0.1, augment=False)
RETRAIN = TrainOptions(epochs=2, batch_size=128, learning_rate=0.1, augment=False)
SEARCH = SearchOptions(generations=4, population=20, calibration_images=1000)
SEARCH_IMAGES = 4000
# The searched structure must lie this near to its budget, so that it is compared at the same cost.
NEAREST = 0.95


def main(argv: Sequence[str]) -> None:
    """Makes what is missing, then writes the table."""
    root = Path(_WORKDIR.value)
    if _JOB.value is not None:
        place, seed = (int(number) for number in _JOB.value.split("-"))
        results = list(_run(EXPERIMENTS[place], seed, root))
        files.write_json(_result_file(root, _JOB.value), {"setting": _setting(), "results": results})
        return
    # The first network takes longest, so it comes first.
    waiting = [f"{place}-{seed}" for place in range(len(EXPERIMENTS)) for seed in range(_SEEDS.value)]
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _PROCESSES.value:
                job = waiting.pop(0)
                if not _done(root, job):
                    running[job] = _started(job, root)
            for job in [job for job, process in running.items() if process.poll() is not None]:
                if running.pop(job).returncode:
                    raise SystemExit(f"Job {job} failed, see {root / job}.log. Start again to go on.")
                print(f"{job} is done", flush=True)
                _write(root)
            time.sleep(1)
    finally:
        for process in running.values():
            process.terminate()
    _write(root)


def _started(job: str, root: Path) -> subprocess.Popen[bytes]:
    root.mkdir(parents=True, exist_ok=True)
    one_core = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, f"--workdir={root}", f"--job={job}"]
    with open(root / f"{job}.log", "ab") as log:
        return subprocess.Popen(command, env={**os.environ, **one_core}, stdout=log, stderr=log)


def _result_file(root: Path, job: str) -> Path:
    return root / f"{job}.json"


def _done(root: Path, job: str) -> bool:
    path = _result_file(root, job)
    if not path.exists():
        return False
    if json.loads(path.read_text())["setting"] != _setting():
        raise SystemExit(f"{path} was made with other settings. Give another --workdir.")
    return True


def _recipe(options: TrainOptions) -> dict[str, Any]:
    names = ("epochs", "batch_size", "learning_rate", "augment")
    return {name: getattr(options, name) for name in names}


def _setting() -> dict[str, Any]:
    setting = {
        "experiments": [dataclasses.asdict(experiment) for experiment in EXPERIMENTS],
        "supernet": _recipe(SUPERNET),
        "retrain": _recipe(RETRAIN),
        "search": {"generations": SEARCH.generations, "population": SEARCH.population, "nearest": NEAREST},
        "search_images": SEARCH_IMAGES,
    }
    found: dict[str, Any] = json.loads(json.dumps(setting))
    return found


def _run(experiment: Experiment, seed: int, root: Path) -> Iterator[dict[str, Any]]:
    name = experiment.model.split("?")[0]
    options = ProjectOptions(
        model=experiment.model,
        dataset="fashion_mnist",
        data=DataOptions(seed=seed, search_size=SEARCH_IMAGES),
        multiple_of=experiment.multiple_of,
        seed=seed,
    )
    project = Project(Workdir(root / f"{name}-{seed}"), options)
    train(project, dataclasses.replace(SUPERNET, seed=seed))
    for place, budget in enumerate(experiment.budgets):
        label = f"{round(100 * budget)}"
        limit = Limit("macs", lower=f"{NEAREST * budget}x", upper=f"{budget}x")
        found = search(project, dataclasses.replace(SEARCH, limits=(limit,), seed=seed, name=label))
        # The full network has nothing to do with the budget, and is only there to show what was lost: once is enough.
        rows = ("searched", *CONTROLS, *(("full",) if place == 0 and seed == 0 else ()))
        for init in INITS:
            wanted = RetrainOptions(dataclasses.replace(RETRAIN, seed=seed), init, False, rows, label)
            for row, path in retrain(project, wanted).items():
                yield _result(project, experiment, seed, budget, init, row, path, found)


def _result(
    project: Project,
    experiment: Experiment,
    seed: int,
    budget: float,
    init: str,
    row: str,
    path: Path,
    found: dict[str, Any],
) -> dict[str, Any]:
    entry = found["structures"][row]
    tested = path.with_suffix(".test.json")
    if not tested.exists():
        files.write_json(tested, {"test_accuracy": evaluate(load_model(path), project.splits.test)})
    return {
        "network": experiment.label,
        "seed": seed,
        "budget": 1.0 if row == "full" else budget,
        "row": row,
        "init": init,
        "widths": entry["widths"],
        "macs": int(entry["values"]["macs"]),
        "macs_share": entry["values"]["macs"] / cost.macs(project.graph, project.space.full()),
        "params": int(entry["values"]["params"]),
        "search_accuracy": entry["values"]["accuracy"],
        "test_accuracy": project.workdir.read_json(tested, "retrain")["test_accuracy"],
    }


def _write(root: Path) -> None:
    """Writes the table of all jobs that are done."""
    folder = Path(__file__).parent
    paths = [path for place in range(len(EXPERIMENTS)) for path in sorted(root.glob(f"{place}-*.json"))]
    results = [row for path in paths for row in json.loads(path.read_text())["results"]]
    everything = {"setting": _setting(), "versions": installed_versions(), "results": results}
    files.write_json(folder / "fashion_mnist.json", everything)
    files.write_text(folder / "fashion_mnist.md", _markdown(results))


def _markdown(results: list[dict[str, Any]]) -> str:
    lines = [
        "# Searched, uniform and random structures on Fashion-MNIST",
        "",
        "Made by `python benchmarks/fashion_mnist.py`; the numbers behind it are in `fashion_mnist.json`.",
        "",
        "Test accuracy in %, mean ± standard deviation over the seeds, and MACs as a share of the full network's. All "
        f"60,000 training images: {60000 - SEARCH_IMAGES:,} to train, {SEARCH_IMAGES:,} to search. PruningNet "
        f"{SUPERNET.epochs} epochs; every network in the table {RETRAIN.epochs} epochs, same recipe. Search: "
        f"{SEARCH.generations * SEARCH.population} structures, random: as many. *Lead* is searched minus the better "
        "control, paired by seed; it is called a lead only where its 95 % interval (Student's t) is above 0.",
        "",
        "| Network | Budget (MACs) | Init | Seeds | Searched | Uniform | Random best | Lead | Verdict |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for key in dict.fromkeys((r["network"], r["budget"], r["init"]) for r in results if r["row"] != "full"):
        lines.append(_line(key, results))
    lines += ["", "| Full network | Init | Test accuracy | MACs |", "| --- | --- | ---: | ---: |"]
    for key in dict.fromkeys((r["network"], r["init"]) for r in results if r["row"] == "full"):
        full = [r for r in results if r["row"] == "full" and (r["network"], r["init"]) == key]
        accuracy = _spread([r["test_accuracy"] for r in full])
        lines.append(f"| {key[0]} | {key[1]} | {accuracy} | {full[0]['macs'] / 1e6:.2f} M |")
    return "\n".join(lines) + "\n"


def _line(key: tuple[str, float, str], results: list[dict[str, Any]]) -> str:
    def of(row: str) -> dict[int, dict[str, Any]]:
        return {r["seed"]: r for r in results if (r["network"], r["budget"], r["init"]) == key and r["row"] == row}

    searched, controls = of("searched"), [of(row) for row in CONTROLS]
    means = [np.mean([r["test_accuracy"] for r in control.values()]) for control in controls]
    best = controls[int(np.argmax(means))]
    leads = 100 * np.array([searched[s]["test_accuracy"] - best[s]["test_accuracy"] for s in searched if s in best])
    cells = []
    for rows in (searched, *controls):
        share = np.mean([row["macs_share"] for row in rows.values()])
        cells.append(f"{_spread([row['test_accuracy'] for row in rows.values()])} @ {share:.2f}x")
    setting = (key[0], f"{key[1]:.2f}x", key[2], str(len(leads)))
    return f"| {' | '.join([*setting, *cells, f'{leads.mean():+.2f}', _verdict(leads)])} |"


# The 97.5 % quantile of Student's t for 1, 2, 3 and 4 degrees of freedom.
_T = (12.71, 4.30, 3.18, 2.78)


def _verdict(leads: np.ndarray) -> str:
    if len(leads) < 2:
        return "one seed"
    error = leads.std(ddof=1) / np.sqrt(len(leads))
    if abs(leads.mean()) <= _T[min(len(leads) - 2, len(_T) - 1)] * error:
        return "no significant difference"
    return "searched leads" if leads.mean() > 0 else "control leads"


def _spread(values: Sequence[float]) -> str:
    percent = 100 * np.array(values)
    return f"{percent.mean():.2f} ± {percent.std(ddof=1):.2f}" if len(percent) > 1 else f"{percent.mean():.2f}"


if __name__ == "__main__":
    app.run(main)
