"""The embedded device: times models in this process with the LiteRT interpreter."""

from __future__ import annotations

import array
import gc
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tflite_bench.bench_options import BenchOptions
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device, LoadedModel
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import BenchError, DeviceError, ModelFileError, OptionsError
from tflite_bench.host import cores as host_cores
from tflite_bench.host.info import host_info
from tflite_bench.host.inputs import random_input
from tflite_bench.host.memory import PeakMemory
from tflite_bench.host.runtime import interpreter_class, resolver_type
from tflite_bench.model_file import ModelFile, read_model_file
from tflite_bench.statistics.block import Block
from tflite_bench.types import DeviceInfo, Startup

_NS_PER_MS = 1e6
_NS_PER_SEC = 1e9
# Another model ran just before a block: its first inferences pay for caches and sleeping threads,
# not for this model.
_BLOCK_WARMUP_RUNS = 1
_BLOCK_WARMUP_SECS = 0.01
# The runtime names an operation that it lacks "custom op: X." or "Node number 3 (X) failed".
_CUSTOM_OP = re.compile(r"unresolved custom op: (\S+?)\.?\s")
_FAILED_NODE = re.compile(r"Node number \d+ \((\w+)\) failed")


class HostDevice(Device):
    """This machine."""

    def info(self) -> DeviceInfo:
        """Returns the description of this machine."""
        return host_info()

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> HostModel:
        """Returns the model in a LiteRT interpreter, warmed up."""
        return HostModel(read_model_file(model), options)

    def conditions(self) -> Conditions | None:
        """Returns the clocks of the cores, or None where the system does not tell."""
        return host_cores.clocks()

    def close(self) -> None:
        """Does nothing: loaded models hold what there is to hold."""


class HostModel(LoadedModel):
    """A model in its own interpreter with its own threads."""

    def __init__(self, file: ModelFile, options: BenchOptions) -> None:
        """Loads the model, fills its inputs and warms it up.

        Raises:
            ModelFileError: the runtime refuses the file or cannot run it.
            OptionsError: a delegate that this machine has not, or cores that it cannot pin.
            DeviceError: LiteRT is not installed.
        """
        _check_delegate(options)
        _check_name(file)
        self._cores = host_cores.chosen_cores(options.pin)
        make_interpreter = interpreter_class()
        self.file = file
        # The interpreter's own threads are started here, and stay on the cores they are started on.
        with _told_as_model_error(file), host_cores.on_cores(self._cores):
            with PeakMemory() as memory:
                begin = time.perf_counter_ns()
                self._interpreter = make_interpreter(
                    model_path=str(file.path),
                    num_threads=options.threads,
                    experimental_op_resolver_type=resolver_type(options.delegate),
                )
                # Before allocation, which fails on placeholder sizes with a text about delegates.
                _require_static_shapes(self._interpreter, file)
                self._interpreter.allocate_tensors()
                init_ms = (time.perf_counter_ns() - begin) / _NS_PER_MS
                _fill_inputs(self._interpreter, file, np.random.default_rng(options.seed))
                invoke = self._interpreter.invoke
                first_ms = _timed(invoke, 1, 0.0, options.max_secs)[0]
            warmup = _timed(invoke, options.warmup_runs, options.warmup_min_secs, options.max_secs)
        self.startup = Startup(init_ms, first_ms, memory.mb, warmup=Block.of_times(warmup) if warmup else None)

    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        """Returns one block with its single times, after a short warm-up of its own."""
        if self._interpreter is None:
            raise DeviceError(f"{self.file.path.name} was closed: load it again.")
        invoke = self._interpreter.invoke
        with _told_as_model_error(self.file), host_cores.on_cores(self._cores):
            _timed(invoke, _BLOCK_WARMUP_RUNS, _BLOCK_WARMUP_SECS, max_secs)
            return Block.of_times(_timed(invoke, num_runs, min_secs, max_secs))

    def close(self) -> None:
        """Frees the interpreter."""
        self._interpreter = None


