"""Devices that tests look into or that tell what they are told."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator

import tflite_bench
from tflite_bench import BenchOptions, Device, DeviceInfo, LoadedModel, Measurement, Startup
from tflite_bench.model_file import read_model_file
from tflite_bench.statistics.block import Block


class Counting(Device):
    """The host; `loads` is how many models were loaded."""

    def __init__(self) -> None:
        self._host = tflite_bench.open_device("host")
        self.loads = 0
        self.closed = False

    def info(self) -> DeviceInfo:
        return self._host.info()

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> LoadedModel:
        self.loads += 1
        return self._host.load(model, options)

    def benchmark(self, model: str | os.PathLike[str], options: BenchOptions | None = None) -> Measurement:
        return tflite_bench.interleave(self, [model], options, rounds=1)[0]

    def close(self) -> None:
        self.closed = True


class _Timed(LoadedModel):
    def __init__(self, path: str | os.PathLike[str], times_ms: Iterator[float]) -> None:
        self.file = read_model_file(path)
        self.startup = Startup(1.0, 1.0, None)
        self._times_ms = times_ms

    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        return Block.of_times(list(itertools.islice(self._times_ms, num_runs)))

    def close(self) -> None:
        pass


class Scripted(Counting):
    """Answers the n-th loading with the n-th of ``cycles``: times in milliseconds that repeat for ever."""

    def __init__(self, cycles: Iterable[Iterable[float]]) -> None:
        super().__init__()
        self._cycles = iter(cycles)

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> LoadedModel:
        self.loads += 1
        return _Timed(model, itertools.cycle(next(self._cycles)))


class Weighing(Counting):
    """Takes a millisecond for every 10,000 bytes of a file."""

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> LoadedModel:
        self.loads += 1
        median = os.path.getsize(model) / 10_000
        return _Timed(model, itertools.cycle([median, median]))
