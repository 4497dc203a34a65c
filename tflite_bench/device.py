"""The device interface, and the devices by the strings that a person types.

To add a device: a file with a subclass of `Device`, and a line in `DEVICES`.
"""

from __future__ import annotations

import abc
import importlib
import os
from types import TracebackType
from typing import Self, cast

from tflite_bench.errors import OptionsError
from tflite_bench.model_file import ModelFile
from tflite_bench.types import BenchOptions, DeviceInfo, Measurement, Startup

# First word of a device string -> "module:function"; the function gets the text after the colon.
DEVICES = {
    "host": "tflite_bench.host:open_host",
}


class LoadedModel(abc.ABC):
    """A model that is ready on a device and warm: it can be timed block by block.

    Attributes:
        file: the model's file.
        startup: what loading and the first inference cost.
    """

    file: ModelFile
    startup: Startup

    @abc.abstractmethod
    def run(self, num_runs: int, min_secs: float, max_secs: float) -> tuple[float, ...]:
        """Returns the times of one block of inferences in milliseconds, in order.

        The block goes on until it has both ``num_runs`` inferences and ``min_secs`` seconds, or
        ``max_secs``.

        Raises:
            ModelFileError: the model stops with an error.
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
    """Something that runs TFLite models. A context manager: leaving it gives up what it holds."""

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

    @abc.abstractmethod
    def benchmark(self, model: str | os.PathLike[str], options: BenchOptions | None = None) -> Measurement:
        """Returns the latency of ``model``: loaded, warmed up and timed in one uninterrupted block.

        Raises:
            ModelFileError: the file is no model, or the runtime cannot run it.
            DeviceError: the device fails.
        """

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


def open_device(text: str) -> Device:
    """Returns the device of a device string, such as ``host``.

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
    return cast(Device, getattr(importlib.import_module(module), function)(argument))
