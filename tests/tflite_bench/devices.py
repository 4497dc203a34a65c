"""Devices that do as a test tells them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from tests.tflite_bench.blocks import KINDS
from tflite_bench.bench_options import BenchOptions
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device, LoadedModel
from tflite_bench.model_file import read_model_file
from tflite_bench.statistics.block import Block
from tflite_bench.types import Delegation, DeviceInfo, Startup


class Fake(Device):
    """A phone of paper. Every inference takes what ``level_ms`` says, and time goes by on its own clock.

    Args:
        level_ms: (name of the model, seconds on the clock) -> milliseconds.
        serial: its serial number.
        name: its model.
        kind: "times" or "statistics": what its blocks tell.
        faults: taken one by one, at each loading of a model and each block: an error is raised, None is none.
        states: its conditions, one by one; the last one stays.
    """

    def __init__(
        self,
        level_ms: Callable[[str, float], float] = lambda name, secs: 1.0,
        *,
        serial: str = "",
        name: str = "Paper",
        kind: str = "times",
        faults: Iterable[BaseException | None] = (),
        states: Iterable[Conditions] = (),
        delegation: Delegation | None = None,
    ) -> None:
        self.level_ms, self.serial, self.name, self.kind = level_ms, serial, name, kind
        self.delegation = delegation
        self.secs = 0.0
        self.runs = 0  # inferences since it was last waited for
        self.notes: list[str] = []
        self.closed = self.interrupted = False
        self.stale_reason = ""
        self._faults, self._states = iter(faults), iter(states)
        self._state: Conditions | None = None

    def info(self) -> DeviceInfo:
        return DeviceInfo("fake", self.name, "none", "none", 4, "none", "1", serial=self.serial)

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> LoadedModel:
        self.fail("load")
        return _Page(self, model)

    def conditions(self) -> Conditions | None:
        self._state = next(self._states, self._state)
        return self._state

    def settle(self, pin: str = "none") -> None:
        self.notes.append("settle" if pin == "none" else f"settle {pin}")
        self.runs = 0

    def interrupt(self) -> None:
        self.interrupted = True

    def close(self) -> None:
        self.closed = True

    def fail(self, note: str) -> None:
        self.notes.append(note)
        fault = next(self._faults, None)
        if fault is not None:
            raise fault


class _Page(LoadedModel):
    def __init__(self, device: Fake, model: str | os.PathLike[str]) -> None:
        self.file = read_model_file(model)
        self.startup = Startup(1.0, 1.0, 2.0)
        self.delegation = device.delegation
        self._device = device

    @property
    def stale_reason(self) -> str:
        return self._device.stale_reason

    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        self._device.fail(f"run {self.file.path.stem}")
        times: list[float] = []
        while len(times) < num_runs or sum(times) < min_secs * 1000:
            times.append(self._device.level_ms(self.file.path.stem, self._device.secs))
            self._device.secs += times[-1] / 1000
            self._device.runs += 1
        return KINDS[self._device.kind](times)

    def close(self) -> None:
        self._device.notes.append("close")
