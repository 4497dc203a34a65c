from __future__ import annotations

import dataclasses
import gc
import hashlib
import os
import pathlib

import numpy as np
import pytest

import tflite_bench
from tflite_bench.bench_options import BenchOptions
from tflite_bench.conditions import Conditions
from tflite_bench.errors import DeviceError, ModelFileError, OptionsError
from tflite_bench.host.device import HostDevice

Models = dict[str, pathlib.Path]
QUICK = BenchOptions(num_runs=12, min_secs=0, warmup_min_secs=0)


def test_a_measurement_says_what_its_times_say(models: Models) -> None:
    m = tflite_bench.benchmark(models["small"], device="host", options=QUICK)
    times = np.concatenate(m.blocks_ms)
    assert m.num_runs == len(times) == 12
    assert np.all(times > 0)
    assert m.median_ms == np.median(times)
    assert m.p90_ms == np.percentile(times, 90)
    assert (m.min_ms, m.max_ms) == (times.min(), times.max())
    assert m.mean_ms == pytest.approx(times.mean())
    assert m.std_ms == pytest.approx(times.std())
    assert m.min_ms <= m.median_low_ms <= m.median_ms <= m.median_high_ms <= m.max_ms
    assert m.init_ms > 0 and m.first_inference_ms > 0
    assert m.peak_memory_mb is None or m.peak_memory_mb >= 0
    assert m.reason.endswith(".")


def test_a_measurement_knows_its_model_device_and_options(models: Models) -> None:
    m = tflite_bench.benchmark(str(models["small"]), options=QUICK)
    content = models["small"].read_bytes()
    assert m.model_name == "small.tflite"
    assert m.model_sha256 == hashlib.sha256(content).hexdigest()
    assert m.model_size_bytes == len(content)
    assert m.options == QUICK
    assert m.device == HostDevice().info()
    assert m.device.kind == "host" and m.device.cores >= 1 and m.device.runtime == "LiteRT"
    assert m.started_at.endswith("+00:00")


@pytest.mark.parametrize("name", ["free_batch", "indices", "bytes", "truth"])
def test_inputs_of_every_type_and_a_free_batch_run(models: Models, name: str) -> None:
    assert tflite_bench.benchmark(models[name], options=QUICK).num_runs == 12


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("flex", "needs the TensorFlow operation FlexMatrixDeterminant"),
        ("custom", "needs the custom operation MatrixDeterminant, "),
        ("free_size", r"inputs of a fixed size.*shape \[1, -1, -1, 3\]"),
        ("strings", "numbers or truth values"),
        ("empty", "an empty file"),
        ("garbage", "identifier TFL3"),
        ("garbage_after_identifier", "damaged or cut off"),
        ("half", "damaged or cut off"),
        ("nearly_whole", "damaged or cut off"),
        ("head_only", "damaged or cut off"),
    ],
)
def test_a_file_that_cannot_run_is_an_error_that_names_it_and_why(models: Models, name: str, text: str) -> None:
    with pytest.raises(ModelFileError, match=text) as caught:
        tflite_bench.benchmark(models[name], options=QUICK)
    assert str(models[name]) in str(caught.value)


def test_num_runs_and_min_secs_are_both_reached(models: Models) -> None:
    with HostDevice().load(models["small"], QUICK) as loaded:
        assert loaded.run(5, 0.0, 10.0).count == 5
        times_ms = loaded.run(1, 0.05, 10.0).times_ms
    assert len(times_ms) > 1
    # The block's 50 ms hold its inferences and the reading of the clock between them.
    assert sum(times_ms) <= 50 + max(times_ms)


def test_max_secs_ends_a_block_and_a_warm_up(models: Models) -> None:
    options = BenchOptions(num_runs=10**9, min_secs=0, warmup_runs=10**9, warmup_min_secs=0, max_secs=0.02)
    assert 1 <= tflite_bench.benchmark(models["small"], options=options).num_runs < 10**9


def test_a_closed_model_says_so(models: Models) -> None:
    loaded = HostDevice().load(models["small"], QUICK)
    loaded.close()
    loaded.close()
    with pytest.raises(DeviceError, match=r"small\.tflite was closed"):
        loaded.run(1, 0.0, 1.0)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(models: Models, enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        tflite_bench.benchmark(models["small"], options=QUICK)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_a_path_with_odd_letters_runs(models: Models, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a b;$(c) 'ü\n.tflite"
    path.write_bytes(models["small"].read_bytes())
    assert tflite_bench.benchmark(path, options=QUICK).model_name == path.name


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin")
def test_a_pinned_model_runs_with_all_its_threads_on_its_cores(models: Models) -> None:
    before, core = os.sched_getaffinity(0), max(os.sched_getaffinity(0))
    options = dataclasses.replace(QUICK, pin=hex(1 << core), threads=3)
    known = _threads()
    with HostDevice().load(models["large"], options) as loaded:
        own = [pathlib.Path(f"/proc/self/task/{thread}/status").read_text() for thread in _threads() - known]
        assert loaded.run(3, 0.0, 10.0).count == 3
    assert own  # XNNPACK starts its threads with the interpreter
    assert all(f"Cpus_allowed_list:\t{core}\n" in status for status in own)
    assert os.sched_getaffinity(0) == before


def _threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def test_plain_kernels_run_too_and_are_not_xnnpack(models: Models) -> None:
    def operators(delegate: str) -> list[str]:
        with HostDevice().load(models["large"], dataclasses.replace(QUICK, delegate=delegate)) as loaded:
            assert loaded.run(3, 0.0, 10.0).count == 3
            return [one["op_name"] for one in loaded._interpreter._get_ops_details()]  # type: ignore[attr-defined]

    assert "DELEGATE" in operators("xnnpack")
    assert "DELEGATE" not in operators("none")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"delegate": "gpu"}, "delegate xnnpack or none on the device 'host'.*Received: delegate='gpu'.*--device=adb"),
        ({"delegate": "nnapi"}, "Received: delegate='nnapi'"),
        ({"require_full_delegation": True}, "cannot require_full_delegation"),
        ({"pin": "0x80000000000000000000"}, "among those that this process may use"),
    ],
)
def test_what_this_machine_cannot_do_is_an_error(models: Models, changes: dict[str, object], text: str) -> None:
    with pytest.raises(OptionsError, match=text):
        tflite_bench.benchmark(models["small"], options=dataclasses.replace(QUICK, **changes))  # type: ignore[arg-type]


def test_a_measurement_records_the_clocks_where_the_machine_tells(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Conditions(clocks_mhz=((0, 2000),), clock_limits_mhz=((0, 2000),), clock_tops_mhz=((0, 2400),))
    monkeypatch.setattr("tflite_bench.host.cores.clocks", lambda: clocks)
    m = tflite_bench.benchmark(models["small"], options=QUICK)
    assert (m.before, m.after) == (clocks, clocks)
