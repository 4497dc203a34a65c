"""``tflite-bench run MODEL...``: the latency of each model, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tflite_bench.bin import option_flags, screen
from tflite_bench.device import open_device
from tflite_bench.interleave import ROUNDS, interleave
from tflite_bench.model_file import read_model_file
from tflite_bench.types import Measurement

FLAGS = flags.FlagValues()
USAGE = "MODEL.tflite [MODEL.tflite ...] [--flag=value ...]"

option_flags.define(FLAGS)


def main(paths: Sequence[str]) -> None:
    """Measures the models at ``paths`` and prints what came out, also when a later one fails."""
    if not paths:
        raise flags.Error("Expected the path of at least one .tflite file. Received none.")
    options = option_flags.options(FLAGS)
    measured: list[Measurement] = []
    with open_device(FLAGS["device"].value) as device:
        option_flags.warn_of_threads(device, options)
        for path in paths:
            read_model_file(path)
        # A model in several blocks is timed as in one; the bar moves between them.
        rounds = min(ROUNDS, options.num_runs)
        try:
            for label, path in zip(screen.labels(paths), paths, strict=True):
                with screen.progress(label, rounds) as step:
                    measured += interleave(device, [path], options, rounds, on_block=lambda done, total: step())
        finally:
            _print(paths, measured)


def _print(paths: Sequence[str], measured: Sequence[Measurement]) -> None:
    if FLAGS["json"].value:
        screen.print_json({"measurements": [one.to_json() for one in measured]})
    elif measured:
        screen.print_measurements(screen.labels(paths)[: len(measured)], measured)
