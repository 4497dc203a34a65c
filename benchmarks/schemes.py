"""Every scheme of export on Fashion-MNIST: accuracy, size, zipped size and latency of the files themselves.

    python -m benchmarks.schemes --workdir=runs/schemes

For a MobileNetV1 and a MobileNetV2 at 0.25x and 0.5x of their MACs (uniform widths): one network a seed, trained and
written in every scheme. Quantization after training and in training are compared over all seeds; the other schemes
that train take one. Those train on for some epochs, so beside them stands the float network that was trained on as
long, in float and in int8 (`fp32_longer`, `int8_longer`). For every number of layers that are kept out of int8 there is
a file too. Then the files of the first seed are timed on this machine, one at a time, in turns with the float file of
their network; those of other seeds differ from them by values alone. Writes schemes.json and schemes.md beside this
file.

It takes hours. It can be stopped at any moment and started again: each file has a result of its own in --workdir. And
what schemes.json already tells, made with the same settings and versions, is not made again: `--seeds=1` makes it for
the first seed, and without it the others are added later, with another --workdir if need be.

`--smoke` does it all in small, in minutes, to see that it works; its numbers mean nothing and are written to --workdir.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from benchmarks.schemes_page import ENOUGH, LONGER, markdown
from tfmeta import data, files
from tfmeta.data.options import DataOptions
from tfmeta.errors import ExportError
from tfmeta.export import ALL_SCHEMES, SCHEMES, verify
from tfmeta.export.bundle import installed_versions
from tfmeta.export.calibration import from_split
from tfmeta.export.layer_errors import layer_errors
from tfmeta.export.mixed.bits import FLOAT, INT16, BitWidths
from tfmeta.export.mixed.quantizer import MixedQuantizer
from tfmeta.export.mixed.sensitivity import sensitivities
from tfmeta.export.tflite import export_tflite
from tfmeta.export.tuning import TuneOptions
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.rebuild import rebuild
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Bound
from tfmeta.latency.measure import measure_files
from tfmeta.latency.options import FINAL, LatencyOptions
from tfmeta.networks import spec
from tfmeta.registry import resolve
from tfmeta.stages.retrain import load_model
from tfmeta.training import TrainOptions, evaluate, set_seed, train_plain

_WORKDIR = flags.DEFINE_string("workdir", "runs/schemes", "Folder for everything that is made on the way.")
_PROCESSES = flags.DEFINE_integer("processes", 2, "Networks that are worked on at a time, one core each.")
_JOB = flags.DEFINE_integer("job", None, "Work on the network of this number only; its name is in the log.", 0)
_SEEDS = flags.DEFINE_integer("seeds", None, "The first seeds only; all of them by default.", 1)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of Fashion-MNIST's files; where it is found by default.")
_SMOKE = flags.DEFINE_bool("smoke", False, "In small, to see that it works.")

EVERY_SEED = (*SCHEMES, *LONGER, "int8_qat")
_TOLD_OF_LATENCY = ("median_ms", "p90_ms", "ratio", "ratio_low", "ratio_high", "verdict", "seconds")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is run."""

    networks: tuple[str, ...] = ("mobilenet_v1?width=0.5", "mobilenet_v2?width=0.5")
    budgets: tuple[float, ...] = (0.25, 0.5)
    seeds: int = 3
    schemes: tuple[str, ...] = (*ALL_SCHEMES, *LONGER)
    train: TrainOptions = dataclasses.field(default_factory=lambda: TrainOptions(epochs=6, augment=False))
    tune: TuneOptions = dataclasses.field(
        default_factory=lambda: TuneOptions(TrainOptions(epochs=2, learning_rate=0.01, augment=False))
    )
    train_size: int | None = None
    search_size: int = 4000
    test_size: int | None = None
    judged: int = 2000
    max_kept: int = 6

    def schemes_of(self, seed: int) -> list[str]:
        """The schemes of a network of this seed."""
        return [name for name in self.schemes if seed == 0 or name in EVERY_SEED]

    def jobs(self) -> list[tuple[str, float, int]]:
        """Network, budget and seed of every job; the seed that has all schemes first."""
        return [(n, b, seed) for seed in range(self.seeds) for n in self.networks for b in self.budgets]


