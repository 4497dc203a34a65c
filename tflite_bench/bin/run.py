"""``tflite-bench run MODEL...``: the latency of each model, one after the other, or over time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Sequence

from absl import flags

from tflite_bench.bench_options import BenchOptions
from tflite_bench.bin import app, curves, option_flags, screen
from tflite_bench.device import Device, open_device
from tflite_bench.measure.interleave import ROUNDS
from tflite_bench.measure.jobs import run_jobs
from tflite_bench.measure.reference import EVERY, ReferenceRun, measure_with_reference
from tflite_bench.measure.repeat import until_ok
from tflite_bench.measure.sustained import Sustained, sustain
from tflite_bench.model_file import read_model_file
from tflite_bench.types import Measurement

FLAGS = flags.FlagValues()
USAGE = "MODEL.tflite [MODEL.tflite ...] [--flag=value ...]"

option_flags.define(FLAGS)
option_flags.define_retries(FLAGS)
option_flags.define_require_ok(FLAGS)
_REFERENCE = flags.DEFINE_string(
    "reference", None, "A .tflite file that is measured in between, to see the device drift.", flag_values=FLAGS
)
_EVERY = flags.DEFINE_integer(
    "reference_every", EVERY, "Models between two measurements of the reference.", flag_values=FLAGS
)
_SUSTAINED = flags.DEFINE(
    option_flags.Duration(),
    "sustained",
    None,
    "Run each model over and over for so long.",
    flag_values=FLAGS,
)
_PLOT = flags.DEFINE_string("plot", None, "Picture of --sustained to write: .png, .svg or .pdf.", flag_values=FLAGS)


def main(paths: Sequence[str]) -> None:
    """Measures the models at ``paths`` and prints what came out, also when a later one fails."""
    if not paths:
        raise flags.Error("Expected the path of at least one .tflite file. Received none.")
    if _SUSTAINED.value is not None and _REFERENCE.value is not None:
        raise flags.Error("Expected either --sustained or --reference. Received both.")
    if _PLOT.value is not None:
        if _SUSTAINED.value is None:
            raise flags.Error("--plot draws latency over time: give --sustained=10m too.")
        curves.check_picture(_PLOT.value)
    options, device_options = option_flags.options(FLAGS), option_flags.device_options(FLAGS)
    for path in (*paths, *([_REFERENCE.value] if _REFERENCE.value is not None else [])):
        read_model_file(path)
    with open_device(FLAGS["device"].value, device_options) as device:
        option_flags.warn_of_threads(device, options)
        if _SUSTAINED.value is not None:
            _sustain(device, paths, options, _SUSTAINED.value)
        elif _REFERENCE.value is not None:
            _beside_reference(device, paths, options, _REFERENCE.value)
        else:
            _measure(device, paths, options)


def _measure(device: Device, paths: Sequence[str], options: BenchOptions) -> None:
    # A model in several blocks is timed as in one; the bar moves between them.
    rounds = min(ROUNDS, options.num_runs)
    found: dict[int, Measurement] = {}
    try:
        with screen.progress("measuring", rounds * len(paths)) as show:

            def job(one: Device, place: int) -> Measurement:
                (last,) = until_ok(
                    one,
                    [paths[place]],
                    options,
                    rounds,
                    FLAGS["retries"].value,
                    on_block=lambda done, total: show(place, done),
                )[-1]
                return last

            jobs = [functools.partial(job, place=place) for place in range(len(paths))]
            with contextlib.closing(run_jobs(device, jobs)) as finished:
                found.update(finished)
    finally:
        places = sorted(found)
        labels = screen.labels(paths)
        screen.print_results(
            [labels[place] for place in places], [found[place] for place in places], FLAGS["json"].value
        )
    _check(found.values())


def _beside_reference(device: Device, paths: Sequence[str], options: BenchOptions, reference: str) -> None:
    found = ReferenceRun((), ())
    try:
        with screen.progress("measuring", len(paths)) as show:

            def keep(run: ReferenceRun, total: int) -> None:
                nonlocal found
                del total
                found = run
                show(0, len(run.checked))

            found = measure_with_reference(
                device,
                paths,
                reference,
                options,
                every=_EVERY.value,
                rounds=min(ROUNDS, options.num_runs),
                retries=FLAGS["retries"].value,
                on_measured=keep,
            )
    finally:
        screen.print_reference_run(screen.labels(paths)[: len(found.checked)], found, FLAGS["json"].value)
    _check([one.measurement for one in found.checked])


def _check(measured: Iterable[Measurement]) -> None:
    if FLAGS["require_ok"].value:
        app.require_ok(measured)


def _sustain(device: Device, paths: Sequence[str], options: BenchOptions, duration_secs: float) -> None:
    runs: list[Sustained] = []
    labels = screen.labels(paths)
    try:
        for label, path in zip(labels, paths, strict=True):
            so_far: dict[str, Sustained] = {}
            try:
                with screen.progress(label, round(duration_secs)) as show:
                    sustain(
                        device,
                        path,
                        duration_secs,
                        options,
                        on_block=lambda done, total: show(0, round(done)),
                        on_point=functools.partial(so_far.__setitem__, "run"),
                    )
            finally:
                runs += so_far.values()
                if so_far and not FLAGS["json"].value:
                    screen.print_sustained(label, so_far["run"])
    finally:
        if FLAGS["json"].value:
            screen.print_json({"sustained": [run.to_json() for run in runs]})
        if _PLOT.value is not None and runs:
            curves.write_picture(runs, labels[: len(runs)], _PLOT.value)
            if not FLAGS["json"].value:
                print(f"Plot: {_PLOT.value}")
