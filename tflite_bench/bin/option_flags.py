"""The flags that ``BenchOptions`` and the device are made of, shared by the verbs."""

from __future__ import annotations

import sys

from absl import flags

from tflite_bench.device import DEVICES, Device
from tflite_bench.types import BenchOptions

_DEFAULTS = BenchOptions()


def define(values: flags.FlagValues) -> None:
    """Adds the flags to ``values``, with the defaults of `BenchOptions`, which also checks them."""
    known = ", ".join(sorted(DEVICES))
    number, seconds = flags.DEFINE_integer, flags.DEFINE_float
    flags.DEFINE_string("device", "host", f"Where to measure: {known}.", flag_values=values)
    number("threads", _DEFAULTS.threads, "Threads of the CPU kernels.", flag_values=values)
    number("num_runs", _DEFAULTS.num_runs, "Least number of timed inferences.", flag_values=values)
    seconds("min_secs", _DEFAULTS.min_secs, "Least seconds of timing.", flag_values=values)
    seconds("max_secs", _DEFAULTS.max_secs, "Most seconds of timing.", flag_values=values)
    number("warmup_runs", _DEFAULTS.warmup_runs, "Least inferences before.", flag_values=values)
    seconds("warmup_min_secs", _DEFAULTS.warmup_min_secs, "Least seconds before.", flag_values=values)
    number("seed", _DEFAULTS.seed, "Seed of the random inputs.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print JSON and nothing else.", flag_values=values)


def options(values: flags.FlagValues) -> BenchOptions:
    """Returns the options that the parsed flags ask for.

    Raises:
        OptionsError: a value is out of its range.
    """
    return BenchOptions(
        threads=values["threads"].value,
        num_runs=values["num_runs"].value,
        min_secs=values["min_secs"].value,
        max_secs=values["max_secs"].value,
        warmup_runs=values["warmup_runs"].value,
        warmup_min_secs=values["warmup_min_secs"].value,
        seed=values["seed"].value,
    )


def warn_of_threads(device: Device, asked: BenchOptions) -> None:
    """Says on standard error when there are more threads than cores."""
    cores = device.info().cores
    if asked.threads > cores:
        print(
            f"Note: {asked.threads} threads share {cores} cores; that is slower than {cores} threads and noisier.",
            file=sys.stderr,
        )