SMOKE = Setting(
    networks=("mobilenet_v1?width=0.25&blocks=8",),
    budgets=(0.5,),
    seeds=1,
    schemes=("fp32", "int8", *LONGER, "int8_qat", "sparse"),
    train=TrainOptions(epochs=1, augment=False, calibration_images=500),
    tune=TuneOptions(TrainOptions(epochs=1, learning_rate=0.01, augment=False, calibration_images=500)),
    train_size=2000,
    search_size=500,
    test_size=500,
    judged=200,
    max_kept=2,
)


def main(argv: Sequence[str]) -> None:
    """Makes what is missing, then times the files and writes the table."""
    setting, root = SMOKE if _SMOKE.value else Setting(), Path(_WORKDIR.value)
    _claim(root, setting)
    if _JOB.value is not None:
        print(setting.jobs()[_JOB.value], flush=True)
        Job(setting, *setting.jobs()[_JOB.value], root / str(_JOB.value)).run()
        return
    folder = root if _SMOKE.value else Path(__file__).parent
    about = {"setting": _plain(setting), "versions": installed_versions(setting.schemes, mixed=True)}
    known = _known(folder / "schemes.json", about, setting)
    asked = [job for job, (*_, seed) in enumerate(setting.jobs()) if _SEEDS.value is None or seed < _SEEDS.value]
    missing = [job for job in asked if setting.jobs()[job] not in known]
    _in_parallel(missing, root)
    jobs = [Job(setting, *setting.jobs()[job], root / str(job)) for job in missing]
    for job in jobs:  # when nothing else runs here
        job.time()
    known |= {(job.network, job.budget, job.seed): list(job.results()) for job in jobs}
    results = [row for job in setting.jobs() for row in known.get(job, [])]
    files.write_json(folder / "schemes.json", {**about, "results": results})
    files.write_text(folder / "schemes.md", markdown(results, setting))


def _known(path: Path, about: dict[str, Any], setting: Setting) -> dict[tuple[str, float, int], list[dict[str, Any]]]:
    """Network, budget and seed → their rows in the file, where all are there.

    The file must be of the same settings and versions.
    """
    known: dict[tuple[str, float, int], list[dict[str, Any]]] = {}
    if path.exists():
        found = json.loads(path.read_text())
        if {name: found[name] for name in about} != about:
            raise SystemExit(f"{path} was made with other settings or versions. Move it away to begin anew.")
        for row in found["results"]:
            known.setdefault((row["network"], row["budget"], row["seed"]), []).append(row)
    return {
        job: rows
        for job, rows in known.items()
        if {row["scheme"] for row in rows}.issuperset(setting.schemes_of(job[-1]))
    }


def _plain(setting: Setting) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(setting)))


def _claim(root: Path, setting: Setting) -> None:
    path = root / "setting.json"
    if path.exists() and json.loads(path.read_text()) != _plain(setting):
        raise SystemExit(f"{root} was made with other settings. Give another --workdir.")
    files.write_json(path, _plain(setting))


def _in_parallel(jobs: Sequence[int], root: Path) -> None:
    waiting = [job for job in jobs if not (root / str(job) / "done").exists()]
    running: dict[int, subprocess.Popen[bytes]] = {}
    one_core = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        while waiting or running:
            while waiting and len(running) < _PROCESSES.value:
                job = waiting.pop(0)
                command = [sys.executable, "-m", "benchmarks.schemes", f"--workdir={root}", f"--job={job}"]
                command += [] if _DATA_DIR.value is None else [f"--data_dir={_DATA_DIR.value}"]
                with open(root / f"{job}.log", "ab") as log:
                    running[job] = subprocess.Popen(
                        command + ["--smoke"] * _SMOKE.value, env={**os.environ, **one_core}, stdout=log, stderr=log
                    )
            for job in [job for job, process in running.items() if process.poll() is not None]:
                if running.pop(job).returncode:
                    raise SystemExit(f"Job {job} failed, see {root / str(job)}.log. Start again to go on.")
                print(f"{job} is done", flush=True)
            time.sleep(1)
    finally:
        for process in running.values():
            process.terminate()


