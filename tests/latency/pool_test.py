"""Latencies from several devices at once are those of one device, whatever the devices do meanwhile."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time

import pytest

from tests.tflite_bench.devices import Fake
from tflite_bench import BenchOptions, DeviceError, LoadedModel, Pool
from tflite_bench.errors import DeviceLostError, OutputError
from tflite_bench.model_file import read_model_file
from tfmeta.graph.space import SearchSpace
from tfmeta.latency import Latency, LatencyOptions, measure_files
from tfmeta.latency.conversion import structure_file
from tfmeta.latency.model_files import ModelFiles
from tfmeta.objectives import Constraint, Prepared
from tfmeta.search import search
from tfmeta.search.random import RandomOptions
from tfmeta.store import Store

QUICK = LatencyOptions(rounds=5, num_runs=10, min_secs=0.0, warmup_secs=0.0, retries=0)


class Sized(Fake):
    """A phone on which an inference takes a millisecond for each 10 kB of the file, times ``factor``."""

    def __init__(self, serial: str, factor: float = 1.0, **changes) -> None:
        super().__init__(lambda name, _: self.factor * self.sizes[name] / 10_000, serial=serial, **changes)
        self.factor = factor
        self.sizes: dict[str, int] = {}
        self.measured: list[str] = []

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> LoadedModel:
        loaded = super().load(model, options)
        self.sizes[loaded.file.path.stem] = loaded.file.size_bytes
        self.measured.append(loaded.file.path.stem)
        time.sleep(0.01)  # so that the others get their turn
        return loaded


@pytest.fixture(scope="module")
def structures(space: SearchSpace):
    return [space.full(), *(space.uniform(ratio) for ratio in (0.125, 0.25, 0.375, 0.5, 0.625, 0.75))]


@pytest.fixture(scope="module")
def expected(graph, structures, converted):
    """What one device answers."""
    with Latency(graph, Sized("S"), QUICK, converted) as latency:
        return latency(structures)


def of_pool(devices, **changes) -> Pool:
    return Pool(devices, **{"rest_secs": 0.01, "lost_secs": 5.0, **changes})


def test_a_pool_of_unlike_speed_answers_like_one_device(graph, structures, converted, expected):
    # Two phones of one model never run at quite the same clock; each measures beside the reference.
    devices = [Sized("A"), Sized("B", 1.1), Sized("C", 0.9)]
    with of_pool(devices) as pool, Latency(graph, pool, QUICK, converted) as latency:
        assert isinstance(latency, Prepared)
        found = latency(structures)
        baseline = latency.baseline_ms
    assert found == pytest.approx([value * baseline / expected[0] for value in expected])
    assert all(device.measured for device in devices)
    assert sum(len(device.measured) for device in devices) == 2 * (3 + len(structures))


def test_all_devices_measure_at_the_same_time(graph, structures, converted):
    together = threading.Barrier(3, timeout=20)

    class Meeting(Sized):
        def settle(self, pin: str = "none") -> None:
            super().settle(pin)
            together.wait()  # breaks unless three measurements begin together

    with of_pool([Meeting(serial) for serial in "ABC"]) as pool, Latency(graph, pool, QUICK, converted) as latency:
        assert len(latency(structures[:6])) == 6  # the baseline is three measurements too


@pytest.mark.parametrize("error", [DeviceLostError("Away."), OutputError("Garbage.")])
def test_devices_that_fail_cost_time_and_no_candidate(graph, structures, converted, expected, error, capsys):
    faults = {"A": [error if number % 5 == 4 else None for number in range(400)], "B": [None] * 9 + [error] * 400}
    devices = [Sized("A", faults=faults["A"]), Sized("B", faults=faults["B"]), Sized("C")]
    with Store() as store, of_pool(devices) as pool, Latency(graph, pool, QUICK, converted, store) as latency:
        assert latency(structures) == pytest.approx(expected)
        assert sum(latency.verdicts.values()) == len(structures)
    assert str(error) in capsys.readouterr().err


def test_when_no_device_is_left_the_error_says_so_and_what_is_done_is_kept(graph, structures, converted):
    devices = [Sized("A", faults=[None] * 40 + [OutputError("Garbage.")] * 99) for _ in range(2)]
    left = pytest.raises(DeviceError, match="Garbage")
    single = Sized("S")
    with Store() as store:
        with of_pool(devices) as pool, left, Latency(graph, pool, QUICK, converted, store) as latency:
            latency(structures)
        with Latency(graph, single, QUICK, converted, store) as latency:
            assert len(latency(structures)) == len(structures)
    assert len(single.measured) < 2 * len(structures)


class Width:
    """An objective that costs nothing, and that Ctrl-C may hit."""

    name, unit, minimize, closed_form = "width", "channels", False, False

    def __init__(self, stop_at: int = -1) -> None:
        self.calls, self.stop_at = 0, stop_at

    def __call__(self, structures):
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return [float(sum(s.widths)) for s in structures]


def searched(graph, space, latency, width, store):
    return search(
        graph=graph,
        space=space,
        searcher="random",
        options=RandomOptions(population=4),
        objectives=[width, latency],
        constraints=[Constraint("latency", upper=10.0)],
        store=store,
        run="a",
        generations=2,
        depends_on=latency.identity,
    )


def test_a_search_that_is_stopped_and_resumed_ends_alike_and_measures_nothing_twice(graph, converted, tmp_path):
    space = SearchSpace.from_graph(graph, multiple_of=4)
    with Store() as store, Latency(graph, Sized("S"), QUICK, converted, store) as latency:
        whole = searched(graph, space, latency, Width(), store)
    measured: list[str] = []
    for stop_at in (2, 3, -1):
        devices = [Sized(serial) for serial in "ABC"]
        with Store(tmp_path / "s.sqlite") as store, of_pool(devices) as pool:
            stopped = pytest.raises(KeyboardInterrupt) if stop_at > 0 else contextlib.nullcontext()
            with stopped, Latency(graph, pool, QUICK, converted, store) as latency:
                found = searched(graph, space, latency, Width(stop_at), store)
        measured += [name for device in devices for name in device.measured]
        assert threading.active_count() < 5  # no thread is left
    assert found == whole
    reference = max(set(measured), key=measured.count)
    others = [name for name in measured if name != reference]
    # A stop may cost the measurements that were running on the three devices.
    assert len(others) <= len(set(others)) + 2 * 3


def test_ctrl_c_stops_the_devices(graph, structures, converted):
    entered = threading.Event()

    class Endless(Sized):
        """Busy until somebody interrupts it."""

        def settle(self, pin: str = "none") -> None:
            if self.runs > 20:
                entered.set()
                while not self.interrupted:
                    time.sleep(0.001)
                raise DeviceError("It was stopped.")

        def interrupt(self) -> None:
            self.interrupted = True

    devices = [Endless(serial) for serial in "AB"]
    with pytest.raises(KeyboardInterrupt), of_pool(devices) as pool, Latency(graph, pool, QUICK, converted) as latency:
        latency.prepare(structures)
        assert entered.wait(timeout=20)
        raise KeyboardInterrupt
    assert all(device.interrupted and device.closed for device in devices)


def test_finished_files_are_measured_by_the_whole_pool(graph, structures, converted, tmp_path):
    paths = []
    for number, structure in enumerate(structures[:4]):
        paths.append(tmp_path / f"{number}.tflite")
        paths[-1].write_bytes(structure_file(graph, structure, "fp32"))
    devices = [Sized("A"), Sized("B")]
    with of_pool(devices) as pool:
        found = measure_files(pool, paths, paths[0], QUICK)
    assert [one.path for one in found] == paths
    sizes = [read_model_file(path).size_bytes for path in paths]
    assert [one.ratio for one in found] == pytest.approx([size / sizes[0] for size in sizes])
    assert all(len(device.measured) >= 2 for device in devices)


def test_files_that_wait_are_never_deleted(graph, structures, tmp_path, monkeypatch):
    monkeypatch.setattr("tfmeta.latency.objective.ModelFiles", functools.partial(ModelFiles, max_bytes=1))
    with Latency(graph, Sized("S"), QUICK, tmp_path / "one") as latency:
        expected = latency(structures)
    with of_pool([Sized("A"), Sized("B")]) as pool, Latency(graph, pool, QUICK, tmp_path / "two") as latency:
        assert latency(structures) == pytest.approx(expected)
    assert len(list((tmp_path / "two").iterdir())) <= 5
