"""What measuring on a phone costs beside the inferences, and that the host's numbers are right.

    python -m benchmarks.adb

The phones are the ones of tests/phone: a daemon that the real adb client connects to, on which an inference takes a
simulated time that really passes. So what is measured is this project's and adb's own time. All is ratios within one
run: each pair is timed in turns and the median of the ratios counts, so a machine that is slower for a while slows
both sides. Writes adb.json and adb.md beside this file.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shlex
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

import tflite_bench
from tests.phone import AdbServer, Bench, Hardware, Phone, write_benchmark_model
from tflite_bench import BenchOptions, Device, Measurement
from tflite_bench.device_options import DeviceOptions
from tflite_bench.host.runtime import ONE_RELU, interpreter_class
from tflite_bench.measure.jobs import run_jobs
from tflite_bench.measure.repeat import until_ok
from tfmeta import files
from tfmeta.export.bundle import installed_versions
from tfmeta.export.tflite import export_tflite
from tfmeta.latency import LatencyOptions
from tfmeta.networks.spec import build

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns that each pair is timed.")

LATENCIES_MS = (2.0, 10.0, 50.0)
CANDIDATE_BYTES = 4 << 20
CANDIDATE_MS = 10.0
POOL, JOBS = 4, 8
NETWORKS = {
    "mobilenet_v2?width=0.5": (32, 32, 3),
    "resnet?depth=8": (32, 32, 3),
    "mobilenet_v1?width=0.25": (96, 96, 3),
}
TMP = "/data/local/tmp"
# What `tflite-bench run` does: ten blocks in one measurement.
BLOCKS = 10
OPTIONS = BenchOptions()
# What a search does with each candidate.
SEARCH = LatencyOptions().bench()


def main(argv: Sequence[str]) -> None:
    """Measures everything and writes the tables."""
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as place, AdbServer() as server, server.used():
        folder = Path(place)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        host = [_host(folder, spec, shape) for spec, shape in NETWORKS.items()]
        program = write_benchmark_model(folder)
        overheads = [_overhead(folder, server, program, latency_ms) for latency_ms in LATENCIES_MS]
        trips = _round_trips(folder, server, program)
        pool = _pool(folder, server, program)
    here = Path(__file__).parent
    load.append(os.getloadavg()[0])
    found = {"load": load, "overhead": overheads, "round_trip": trips, "pool": pool, "host": host}
    files.write_json(here / "adb.json", {**found, "versions": installed_versions()})
    files.write_text(here / "adb.md", _markdown(found))


@contextlib.contextmanager
def _phones(server: AdbServer, count: int, latency_ms: float) -> Iterator[list[Phone]]:
    with contextlib.ExitStack() as stack:
        bench = Bench(latency_us=1000 * latency_ms, time_scale=1.0, init_us=0)
        made = [stack.enter_context(Phone(Hardware(serial_number=f"P{n}"), bench=bench)) for n in range(count)]
        for phone in made:
            server.connect(phone)
        yield made
        for phone in made:
            server.adb("disconnect", phone.serial)


def _open(phones: Sequence[Phone], program: Path) -> Device:
    device = "adb:" + ",".join(phone.serial for phone in phones)
    return tflite_bench.open_device(device, DeviceOptions(benchmark_model=(f"arm64-v8a={program}",)))


def _measure(device: Device, path: Path, options: BenchOptions = OPTIONS) -> Measurement:
    return until_ok(device, [path], options, BLOCKS, retries=0)[-1][0]


def _overhead(folder: Path, server: AdbServer, program: Path, latency_ms: float) -> dict[str, Any]:
    """One measurement of a model that is on the phone already, over all inferences in it and over the timed ones."""
    model = folder / "cached.tflite"
    model.write_bytes(ONE_RELU)
    turns = []
    with _phones(server, 1, latency_ms) as (phone,), _open([phone], program) as device:
        _measure(device, model)
        for _ in range(_ROUNDS.value):
            before = phone.state.inference_secs
            start = time.perf_counter()
            one = _measure(device, model)
            secs = time.perf_counter() - start
            turns.append((secs, phone.state.inference_secs - before, one.num_runs * one.mean_ms / 1e3))
    whole, inside, timed = np.array(turns).T
    print(f"overhead at {latency_ms:g} ms: {np.median(whole / inside) - 1:.1%}", flush=True)
    return {
        "latency_ms": latency_ms,
        **_ratio(whole / inside),
        "added_secs": float(np.median(whole - inside)),
        "inside_secs": float(np.median(inside)),
        "timed_secs": float(np.median(timed)),
        "timed_ratio": float(np.median(whole / timed)),
    }


def _round_trips(folder: Path, server: AdbServer, program: Path) -> list[dict[str, Any]]:
    """A model that the phone has not seen, against adb alone doing the same, and against one plain run."""
    sizes = itertools.count(CANDIDATE_BYTES)

    def candidate() -> Path:
        path = folder / "candidate.tflite"
        path.write_bytes(ONE_RELU + os.urandom(next(sizes) - len(ONE_RELU)))
        return path

    with _phones(server, 1, CANDIDATE_MS) as (phone,), _open([phone], program) as device:
        adb = functools.partial(server.adb, "-s", phone.serial)
        adb("push", str(program), TMP)
        _measure(device, candidate())
        first = len(phone.benchmarks)
        _measure(device, candidate())
        calls = [[a for a in call if not a.startswith("--graph=")] for call in phone.benchmarks[first:]]

        def bare(path: Path, calls: Sequence[Sequence[str]]) -> None:
            adb("push", str(path), f"{TMP}/model")
            for call in calls:
                said = adb("shell", shlex.join([f"{TMP}/benchmark_model", f"--graph={TMP}/model", *call]))
                if said.returncode:
                    raise RuntimeError(said.stderr)

        same = _compared(lambda: _measure(device, candidate()), lambda: bare(candidate(), calls))
        plain = _compared(lambda: _measure(device, candidate()), lambda: bare(candidate(), [[]]))
    print(f"round trip: {same['ratio']:.2f} of the same calls, {plain['ratio']:.2f} of one call", flush=True)
    return [
        {"against": f"adb push + adb shell of the same {len(calls)} calls of benchmark_model", **same},
        {"against": "adb push + adb shell of one call of benchmark_model with its defaults", **plain},
    ]


def _pool(folder: Path, server: AdbServer, program: Path) -> dict[str, Any]:
    """Models measured a second by several phones, over those by one."""
    paths = [folder / f"job_{number}.tflite" for number in range(JOBS)]
    for number, path in enumerate(paths):
        path.write_bytes(ONE_RELU + bytes(1 + number))

    def measured(device: Device) -> None:
        jobs = [functools.partial(_measure, path=path, options=SEARCH) for path in paths]
        with contextlib.closing(run_jobs(device, jobs)) as finished:
            for _ in finished:
                pass

    ratios, times = [], []
    with (
        _phones(server, POOL + 1, CANDIDATE_MS) as (one, *several),
        _open([one], program) as device,
        _open(several, program) as pool,
    ):
        for _ in range(_ROUNDS.value):
            times.append((_seconds(lambda: measured(device)), _seconds(lambda: measured(pool))))
            ratios.append(times[-1][0] / times[-1][1])
    print(f"pool of {POOL}: {statistics.median(ratios):.2f}", flush=True)
    own, other = np.median(times, 0)
    return {"phones": POOL, "models": JOBS, **_ratio(ratios), "one_secs": float(own), "pool_secs": float(other)}


def _host(folder: Path, spec: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """The median of the device ``host`` over that of a plain loop around LiteRT's interpreter."""
    path = folder / "host.tflite"
    images = np.random.default_rng(0).uniform(0, 255, (16, *shape)).astype(np.float32)
    export_tflite(build(spec, shape, 10).model, path, scheme="fp32", reference_samples=images)
    interpreter = interpreter_class()(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    interpreter.set_tensor(detail["index"], images[:1])
    ratios, medians = [], []
    with tflite_bench.open_device("host") as device:
        for _ in range(_ROUNDS.value):
            ours_ms = device.benchmark(path, OPTIONS).median_ms
            theirs_ms = 1e3 * statistics.median(_invocations(interpreter, OPTIONS))
            ratios.append(ours_ms / theirs_ms)
            medians.append((ours_ms, theirs_ms))
    print(f"host, {spec}: {statistics.median(ratios):.3f}", flush=True)
    own, other = np.median(medians, 0)
    return {"network": spec, "image": list(shape), **_ratio(ratios), "ours_ms": float(own), "by_hand_ms": float(other)}


def _invocations(interpreter: Any, options: BenchOptions) -> list[float]:
    """Seconds of single inferences, warmed up and counted as ``options`` say."""
    for least_secs in (options.warmup_min_secs, options.min_secs):
        times: list[float] = []
        end = time.perf_counter() + least_secs
        while len(times) < options.num_runs or time.perf_counter() < end:
            start = time.perf_counter()
            interpreter.invoke()
            times.append(time.perf_counter() - start)
    return times


def _compared(ours: Callable[[], Any], theirs: Callable[[], Any]) -> dict[str, Any]:
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(_ROUNDS.value)]
    own, other = np.median(times, 0)
    return {**_ratio([a / b for a, b in times]), "ours_secs": float(own), "adb_secs": float(other)}


