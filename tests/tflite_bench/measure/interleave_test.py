from __future__ import annotations

import os
import pathlib

import pytest

import tflite_bench
from tests.tflite_bench.devices import Fake
from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import Device, LoadedModel
from tflite_bench.errors import ModelFileError, OptionsError
from tflite_bench.host.device import HostDevice
from tflite_bench.measure.interleave import interleave
from tflite_bench.model_file import read_model_file
from tflite_bench.statistics import bootstrap
from tflite_bench.statistics.block import Block
from tflite_bench.types import DeviceInfo, Measurement, Startup

Models = dict[str, pathlib.Path]
QUICK = BenchOptions(num_runs=23, min_secs=0, warmup_min_secs=0)


class _Diary(Device):
    """A device that notes what it is asked to do; every inference takes 1 ms on its clock."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def info(self) -> DeviceInfo:
        return DeviceInfo("diary", "paper", "none", "none", 1, "none", "1")

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> _Page:
        return _Page(self, pathlib.Path(model))

    def benchmark(self, model: str | os.PathLike[str], options: BenchOptions | None = None) -> Measurement:
        return interleave(self, [model], options, rounds=1)[0]

    def close(self) -> None:
        self.notes.append("closed")


class _Page(LoadedModel):
    def __init__(self, diary: _Diary, path: pathlib.Path) -> None:
        self.file = read_model_file(path)
        self.startup = Startup(1.0, 1.0, None)
        self._notes = diary.notes
        self._notes.append(f"load {path.stem}")

    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        self._notes.append(f"run {self.file.path.stem}")
        return Block.of_times([1.0] * num_runs)

    def close(self) -> None:
        self._notes.append(f"close {self.file.path.stem}")


def test_models_run_in_turns_that_reverse_and_are_closed(models: Models) -> None:
    with _Diary() as diary:
        interleave(diary, [models["small"], models["large"]], QUICK, rounds=3)
    small, large = "run small", "run large"
    assert diary.notes == [
        *("load small", "load large"),
        *(small, large, large, small, small, large),
        *("close large", "close small", "closed"),
    ]


@pytest.mark.parametrize("rounds", [1, 2, 5, 10, 23])
def test_the_rounds_share_the_runs_exactly(models: Models, rounds: int) -> None:
    (m,) = interleave(_Diary(), [models["small"]], QUICK, rounds)
    assert m.num_runs == QUICK.num_runs
    assert len(m.blocks_ms) == rounds
    assert max(map(len, m.blocks_ms)) - min(map(len, m.blocks_ms)) <= 1


def test_more_rounds_than_runs_give_one_run_each(models: Models) -> None:
    (m,) = interleave(_Diary(), [models["small"]], QUICK, 30)
    assert all(len(block) == 1 for block in m.blocks_ms) and len(m.blocks_ms) == 30


def test_progress_is_told_after_each_block(models: Models) -> None:
    told: list[tuple[int, int]] = []
    paths = [models["small"], models["large"]]
    interleave(_Diary(), paths, QUICK, 2, on_block=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_on_the_host_the_measurements_come_in_the_order_of_the_models(models: Models) -> None:
    names = ["large", "small", "large"]
    with HostDevice() as device:
        measured = interleave(device, [models[name] for name in names], QUICK, rounds=5)
    assert [m.model_name for m in measured] == [f"{name}.tflite" for name in names]
    assert all(m.num_runs == QUICK.num_runs for m in measured)
    small, large = measured[1], measured[0]
    # 64 times the multiply-adds on the same machine in turns: not a matter of milliseconds.
    assert bootstrap.compare(small.blocks_ms, large.blocks_ms).conclusion == bootstrap.SLOWER


def test_nothing_is_loaded_when_one_file_is_no_model(models: Models) -> None:
    diary = _Diary()
    with pytest.raises(ModelFileError, match="identifier TFL3"):
        interleave(diary, [models["small"], models["garbage"]], QUICK)
    assert diary.notes == []


def test_no_models_or_no_rounds_are_an_error(models: Models) -> None:
    with pytest.raises(OptionsError, match="Received: 0 models"):
        interleave(_Diary(), [], QUICK)
    with pytest.raises(OptionsError, match="0 rounds"):
        interleave(_Diary(), [models["small"]], QUICK, rounds=0)


def test_the_package_offers_the_same_function() -> None:
    assert tflite_bench.interleave is interleave


@pytest.mark.parametrize("pin", ["big", "0x3"])
def test_a_device_is_waited_for_on_the_cores_that_are_pinned(pin: str, models: Models) -> None:
    device = Fake()
    interleave(device, [models["small"]], BenchOptions(num_runs=2, min_secs=0, pin=pin), rounds=1)
    assert device.notes[0] == f"settle {pin}"
