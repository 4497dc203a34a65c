"""The device interface, and the devices by the strings that a person types.

To add a device: a file with a subclass of `Device`, and a line in `DEVICES`.
"""

from __future__ import annotations

import abc
import importlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar, cast

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.op_profile import OpProfile
from tflite_bench.conditions import Conditions
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import OptionsError
from tflite_bench.limits import Limits
from tflite_bench.model_file import ModelFile
from tflite_bench.statistics.block import Block
from tflite_bench.types import Delegation, DeviceInfo, Measurement, Startup

T = TypeVar("T")

# First word of a device string -> "module:function"; the function gets the text after the colon and
# the `DeviceOptions`.
DEVICES = {
    "adb": "tflite_bench.phone.open:open_adb",
    "binary": "tflite_bench.benchmark_model.device:open_binary",
    "host": "tflite_bench.host.device:open_host",
}


class LoadedModel(abc.ABC):
    """A model that is ready on a device and warm: it can be timed block by block.

    Attributes:
        file: the model's file.
        startup: what loading and the first inference cost.
        delegation: what the delegate took over, or None where the runtime does not tell.
    """

    file: ModelFile
    startup: Startup
    delegation: Delegation | None = None

    @property
    def stale_reason(self) -> str:
        """Why what was timed may not be what was asked for, in one sentence, asked after the last block; or empty."""
        return ""

    @abc.abstractmethod
    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        """Returns one block of inferences.

        The block goes on until it has both ``num_runs`` inferences and ``min_secs`` seconds, or
        ``max_secs``.

        Raises:
            ModelFileError: the model stops with an error.
            DeviceLostError: the device went away; the block has to be run again.
            DeviceError: the device fails.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Gives up what the model holds on the device; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Device(abc.ABC):
    """Something that runs TFLite models. A context manager: leaving it gives up what it holds.

    Attributes:
        replaceable: whether another one of a pool takes over what this one cannot measure, as it is throttled.
    """

    replaceable = False

    @abc.abstractmethod
    def info(self) -> DeviceInfo:
        """Returns what latencies on this device depend on."""

    @abc.abstractmethod
    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> LoadedModel:
        """Returns the model, loaded and warmed up as ``options`` say.

        Raises:
            ModelFileError: the file is no model, or the runtime cannot run it.
            DeviceError: the device fails.
        """

    def benchmark(
        self, model: str | os.PathLike[str], options: BenchOptions | None = None, rounds: int = 1
    ) -> Measurement:
        """Returns the latency of ``model``: loaded, warmed up and timed in ``rounds`` uninterrupted blocks.

        Raises:
            ModelFileError: the file is no model, or the runtime cannot run it.
            DeviceError: the device fails.
        """
        from tflite_bench.measure.interleave import interleave  # which imports this module

        return interleave(self, [model], options, rounds)[0]

    def profile(self, model: str | os.PathLike[str], options: BenchOptions | None = None) -> OpProfile:
        """Returns how long each operator of ``model`` takes, where the device's runtime tells.

        Raises:
            OptionsError: this kind of device cannot tell.
            ModelFileError: the file is no model, or the runtime cannot run it.
            DeviceError: the device fails.
        """
        raise OptionsError(
            f"The device {self.info().kind!r} does not tell the times of single operators. "
            "Take one that runs benchmark_model: --device=binary:PATH or --device=adb."
        )

    def conditions(self) -> Conditions | None:
        """Returns the device's state now, or None where it does not tell."""
        return None

    @property
    def limits(self) -> Limits:
        """How hot and how slow the device may be to be believed."""
        return Limits()

    def settle(self, pin: str = "none") -> None:
        """Waits, with a bound, until the device is fit to measure: cool enough, and there.

        Args:
            pin: ``BenchOptions.pin`` of what is measured next: other cores than these are not waited for.

        Raises:
            DeviceLostError: it did not come back in time.
        """
        return None

    @property
    def slots(self) -> int:
        """How many jobs run at the same time: 1, or the number of devices in a pool."""
        return 1

    def run_job(self, job: Callable[[Device], T]) -> T:
        """Returns ``job(device)`` with a device that nothing else uses meanwhile: this one, or one of a pool.

        All that ``job`` measures is measured on one and the same device. It is called again, maybe with another
        device, where the device fails; so it should do nothing besides measuring.

        Raises:
            BenchError: what ``job`` raised.
        """
        return job(self)

    def interrupt(self) -> None:
        """Lets what other threads do with the device end soon, with a `DeviceError`; then only `close` is allowed.

        For a person who pressed Ctrl-C while jobs run. Where it does nothing, they end when they are done.
        """
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Gives up what the device holds; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_device(text: str, options: DeviceOptions | None = None) -> Device:
    """Returns the device of a device string, such as ``host``.

    Args:
        text: the device string.
        options: how to reach it; the defaults of `DeviceOptions` when None.

    Raises:
        OptionsError: the string names no device of this version.
        DeviceError: the device cannot be reached.
    """
    kind, colon, argument = text.strip().partition(":")
    if kind not in DEVICES:
        known = ", ".join(sorted(DEVICES))
        raise OptionsError(f"Expected a device among: {known} (this version measures on no other). Received: {text!r}.")
    if colon and not argument:
        raise OptionsError(f"Expected something after the colon of the device. Received: {text!r}.")
    module, _, function = DEVICES[kind].partition(":")
    return cast(Device, getattr(importlib.import_module(module), function)(argument, options or DeviceOptions()))