def _ratio(ratios: Sequence[float]) -> dict[str, Any]:
    low, high = np.quantile(ratios, [0.25, 0.75])
    return {"ratio": statistics.median(ratios), "quartiles": [float(low), float(high)]}


def _seconds(timed: Callable[[], Any]) -> float:
    start = time.perf_counter()
    timed()
    return time.perf_counter() - start


def _markdown(found: dict[str, Any]) -> str:
    lines = [
        "# Phones through adb",
        "",
        "Made by `python -m benchmarks.adb`, with the phones of tests/phone and the real adb client on "
        f"{os.cpu_count()} cores, which the phones use, too. A ratio is the median over {_ROUNDS.value} turns. A "
        f"measurement is what `tflite-bench run` does: loading with a warm-up, then {BLOCKS} blocks, each a process of "
        "`benchmark_model` with a short warm-up of its own. "
        f"{found['load'][0]:.1f} processes ran or waited in the minute before it began, {found['load'][1]:.1f} at the "
        "end: with more of them than cores the ratios are too large.",
        "",
        "## A measurement over the inferences that it contains",
        "",
        "The model is on the phone already. The rest is adb, starting the program, hashing the files, and reading the "
        "phone's state before and after. Most inferences are warm-up, at loading and in each block; the last columns "
        "have the timed ones alone, and the whole measurement over those.",
        "",
        "| An inference takes | Ratio | Quartiles | Inferences | Beside them | Of them timed | Ratio to the timed |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["overhead"]:
        lines.append(
            f"| {row['latency_ms']:g} ms | {row['ratio']:.2f} | {_quartiles(row)} | {row['inside_secs']:.2f} s | "
            f"{row['added_secs']:.2f} s | {row['timed_secs']:.2f} s | {row['timed_ratio']:.2f} |"
        )
    lines += [
        "",
        f"## A new model of {CANDIDATE_BYTES >> 20} MiB: pushed, checked and measured",
        "",
        f"An inference takes {CANDIDATE_MS:g} ms.",
        "",
        "| Against | Ratio | Quartiles | tflite_bench | adb alone |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in found["round_trip"]:
        lines.append(
            f"| {row['against']} | {row['ratio']:.2f} | {_quartiles(row)} | {row['ours_secs']:.2f} s | "
            f"{row['adb_secs']:.2f} s |"
        )
    pool = found["pool"]
    lines += [
        "",
        f"## A pool of {pool['phones']} phones",
        "",
        f"An inference takes {CANDIDATE_MS:g} ms, and a model is measured as a search does. "
        f"{pool['models']} models take {pool['one_secs']:.1f} s on one phone and {pool['pool_secs']:.1f} s on "
        f"{pool['phones']}: **{pool['ratio']:.2f} times** as many a second (quartiles {_quartiles(pool)}).",
        "",
        "## The device `host` against a loop around LiteRT's interpreter",
        "",
        "| Network | Image | Ratio of the medians | Quartiles | `host` | By hand |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["host"]:
        lines.append(
            f"| `{row['network']}` | {'x'.join(map(str, row['image'][:2]))} | {row['ratio']:.3f} | "
            f"{_quartiles(row, 3)} | {row['ours_ms']:.3f} ms | {row['by_hand_ms']:.3f} ms |"
        )
    return "\n".join(lines) + "\n"


def _quartiles(row: dict[str, Any], digits: int = 2) -> str:
    low, high = row["quartiles"]
    return f"{low:.{digits}f}–{high:.{digits}f}"


if __name__ == "__main__":
    app.run(main)
