"""A phone as a device, through the real adb client."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.phone import AdbServer, Bench, Cluster, Hardware, Phone, Throttle, programs, write_benchmark_model
from tflite_bench import open_device
from tflite_bench.adb import connection
from tflite_bench.adb.client import find_client
from tflite_bench.adb.connection import Adb
from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.lines import LITERT
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import (
    DeviceBusyError,
    DeviceError,
    DeviceHotError,
    DeviceHungError,
    DeviceLostError,
    ModelFileError,
    OptionsError,
)
from tflite_bench.host.runtime import ONE_RELU
from tflite_bench.measure.pool import Pool
from tflite_bench.phone import program as phone_tool
from tflite_bench.phone import settings as phone_settings
from tflite_bench.phone import wait
from tflite_bench.phone.device import AdbDevice, read_identity

Captured = pytest.CaptureFixture[str]
Open = Callable[..., AdbDevice]
QUICK = BenchOptions(num_runs=12, min_secs=0, warmup_min_secs=0)
ODD_NAME = "a b;$(touch x)'\"\n\u00e9.tflite"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setattr(connection, "_RETURNS_ALONE_SECS", 0.5)
    monkeypatch.setattr(wait, "_LOST_POLL_SECS", 0.1)
    monkeypatch.setattr(wait, "_COOL_POLL_SECS", 0.1)


@pytest.fixture
def program(tmp_path: pathlib.Path) -> str:
    return f"arm64-v8a={write_benchmark_model(tmp_path)}"


@pytest.fixture
def open_phone(phone: Phone, program: str) -> Iterator[Open]:
    opened: list[AdbDevice] = []

    def make(text: str = "", **options: object) -> AdbDevice:
        values = {"hang_secs": 10.0, "lost_secs": 10.0, "benchmark_model": (program,)} | options
        device = open_device(text or f"adb:{phone.serial}", DeviceOptions(**values))  # type: ignore[arg-type]
        assert isinstance(device, AdbDevice)
        opened.append(device)
        return device

    yield make
    for device in opened:
        device.close()


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / ODD_NAME
    path.write_bytes(ONE_RELU)
    return path


def assert_untouched(phone: Phone) -> None:
    assert phone.changes() == {}
    assert phone.settings["global"]["stay_on_while_plugged_in"] == "0"
    assert not phone.state.fixed_performance
    assert phone.processes == []


def eventually(condition: Callable[[], object], secs: float = 10) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_model_is_measured_and_the_phone_left_as_it_was(phone: Phone, open_phone: Open, model: pathlib.Path) -> None:
    with open_phone() as device:
        m = device.benchmark(model, QUICK)
        assert phone.settings["global"]["stay_on_while_plugged_in"] == "7"
        assert phone.changes() != {}
    assert (m.num_runs, m.model_name) == (12, ODD_NAME)
    assert m.median_ms == pytest.approx(2.0, rel=0.1)
    assert m.init_ms == 5.0 and m.first_inference_ms == pytest.approx(3.0, rel=0.1)
    assert m.before is not None and m.before.temperature_c == 31.5
    assert m.delegation is not None and m.delegation.complete
    assert_untouched(phone)


def test_the_description_tells_phone_and_program(phone: Phone, open_phone: Open) -> None:
    with open_phone(fixed_performance=True) as device:
        info = device.info()
        assert phone.state.fixed_performance
    assert (info.kind, info.name, info.arch, info.cores) == ("adb", "Xiaomi Mi 11", "arm64-v8a", 8)
    assert info.os_version == f"Android 13 ({phone.hardware.build})"
    assert (info.runtime, len(info.runtime_version)) == ("benchmark_model", 16)
    assert (info.mode, info.serial) == ("fixed-performance", "4a7b0c1d")
    assert_untouched(phone)


def test_a_block_is_one_call_and_files_are_pushed_once(phone: Phone, open_phone: Open, model: pathlib.Path) -> None:
    with open_phone() as device, device.load(model, QUICK) as loaded:
        pushes, commands = len(phone.pushes), len(phone.commands)
        loaded.run(5, 0.0, 10.0)
        loaded.run(5, 0.0, 10.0)
        assert (len(phone.pushes) - pushes, len(phone.commands) - commands) == (0, 2)
        with device.load(model, QUICK):
            assert len(phone.pushes) == pushes


def test_big_cores_that_are_off_are_never_replaced_by_others(
    phone: Phone, open_phone: Open, model: pathlib.Path
) -> None:
    device = open_phone()
    phone.state.switch_off(7)
    with pytest.raises(DeviceError, match=r"None of the cores of pin=big \(7\) can be used now"):
        device.load(model, BenchOptions(pin="big"))
    device.load(model, BenchOptions(pin="little")).close()
    device.close()
    with pytest.raises(DeviceError, match="pin=big cannot be told: the phone tells no clock of its cores 7,"):
        open_phone().load(model, BenchOptions(pin="big"))


@pytest.mark.parametrize(("pin", "mask", "slowness"), [("big", "80", 1.0), ("little", "f", 1.57), ("0x70", "70", 1.17)])
def test_the_model_runs_on_the_cores_that_were_asked_for(
    phone: Phone, open_phone: Open, model: pathlib.Path, pin: str, mask: str, slowness: float
) -> None:
    options = BenchOptions(num_runs=12, min_secs=0, warmup_min_secs=0, pin=pin)
    with open_phone() as device:
        assert device.benchmark(model, options).median_ms == pytest.approx(2.0 * slowness, rel=0.05)
    assert any(f" taskset {mask} " in command for command in phone.commands)


def test_cores_that_the_phone_does_not_have_are_told(open_phone: Open, model: pathlib.Path) -> None:
    with open_phone() as device, pytest.raises(OptionsError, match="8 besides"):
        device.load(model, BenchOptions(pin="0x100"))


def test_operators_are_told(open_phone: Open, model: pathlib.Path) -> None:
    with open_phone() as device:
        assert device.profile(model, QUICK).rows[0].type == "Convolution (NHWC, F32) IGEMM"


def test_litert_s_program_is_understood_too(
    phone: Phone, open_phone: Open, model: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "litert").mkdir()
    program = f"arm64-v8a={write_benchmark_model(tmp_path / 'litert', LITERT)}"
    with open_phone(benchmark_model=(program,)) as device:
        assert device.benchmark(model, QUICK).median_ms == pytest.approx(2.0, rel=0.1)


def test_a_model_that_the_program_refuses_is_the_model_s_fault(
    phone: Phone, open_phone: Open, tmp_path: pathlib.Path
) -> None:
    phone.set(bench_exit=1)
    path = tmp_path / "x.tflite"
    path.write_bytes(ONE_RELU)
    with open_phone() as device, pytest.raises((ModelFileError, DeviceError), match=r"x\.tflite|benchmark_model"):
        device.load(path, QUICK)


def test_a_program_that_cannot_be_started_is_told(
    open_phone: Open, model: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "bad"
    path.write_text("#!/no/such/interpreter\n")
    with open_phone(benchmark_model=(f"arm64-v8a={path}",)) as device, pytest.raises(DeviceError, match="cannot start"):
        device.load(model, QUICK)


def test_a_stale_file_of_the_same_name_and_size_is_replaced(
    phone: Phone, open_phone: Open, model: pathlib.Path
) -> None:
    with open_phone() as device, device.load(model, QUICK) as loaded:
        remote = next(phone.path(path) for path in phone.changes() if path.endswith(".tflite"))
        remote.write_bytes(ONE_RELU[:-1] + b"?")
        assert loaded.run(5, 0.0, 10.0).count == 5
        assert loaded.stale_reason == ""
        assert remote.read_bytes() == ONE_RELU
        remote.unlink()
        assert loaded.run(5, 0.0, 10.0).count == 5


def test_files_are_hashed_when_loaded_and_when_they_changed(
    phone: Phone, open_phone: Open, model: pathlib.Path
) -> None:
    hashed = phone.root / "data/local/tmp/hashed"
    real = phone.path("/system/bin/sha256sum").resolve()
    folder = phone.path("/data/local/tmp/bin")
    folder.mkdir()
    (folder / "sha256sum").write_text(f"#!/bin/sh\necho >> {hashed}\nexec {real}\n")
    (folder / "sha256sum").chmod(0o755)
    phone.programs = f"{folder}:"
    with open_phone() as device:
        for _ in range(2):
            with device.load(model, QUICK) as loaded:
                once = hashed.read_text()
                assert loaded.run(5, 0.0, 10.0).count == 5
                assert hashed.read_text() == once
        next(phone.path(path) for path in phone.changes() if path.endswith(".tflite")).touch()
        with device.load(model, QUICK) as loaded:
            assert len(hashed.read_text()) == len(once) + 2


def test_a_phone_that_does_not_keep_its_files_is_told(phone: Phone, open_phone: Open, model: pathlib.Path) -> None:
    with open_phone() as device, device.load(model, QUICK) as loaded:
        phone.set(flip_bits=99)
        next(phone.path(path) for path in phone.changes() if path.endswith(".tflite")).unlink()
        with pytest.raises(DeviceError, match="damaged copy"):
            loaded.run(5, 0.0, 10.0)


def test_a_model_that_is_replaced_while_it_runs_is_stale(phone: Phone, open_phone: Open, model: pathlib.Path) -> None:
    def latency(path: pathlib.Path) -> float:
        path.write_bytes(path.read_bytes())
        return 2000.0

    with open_phone() as device, device.load(model, QUICK) as loaded:
        phone.bench = Bench(latency_us=latency)
        assert loaded.run(5, 0.0, 10.0).count == 5
        assert "replaced while it ran" in loaded.stale_reason
        phone.bench = Bench()
        loaded.run(5, 0.0, 10.0)
        assert loaded.stale_reason != "", "one stale block is enough"
        with pytest.raises(DeviceError, match="replaced while it ran"):
            loaded.profile()


def test_two_devices_do_not_share_a_phone(phone: Phone, open_phone: Open, adb_server: AdbServer) -> None:
    with open_phone():
        with pytest.raises(DeviceBusyError, match=rf"in use by process {os.getpid()} "):
            open_phone()
        assert phone.settings["global"]["stay_on_while_plugged_in"] == "7", "the other one's settings stay"
    open_phone().close()
    assert_untouched(phone)


HOLDER = """
import sys, time
from tflite_bench import open_device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.bench_options import BenchOptions
options = DeviceOptions(benchmark_model=(sys.argv[2],), fixed_performance=True)
device = open_device(f"adb:{sys.argv[1]}", options)
loaded = device.load(sys.argv[3], BenchOptions(num_runs=12, min_secs=0, warmup_min_secs=0))
print("ready", flush=True)
while True:
    loaded.run(5, 0.0, 10.0)