class Job:
    """One trained network in its schemes. Every result is a file, so that it is made once."""

    def __init__(self, setting: Setting, network: str, budget: float, seed: int, folder: Path) -> None:
        self.setting, self.network, self.budget, self.seed, self.folder = setting, network, budget, seed, folder
        self.schemes = setting.schemes_of(seed)

    def run(self) -> None:
        """Trains the network and writes its files."""
        options = DataOptions(
            seed=self.seed,
            train_size=self.setting.train_size,
            search_size=self.setting.search_size,
            test_size=self.setting.test_size,
            data_dir=_DATA_DIR.value,
        )
        splits = data.load("fashion_mnist", options)
        self._made("network", lambda: self._train(splits))
        model = load_model(self.folder / "model.keras")
        self._made("longer", lambda: self._train_on(splits))
        longer = load_model(self.folder / "longer.keras")
        for scheme in self.schemes:
            given = longer if scheme in LONGER else model
            self._made(scheme, lambda scheme=scheme, given=given: self._export(given, splits, scheme))
        if self.seed == 0:
            self._made("mixed", lambda: self._mixed(model, splits))
        files.write_text(self.folder / "done", "")

    def _made(self, name: str, make: Callable[[], Any]) -> None:
        if not (self.folder / f"{name}.json").exists():
            files.write_json(self.folder / f"{name}.json", make())

    def _train(self, splits: Any) -> dict[str, Any]:
        graph = ChannelGraph.from_model(spec.build_network(self.network, splits))
        space = SearchSpace.from_graph(graph, multiple_of=8)
        full = cost.macs(graph, space.full())
        bound = Bound("macs", "MACs", lambda widths: cost.macs(graph, widths), upper=self.budget * full)
        structure = space.uniform_within([bound])
        options = dataclasses.replace(self.setting.train, seed=self.seed)
        set_seed(self.seed)
        model, seconds = _timed(
            lambda: train_plain(rebuild(graph, graph.kept(structure)), splits, options, description="Training")
        )
        with files.replacing(self.folder / "model.keras") as temporary:
            model.save(temporary)
        return {
            "macs": int(cost.macs(graph, structure)),
            "macs_share": float(cost.macs(graph, structure) / full),
            "params": int(cost.params(graph, structure)),
            "test_accuracy": evaluate(model, splits.test),
            "seconds": seconds,
        }

    def _train_on(self, splits: Any) -> dict[str, Any]:
        options = dataclasses.replace(self.setting.tune.train, seed=self.seed)
        set_seed(self.seed)
        model, seconds = _timed(
            lambda: train_plain(load_model(self.folder / "model.keras"), splits, options, description="Training on")
        )
        with files.replacing(self.folder / "longer.keras") as temporary:
            model.save(temporary)
        return {"test_accuracy": evaluate(model, splits.test), "seconds": seconds}

    def _export(self, model: Any, splits: Any, scheme: str) -> dict[str, Any]:
        calibration = from_split(splits.train, 300, self.seed)
        samples, _ = splits.search.sample(300, self.seed)
        converted = LONGER.get(scheme, scheme)
        train = resolve(ALL_SCHEMES, converted, "scheme").train
        path = self.folder / f"{scheme}.tflite"
        tune = dataclasses.replace(
            self.setting.tune, train=dataclasses.replace(self.setting.tune.train, seed=self.seed)
        )
        try:
            given, training_s = _timed(lambda: train(model, splits, tune, self.folder / "steps") if train else model)
            # Whatever the agreement: a table of what fits would hide what is lost.
            result, export_s = _timed(
                lambda: export_tflite(given, path, converted, calibration, samples, min_class_agreement=0.0)
            )
        except ExportError as error:
            return {"scheme": scheme, "refused": str(error)}
        judged = given.model if train else model
        _, verify_s = _timed(lambda: verify.compare(path, judged, samples))
        accuracy, test_s = _timed(lambda: verify.split_accuracy(path, splits.test))
        content = path.read_bytes()
        worst = result.layer_errors
        if not worst and scheme == "int8" and self._read("fp32")["test_accuracy"] - accuracy > ENOUGH / 100:
            worst = layer_errors(path, judged, samples)
        return {
            "scheme": scheme,
            "test_accuracy": accuracy,
            "size_bytes": len(content),
            "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
            "agreement": dataclasses.asdict(result.agreement),
            "worst_layers": [str(layer) for layer in worst[:3]],
            "training": None if result.training is None else dict(result.training),
            "seconds": {"train": training_s, "convert": export_s - verify_s, "verify": verify_s, "test": test_s},
        }

    def _mixed(self, model: Any, splits: Any) -> dict[str, Any]:
        images, labels = splits.search.sample(self.setting.judged, self.seed)
        quantizer = MixedQuantizer(self.folder / "fp32.tflite", model, from_split(splits.train, 300, self.seed))
        ranked = sensitivities(quantizer, images, labels)
        rows = []
        for name, bits in (("float", FLOAT), ("int16", INT16)):
            for kept in range(min(self.setting.max_kept, len(ranked)) + 1):
                path = self.folder / f"mixed-{name}-{kept}.tflite"
                names = [one.layer.name for one in ranked[:kept]]
                files.write_bytes(path, quantizer.quantize(BitWidths.keeping(names, bits)))
                accuracy = verify.split_accuracy(path, splits.test)
                size = path.stat().st_size
                rows.append(
                    {"in": name, "kept": kept, "file": path.name, "size_bytes": size, "test_accuracy": accuracy}
                )
        told = [{"layer": one.layer.name, "loss": one.loss, "accuracy": one.accuracy} for one in ranked]
        return {"sensitivity": told, "files": rows}

    def time(self) -> None:
        """Times every file of the first seed that is not timed yet, in turns with the float file."""
        if self.seed:
            return
        latency = dataclasses.replace(FINAL, min_secs=0.2, num_runs=20) if _SMOKE.value else FINAL
        for path in sorted(self.folder.glob("*.tflite")):
            self._made(f"{path.stem}.latency", lambda path=path: self._latency(path, latency))

    def _latency(self, path: Path, options: LatencyOptions) -> dict[str, Any]:
        (found,), seconds = _timed(lambda: measure_files("host", [path], self.folder / "fp32.tflite", options))
        return {**found.to_json(), "seconds": seconds}

    def _latency_of(self, name: str) -> dict[str, Any]:
        found = self._read(f"{name}.latency")
        return {key: found[key] for key in _TOLD_OF_LATENCY}

    def _read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def results(self) -> Iterator[dict[str, Any]]:
        """Gives one row a file."""
        about = {"network": self.network, "budget": self.budget, "seed": self.seed, "model": self._read("network")}
        for scheme in self.schemes:
            row = {**about, **self._read(scheme)}
            timed = self.seed == 0 and "refused" not in row
            yield {**row, "latency": self._latency_of(scheme)} if timed else row
        if self.seed == 0:
            mixed = self._read("mixed")
            for number, row in enumerate(mixed["files"]):
                latency = self._latency_of(row["file"].removesuffix(".tflite"))
                told = {"sensitivity": mixed["sensitivity"]} if number == 0 else {}
                yield {**about, "scheme": "mixed", **row, "latency": latency, **told}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