def open_host(argument: str, options: DeviceOptions) -> HostDevice:
    """Returns this machine as a device; ``host`` takes nothing after a colon, and needs no options."""
    del options
    if argument:
        raise OptionsError(f"Expected the device 'host' alone. Received: 'host:{argument}'.")
    return HostDevice()


def _check_delegate(options: BenchOptions) -> None:
    if options.delegate not in ("xnnpack", "none"):
        raise OptionsError(
            "Expected delegate xnnpack or none on the device 'host', which has no other. "
            f"Received: delegate={options.delegate!r}. Measure it on a phone: --device=adb."
        )
    if options.require_full_delegation:
        raise OptionsError(
            "The device 'host' does not tell what a delegate took over, so it cannot require_full_delegation. "
            "Leave that out, or measure with benchmark_model: --device=binary:PATH."
        )


def _check_name(file: ModelFile) -> None:
    try:
        str(file.path).encode()
    except UnicodeEncodeError as error:
        raise ModelFileError(
            f"Expected a path in UTF-8, as LiteRT opens no other. Received: {file.path}. Rename the file or its folder."
        ) from error


@contextmanager
def _told_as_model_error(file: ModelFile) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, BenchError):
            raise
        text = " ".join(str(error).split())
        missing = _CUSTOM_OP.search(text + " ") or _FAILED_NODE.search(text)
        name = missing.group(1) if missing else "unknown"
        if "Select TensorFlow op" in text:
            problem = (
                f"it needs the TensorFlow operation {name}, which no plain TFLite runtime has. "
                "Convert it again without SELECT_TF_OPS, or replace that operation in the network."
            )
        elif "unresolved custom op" in text:
            problem = f"it needs the custom operation {name}, which this runtime does not have."
        elif "not a valid Flatbuffer" in text:
            problem = "it is damaged or cut off. Export or copy it again."
        else:
            problem = f"LiteRT says: {text}"
        raise ModelFileError(f"Cannot run {file.path}: {problem}") from error


def _require_static_shapes(interpreter: Any, file: ModelFile) -> None:
    for detail in interpreter.get_input_details():
        shape = [int(size) for size in detail["shape_signature"]]
        # A free batch (the first size only) is timed as one image, as LiteRT itself does.
        if any(size < 0 for size in shape[1:]):
            raise ModelFileError(
                f"Cannot run {file.path}: expected inputs of a fixed size. Received: input "
                f"{detail['name']!r} of shape {shape}. Export the model with a fixed input size."
            )


def _fill_inputs(interpreter: Any, file: ModelFile, rng: np.random.Generator) -> None:
    for detail in interpreter.get_input_details():
        try:
            values = random_input(detail["shape"], detail["dtype"], rng)
        except TypeError as error:
            raise ModelFileError(f"Cannot run {file.path}: input {detail['name']!r}: {error}") from error
        interpreter.set_tensor(detail["index"], values)


def _timed(invoke: Callable[[], None], num_runs: int, min_secs: float, max_secs: float) -> list[float]:
    """Returns times in milliseconds until ``num_runs`` and ``min_secs``, or until ``max_secs``."""
    clock = time.perf_counter_ns
    least_ns, most_ns = min_secs * _NS_PER_SEC, max_secs * _NS_PER_SEC
    times_ns = array.array("q")  # a list of numbers would fill the caches it shares with the model
    # The collector would strike between two inferences and leave the second one cold caches.
    collecting = gc.isenabled()
    gc.disable()
    try:
        begin = now = clock()
        while (len(times_ns) < num_runs or now - begin < least_ns) and now - begin <= most_ns:
            start = clock()
            invoke()
            now = clock()
            times_ns.append(now - start)
    finally:
        if collecting:
            gc.enable()
    return [nanoseconds / _NS_PER_MS for nanoseconds in times_ns]
