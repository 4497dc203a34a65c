"""The flags that ``BenchOptions`` and ``DeviceOptions`` are made of, shared by all verbs, also those of other programs.

Each function that defines flags adds them to ``values``, with the defaults of the option classes, which also check
them. The function beside it returns the options when the flags are parsed.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from tflite_bench.bench_options import DELEGATES, PINS, BenchOptions
from tflite_bench.device import DEVICES, Device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import OptionsError
from tflite_bench.measure.repeat import RETRIES

_DEVICE = {
    "adb": "Path of the adb client (that of the package adbutils, else the one on PATH).",
    "benchmark_model": "Path of a benchmark_model executable; repeat it for several ABIs (what `fetch` has cached).",
    "fixed_performance": "Ask the phone for its fixed-performance mode, and put it back afterwards.",
    "keep_awake": "Keep the phone's screen on while measuring.",
    "max_thermal_status": "Wait for a phone above this thermal status, 0 to 6.",
    "max_temperature_c": "Wait for a phone that is hotter than this, in degrees Celsius.",
    "min_clock_share": "Wait for a phone whose cores may not reach this share of their top clock; 0 takes any clock.",
    "cool_secs": "Longest wait for a phone to cool down, in seconds.",
    "lost_secs": "Longest wait for a phone that went away, in seconds.",
    "hang_secs": "How long a command on the phone may be silent beyond what it is meant to take, in seconds.",
    "keep_files": "Leave what was pushed on the phone, for the next time.",
}
_PLACE = {
    "threads": "Threads of the CPU kernels.",
    "pin": f"Cores to run on: {', '.join(PINS)}, or a hexadecimal mask such as 0xf0.",
    "delegate": f"What runs the operators: {', '.join(DELEGATES)} (NNAPI is deprecated since Android 15).",
}
_TIMING = {
    "num_runs": "Least number of timed inferences.",
    "min_secs": "Least seconds of timing.",
    "max_secs": "Most seconds of timing.",
    "warmup_runs": "Least inferences before.",
    "warmup_min_secs": "Least seconds before.",
    "seed": "Seed of the random inputs, where the device lets them be chosen.",
    "require_full_delegation": "Fail where the delegate leaves operators to the plain kernels.",
}
_SECS = {"": 1, "s": 1, "m": 60, "h": 3600}


def define(values: flags.FlagValues) -> None:
    """Adds where and how to measure: the flags of `device_options` and `options`, and ``--json``."""
    define_device(values)
    _define(values, BenchOptions, {**_PLACE, **_TIMING})
    flags.DEFINE_bool("json", False, "Print JSON and nothing else.", flag_values=values)


def define_device(values: flags.FlagValues, default: str = "host") -> None:
    """Adds ``--device`` and the flags of `device_options`."""
    known = ", ".join(sorted(DEVICES))
    text = f"Where to measure: {known}; adb alone is the only phone, adb:SERIAL,SERIAL or adb:all a pool."
    flags.DEFINE_string("device", default, text, flag_values=values)
    _define(values, DeviceOptions, _DEVICE)


def define_place(values: flags.FlagValues) -> None:
    """Adds the flags of `place`."""
    _define(values, BenchOptions, _PLACE)


def define_retries(values: flags.FlagValues) -> None:
    """Adds ``--retries``."""
    text = "How often to measure again what is not OK."
    flags.DEFINE_integer("retries", RETRIES, text, lower_bound=0, flag_values=values)


def define_require_ok(values: flags.FlagValues) -> None:
    """Adds ``--require_ok``, for verbs whose measurements have a verdict; their ``main`` calls `app.require_ok`."""
    flags.DEFINE_bool("require_ok", False, "Exit code 4 where a verdict is not OK.", flag_values=values)


def device_options(values: flags.FlagValues) -> DeviceOptions:
    """Returns how to reach the device that ``--device`` names.

    Raises:
        OptionsError: a value is out of its range.
    """
    found = _values(values, _DEVICE)
    return DeviceOptions(**{**found, "benchmark_model": tuple(found["benchmark_model"])})


def place(values: flags.FlagValues) -> dict[str, Any]:
    """Returns threads, pin and delegate, by the names that `BenchOptions` has for them."""
    return _values(values, _PLACE)


def options(values: flags.FlagValues) -> BenchOptions:
    """Returns how to time a model.

    Raises:
        OptionsError: a value is out of its range.
    """
    return BenchOptions(**_values(values, {**_PLACE, **_TIMING}))


def warn_of_threads(device: Device, asked: BenchOptions) -> None:
    """Says on standard error when there are more threads than cores."""
    cores = device.info().cores
    if asked.threads > cores:
        print(
            f"Note: {asked.threads} threads share {cores} cores; that is slower than {cores} threads and noisier.",
            file=sys.stderr,
        )


class Duration(flags.ArgumentParser):
    """Parses "10m", "90s" or "1.5h" into seconds."""

    syntactic_help = "a duration such as 90s, 10m or 1h"

    def parse(self, argument: str | float) -> float:
        """Returns the seconds."""
        match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)", str(argument).strip())
        if match is None or float(match[1]) <= 0:
            raise ValueError(f"Expected {self.syntactic_help}. Received: {argument!r}.")
        return float(match[1]) * _SECS[match[2]]

    def flag_type(self) -> str:
        """Returns the name of the type in messages."""
        return "duration"


def _define(values: flags.FlagValues, kind: Any, texts: Mapping[str, str]) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    for name, text in texts.items():
        default = defaults[name]
        if isinstance(default, bool):
            flags.DEFINE_bool(name, default, text, flag_values=values)
        elif isinstance(default, int):
            flags.DEFINE_integer(name, default, text, flag_values=values)
        elif isinstance(default, float):
            flags.DEFINE_float(name, default, text, flag_values=values)
        elif isinstance(default, tuple):
            flags.DEFINE_multi_string(name, list(default), text, flag_values=values)
        else:
            flags.DEFINE_string(name, default, text, flag_values=values)


def _values(values: flags.FlagValues, names: Mapping[str, str] | Sequence[str]) -> dict[str, Any]:
    return {name: values[name].value for name in names}


def check_output(path: str | os.PathLike[str], what: str) -> None:
    """Checks that a file can be written before minutes are spent on what will be in it.

    Args:
        path: the file.
        what: what will be in it, for the error text.

    Raises:
        OptionsError: there is no such folder, or the file cannot be written.
    """
    target = pathlib.Path(path)
    if not target.absolute().parent.is_dir():
        raise OptionsError(f"Expected a folder for {what}. There is none at {target.absolute().parent}.")
    existed = target.exists()
    try:
        target.open("ab").close()
    except OSError as error:
        raise OptionsError(
            f"Expected a file that can be written for {what}. Received: {path} ({error.strerror})."
        ) from error
    if not existed:
        target.unlink()