"""


def test_what_a_killed_process_left_is_put_right_by_the_next(
    phone: Phone, open_phone: Open, program: str, model: pathlib.Path
) -> None:
    phone.settings["global"]["stay_on_while_plugged_in"] = "3"
    words = [sys.executable, "-c", HOLDER, phone.serial, program, str(model)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=pathlib.Path(__file__).parents[3])
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    phone.set(bench_hangs=True)
    eventually(lambda: any("benchmark_model" in one.line for one in phone.processes))
    time.sleep(0.3)
    with pytest.raises(DeviceBusyError, match=f"process {process.pid} "):
        open_phone()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert phone.state.fixed_performance and phone.settings["global"]["stay_on_while_plugged_in"] == "7"
    phone.set(bench_hangs=False)
    with open_phone(keep_awake=False) as device:
        assert phone.settings["global"]["stay_on_while_plugged_in"] == "3"
        assert not phone.state.fixed_performance
        assert phone.processes == []
        device.benchmark(model, QUICK)
    assert phone.changes() == {}
    assert phone.settings["global"]["stay_on_while_plugged_in"] == "3"


def test_a_setting_that_was_never_made_is_unmade(phone: Phone, open_phone: Open) -> None:
    del phone.settings["global"]["stay_on_while_plugged_in"]
    with open_phone():
        assert phone.settings["global"]["stay_on_while_plugged_in"] == "7"
    assert "stay_on_while_plugged_in" not in phone.settings["global"]


@pytest.mark.parametrize("record", ['{"stay_on": "1; reboot"}', '{"stay_on": 5, "x": []}', "[]", "nonsense"])
def test_a_damaged_record_puts_nothing_odd_into_the_phone(phone: Phone, open_phone: Open, record: str) -> None:
    phone_settings.settings_file("4a7b0c1d").write_text(record)
    open_phone().close()
    assert phone.state.boots == 1
    assert phone.settings["global"]["stay_on_while_plugged_in"] in ("0", "5")


def test_a_phone_without_the_fixed_mode_is_measured_without(
    adb_server: AdbServer, program: str, capsys: Captured
) -> None:
    with Phone(Hardware(has_fixed_performance=False)) as phone:
        adb_server.connect(phone)
        options = DeviceOptions(benchmark_model=(program,), fixed_performance=True)
        with open_device(f"adb:{phone.serial}", options) as device:
            assert device.info().mode == ""
        assert not phone_settings.settings_file("4a7b0c1d").exists()
        assert "without its fixed-performance mode: cmd power" in capsys.readouterr().err


def test_the_screen_is_switched_on_before_measuring(phone: Phone, open_phone: Open) -> None:
    with open_phone() as device:
        phone.state.awake = False
        device.settle()
        assert phone.state.awake
    with open_phone(keep_awake=False) as device:
        phone.state.awake = False
        device.settle()
        assert not phone.state.awake


def test_a_hot_phone_is_waited_for(phone: Phone, open_phone: Open, capsys: Captured) -> None:
    with open_phone(cool_secs=60.0) as device:
        phone.set(thermal_status=2, temperature_c=47.0)
        threading.Timer(0.5, lambda: phone.set(thermal_status=0, temperature_c=33.0)).start()
        device.settle()
        assert device.conditions().thermal_status == 0
    error = capsys.readouterr().err
    assert "has thermal status 2 (moderate), more than 0: waiting up to 60 s" in error and "is cool again" in error


def test_a_phone_that_stays_hot_is_measured_in_the_end(phone: Phone, open_phone: Open, capsys: Captured) -> None:
    with open_phone(cool_secs=2.0) as device:
        phone.set(temperature_c=47.0)
        begin = time.monotonic()
        device.settle()
        waited = time.monotonic() - begin
        device.settle()
        assert time.monotonic() - begin < 1.8 * waited, "the second time it is not waited for as long"
    error = capsys.readouterr().err
    assert "waiting up to 2 s" in error
    assert "still has 47.0 °C, more than 45 °C: measuring it all the same" in error


def test_a_phone_whose_clocks_are_held_low_is_waited_for(phone: Phone, open_phone: Open, capsys: Captured) -> None:
    with open_phone(cool_secs=60.0) as device:
        phone.set(throttle=Throttle(after=0, status=None))
        threading.Timer(0.5, lambda: phone.set(throttle=None)).start()
        device.settle()
        now = device.conditions()
        assert now.clock_limits_mhz == now.clock_tops_mhz
    told = capsys.readouterr().err
    assert "may clock core 0 with 902 of 1804 MHz, less than 90%: waiting" in told and "is cool again" in told


def test_clocks_that_a_mode_lowers_are_not_waited_for(phone: Phone, open_phone: Open, capsys: Captured) -> None:
    with open_phone(fixed_performance=True) as device:
        device.settle()
        now = device.conditions()
        assert now.clock_limits_mhz < now.clock_tops_mhz
    with open_phone(min_clock_share=0.0) as device:
        phone.set(throttle=Throttle(after=0, status=None))
        device.settle()
    assert "waiting" not in capsys.readouterr().err


def test_a_low_battery_is_told_once(phone: Phone, open_phone: Open, capsys: Captured) -> None:
    phone.set(battery_percent=12)
    with open_phone() as device:
        device.settle()
        device.settle()
    assert capsys.readouterr().err.count("is at 12 %") == 1


def test_a_phone_that_went_away_is_waited_for_and_prepared_again(
    phone: Phone, open_phone: Open, model: pathlib.Path, capsys: Captured
) -> None:
    with open_phone(fixed_performance=True) as device, device.load(model, QUICK) as loaded:
        phone.set(cut_at_command="--num_runs", away_secs=None)
        with pytest.raises(DeviceLostError):
            loaded.run(5, 0.0, 10.0)
        threading.Timer(1.0, phone.reboot, args=(0.2,)).start()
        device.settle()
        assert phone.state.boots == 2 and phone.state.fixed_performance
        assert loaded.run(5, 0.0, 10.0).count == 5
    error = capsys.readouterr().err
    assert "is away (not found): waiting up to" in error and "is back after" in error
    assert_untouched(phone)


def test_a_phone_that_stays_away_is_told_and_put_right_the_next_time(
    phone: Phone, open_phone: Open, model: pathlib.Path, capsys: Captured
) -> None:
    with open_phone(lost_secs=0.5) as device, device.load(model, QUICK) as loaded:
        phone.cut(away_secs=None)
        with pytest.raises(DeviceLostError):
            loaded.run(5, 0.0, 10.0)
        with pytest.raises(DeviceLostError, match=r"did not come back within \d+ s \(not found\)\. Failed to connect"):
            device.settle()
    assert "is put right at the next use" in capsys.readouterr().err
    assert phone.settings["global"]["stay_on_while_plugged_in"] == "7"
    phone.listen()
    open_phone().close()
    assert_untouched(phone)


def test_another_phone_in_its_place_is_not_measured(phone: Phone, open_phone: Open, model: pathlib.Path) -> None:
    with open_phone() as device, device.load(model, QUICK) as loaded:
        phone.set(cut_at_command="--num_runs")
        with pytest.raises(DeviceLostError):
            loaded.run(5, 0.0, 10.0)
        phone.state.properties["ro.serialno"] = "other"
        with pytest.raises(DeviceError, match=r"Another phone answers .* expected '4a7b0c1d', received 'other'"):
            device.settle()
        phone.state.properties["ro.serialno"] = "4a7b0c1d"
        device.settle()


def test_a_program_that_hangs_is_killed(phone: Phone, open_phone: Open, model: pathlib.Path) -> None:
    with open_phone(hang_secs=1.0) as device, device.load(model, QUICK) as loaded:
        phone.set(bench_hangs=True)
        begin = time.monotonic()
        with pytest.raises(DeviceHungError, match=r"(?s)did not end within .* it was killed\. Measure less"):
            loaded.run(1, 0.0, 0.1)
        assert time.monotonic() - begin < 10
        phone.set(bench_hangs=False)
        device.settle()
        assert phone.processes == []
        assert loaded.run(5, 0.0, 10.0).count == 5


def test_a_program_that_hangs_on_a_phone_without_timeout_is_killed(
    adb_server: AdbServer, program: str, model: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_tool, "_AROUND_SECS", 0.5)
    with Phone(Hardware(missing=("timeout",))) as phone:
        adb_server.connect(phone)
        options = DeviceOptions(benchmark_model=(program,), hang_secs=2.0)
        with open_device(f"adb:{phone.serial}", options) as device, device.load(model, QUICK) as loaded:
            phone.set(bench_hangs=True)
            with pytest.raises(DeviceHungError, match="did not end within"):
                loaded.run(1, 0.0, 0.1)
            eventually(lambda: phone.processes == [])
            phone.set(bench_hangs=False)
            device.settle()
            assert loaded.run(5, 0.0, 10.0).count == 5
        assert_untouched(phone)


def test_a_setting_that_a_starting_phone_refuses_is_put_back_later(
    phone: Phone, open_phone: Open, model: pathlib.Path, capsys: Captured
) -> None:
    with open_phone() as device, device.load(model, QUICK) as loaded:
        phone.set(cut_at_command="--num_runs", away_secs=None)
        with pytest.raises(DeviceLostError):
            loaded.run(5, 0.0, 10.0)
        phone.reboot(0.1, services_secs=1.5)
        device.settle()
        assert loaded.run(5, 0.0, 10.0).count == 5
    assert "(starting): waiting" in capsys.readouterr().err
    assert_untouched(phone)


def test_a_refused_setting_is_kept_for_the_next_time(phone: Phone, open_phone: Open, capsys: Captured) -> None:
    device = open_phone()
    phone.state.start_services_in(60)  # they crashed
    device.close()
    assert "the next use tries it again" in capsys.readouterr().err
    assert phone.settings["global"]["stay_on_while_plugged_in"] == "7"
    phone.state.start_services_in(0.5)
    with open_phone() as again:  # waits, and does not take its own 7 for what was there
        again.settle()
    assert_untouched(phone)


def test_a_setting_that_stays_refused_is_not_forgotten(phone: Phone, open_phone: Open) -> None:
    record = phone_settings.settings_file("4a7b0c1d")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text('{"stay_on": "3"}')
    refuses, put = True, programs.PROGRAMS["settings"]

    def stubborn(phone: Phone, call: Any) -> Any:
        return 1 if refuses and call.arguments[0] == "put" else put(phone, call)

    programs.PROGRAMS["settings"] = stubborn
    try:
        open_phone().close()
        assert json.loads(record.read_text()) == {"stay_on": "3"}
        refuses = False
        open_phone().close()
    finally:
        programs.PROGRAMS["settings"] = put
    assert phone.settings["global"]["stay_on_while_plugged_in"] == "3" and not record.exists()


def test_work_is_interrupted_and_the_phone_put_right(phone: Phone, open_phone: Open, model: pathlib.Path) -> None:
    with open_phone(hang_secs=60.0) as device, device.load(model, QUICK) as loaded:
        phone.set(bench_hangs=True)
        threading.Timer(0.5, device.interrupt).start()
        begin = time.monotonic()
        with pytest.raises(DeviceError, match="was stopped"):
            loaded.run(5, 0.0, 10.0)
        assert time.monotonic() - begin < 10
    eventually(lambda: phone.processes == [])
    assert_untouched(phone)


@pytest.mark.parametrize("name", ["sha256sum"])
def test_a_phone_that_lacks_a_program_is_told(adb_server: AdbServer, program: str, name: str) -> None:
    with Phone(Hardware(missing=(name,), android="7.1")) as phone:
        adb_server.connect(phone)
        with pytest.raises(DeviceError, match=rf"has no program {name}.*since version 8 \(it has Android 7\.1\)"):
            open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,)))
        assert_untouched(phone)


@pytest.mark.parametrize("missing", [("timeout",), ("base64",), ("stat",)])
def test_a_phone_is_measured_also_without_what_can_be_missed(
    adb_server: AdbServer, program: str, model: pathlib.Path, missing: tuple[str, ...]
) -> None:
    with Phone(Hardware(missing=missing)) as phone:
        adb_server.connect(phone)
        with open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,))) as device:
            assert device.benchmark(model, QUICK).num_runs == 12
        assert_untouched(phone)


def test_a_phone_without_taskset_is_not_pinned(adb_server: AdbServer, program: str, model: pathlib.Path) -> None:
    with Phone(Hardware(missing=("taskset",))) as phone:
        adb_server.connect(phone)
        device = open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,)))
        with device, pytest.raises(OptionsError, match="has no program taskset: expected pin=none"):
            device.load(model, BenchOptions(pin="big"))


def test_an_old_phone_is_measured(adb_server: AdbServer, program: str, model: pathlib.Path) -> None:
    with Phone(Hardware(features=(), android="6.0", sdk=23), old=True) as phone:
        adb_server.connect(phone)
        with open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,))) as device:
            assert device.benchmark(model, QUICK).num_runs == 12
        assert_untouched(phone)


def test_the_only_phone_needs_no_name(
    adb_server: AdbServer, phone: Phone, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adb_server.adb("disconnect")  # phones of earlier tests stay in the list for a while
    adb_server.connect(phone)
    options = DeviceOptions(benchmark_model=(program,))
    with open_device("adb", options) as device:
        assert device.info().serial == "4a7b0c1d"
    monkeypatch.setenv("ANDROID_SERIAL", "missing")
    monkeypatch.setattr(connection, "_RETURNS_ALONE_SECS", 0.1)
    there = re.escape(f"Attached: adb:{phone.serial} (device). Attach it")
    with pytest.raises(DeviceLostError, match=f"The phone missing is not attached. {there}"):
        open_device("adb", options)


def test_a_phone_that_is_not_there_at_the_beginning_is_not_waited_for(
    adb_server: AdbServer, phone: Phone, program: str
) -> None:
    phone.cut(away_secs=None)
    adb_server.adb("disconnect")  # this phone, and those of earlier tests
    with pytest.raises(DeviceLostError, match=r"is not attached\. Attached: none\. Failed to connect to") as raised:
        open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,)))
    assert "Connection refused" in str(raised.value) and "adb connect" not in str(raised.value)


def test_a_phone_of_the_network_is_connected_by_its_name(adb_server: AdbServer, phone: Phone, program: str) -> None:
    adb_server.adb("disconnect", phone.serial)
    with open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,))) as device:
        assert device.info().serial == "4a7b0c1d"


def test_an_unauthorized_phone_is_told_with_what_to_do(adb_server: AdbServer, program: str) -> None:
    with Phone(unauthorized=True) as phone:
        adb_server.adb("connect", phone.serial)
        with pytest.raises(DeviceError, match=r"cannot be used: unauthorized.*Allow USB debugging"):
            open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,)))


def test_without_a_program_for_its_abi_it_is_told_how_to_get_one(phone: Phone) -> None:
    with pytest.raises(DeviceError, match="tflite-bench fetch --abi=arm64-v8a"):
        open_device(f"adb:{phone.serial}")
    assert_untouched(phone)


def test_several_phones_are_a_pool(
    phone: Phone, adb_server: AdbServer, program: str, model: pathlib.Path, capsys: Captured
) -> None:
    options = DeviceOptions(benchmark_model=(program,))
    with Phone(Hardware(serial_number="second")) as second, Phone(unauthorized=True) as third:
        adb_server.connect(second)
        adb_server.adb("connect", third.serial)
        with pytest.raises(OptionsError, match=r"one of \d+ attached phones: adb:"):
            open_device("adb", options)
        for text in (f"adb:{phone.serial},{second.serial}", "adb:all"):
            with open_device(text, options) as pool:
                assert isinstance(pool, Pool) and pool.slots == 2
                assert set(pool.info().serial.split(",")) == {"4a7b0c1d", "second"}
                assert pool.benchmark(model, QUICK).num_runs == 12
        with open_device(f"adb:{phone.serial},{third.serial},missing", options) as pool:
            assert pool.info().serial == "4a7b0c1d"
        error = capsys.readouterr().err
        assert f"Measuring without {third.serial}" in error and "Measuring without missing" in error
        with pytest.raises(DeviceError, match=r"None of the phones can be used\. .*unauthorized"):
            open_device(f"adb:{third.serial},missing", options)
        for one in (phone, second):
            assert_untouched(one)


def test_phones_of_several_models_are_told_before_anything_is_done(
    phone: Phone, adb_server: AdbServer, program: str, model: pathlib.Path
) -> None:
    options = DeviceOptions(benchmark_model=(program,))
    other = Hardware(serial_number="second", model="Pixel 7", manufacturer="Google")
    with Phone(other) as second:
        adb_server.connect(second)
        for text in ("adb:all", f"adb:{phone.serial},{second.serial}"):
            with pytest.raises(OptionsError, match=r"of one model.*1 x .*, 1 x .*\?model="):
                open_device(text, options)
        assert phone.pushes == [] == second.pushes
        with pytest.raises(OptionsError, match="Received: model=Pixel 9"):
            open_device("adb:all?model=Pixel 9", options)
        with open_device("adb:all?model=pixel 7", options) as pool:
            assert pool.info().serial == "second" and pool.benchmark(model, QUICK).num_runs == 12
        assert phone.pushes == [] and phone.settings["global"]["stay_on_while_plugged_in"] == "0"
        adb_server.adb("disconnect", second.serial)


def test_a_hot_phone_of_a_pool_does_not_wait_but_for_its_time(phone: Phone, program: str) -> None:
    way = Adb(find_client(), phone.serial)
    options = DeviceOptions(benchmark_model=(program,), cool_secs=1.0)
    with AdbDevice(way, options, read_identity(way), pooled=True) as device:
        device.settle()
        phone.set(thermal_status=2)
        begin = time.monotonic()
        with pytest.raises(DeviceHotError, match="has thermal status 2"):
            device.settle()
        assert time.monotonic() - begin < 0.9
        time.sleep(1.0)
        device.settle()  # it stays hot: better measured hot than never
        phone.set(thermal_status=0)
        device.settle()
        phone.set(thermal_status=2)
        with pytest.raises(DeviceHotError):
            device.settle()


def test_the_phone_is_found_where_the_variables_say(
    adb_server: AdbServer, phone: Phone, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:127.0.0.1:{adb_server.port}")
    monkeypatch.delenv("ANDROID_ADB_SERVER_PORT")
    monkeypatch.setenv("ANDROID_SERIAL", phone.serial)
    with open_device("adb", DeviceOptions(benchmark_model=(program,))) as device:
        assert json.dumps(device.info().to_json())


def test_slow_cores_of_a_phone_are_known(adb_server: AdbServer, program: str) -> None:
    with Phone(Hardware(clusters=(Cluster(6, 1700000), Cluster(2, 2200000)))) as phone:
        adb_server.connect(phone)
        with open_device(f"adb:{phone.serial}", DeviceOptions(benchmark_model=(program,))) as device:
            now = device.conditions()
            assert now is not None and [mhz for _, mhz in now.clock_tops_mhz] == [1700] * 6 + [2200] * 2
