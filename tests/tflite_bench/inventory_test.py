"""What `tflite-bench devices` finds and shows, through the real adb client."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.phone import AdbServer, Hardware, Phone, write_benchmark_model
from tflite_bench.__main__ import main
from tflite_bench.adb import connection
from tflite_bench.adb.client import find_client
from tflite_bench.device_options import DeviceOptions
from tflite_bench.host.runtime import ONE_RELU
from tflite_bench.inventory import phone_entries
from tflite_bench.phone import claim as phone_claim
from tflite_bench.phone.claim import PhoneClaim
from tflite_bench.phone.lock import PhoneLock

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def program(tmp_path: pathlib.Path) -> str:
    return f"arm64-v8a={write_benchmark_model(tmp_path)}"


def test_a_phone_that_is_ready_is_described(phone: Phone, program: str) -> None:
    (entry,) = phone_entries(DeviceOptions(benchmark_model=(program,)))
    assert entry.ready and entry.reason == ""
    assert (entry.device, entry.name) == (f"adb:{phone.serial}", "Xiaomi Mi 11")
    assert (entry.arch, entry.os_version, entry.cores) == ("arm64-v8a", "Android 13", 8)
    assert entry.core_groups.startswith("4 x at 1804 MHz (cores 0-3) + 3 x")
    assert entry.free_mb == pytest.approx(46875)
    assert entry.conditions is not None and entry.conditions.battery_percent == 87
    assert phone.changes() == {} and phone.settings["global"]["stay_on_while_plugged_in"] == "0"


def test_a_phone_that_is_in_use_is_not_disturbed(phone: Phone, program: str) -> None:
    lock = PhoneLock("4a7b0c1d", "x")
    (entry,) = phone_entries(DeviceOptions(benchmark_model=(program,)))
    assert entry.state == "in use" and entry.reason.startswith("By process ")
    assert entry.conditions is None and not any("dumpsys" in command for command in phone.commands)
    lock.release()


def test_a_phone_that_another_computer_uses_is_in_use(
    phone: Phone, program: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = PhoneClaim(connection.Adb(find_client(), phone.serial), "x", 10.0)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
        patch.setattr(phone_claim, "_host", lambda: "desk pid:[1]")
        claim.take()
    (entry,) = phone_entries(DeviceOptions(benchmark_model=(program,)))
    assert entry.state == "in use" and "on desk (" in entry.reason
    assert main(["run", "x.tflite", f"--device=adb:{phone.serial}", f"--benchmark_model={program}"]) == 1
    model = tmp_path / "m.tflite"
    model.write_bytes(ONE_RELU)
    assert main(["run", str(model), f"--device=adb:{phone.serial}", f"--benchmark_model={program}"]) == 3
    assert phone.pushes == [] and phone.settings["global"]["stay_on_while_plugged_in"] == "0"
    claim.release()
    assert phone.changes() == {}


def test_why_a_phone_cannot_be_used_is_told(phone: Phone) -> None:
    (entry,) = phone_entries(DeviceOptions())
    assert entry.state == "unusable" and "tflite-bench fetch --abi=arm64-v8a" in entry.reason
    phone.set(unauthorized=True)
    phone.cut()
    for _ in range(100):
        (entry,) = phone_entries(DeviceOptions())
        if entry.state == "unauthorized":
            break
    assert entry.state == "unauthorized" and "Allow USB debugging" in entry.reason


def test_a_silent_phone_holds_nobody_up(phone: Phone, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.Adb.sections, "__defaults__", (0.5,))
    phone.set(hang_at="")
    (entry,) = phone_entries(DeviceOptions(benchmark_model=(program,)))
    assert entry.state == "silent" and "did not answer within" in entry.reason


def test_the_command_shows_every_device(phone: Phone, program: str, adb_server: AdbServer, capsys: Captured) -> None:
    with Phone(Hardware(missing=("sha256sum",), serial_number="old")) as old:
        adb_server.connect(old)
        assert main(["devices", f"--benchmark_model={program}"]) == 0
        text = capsys.readouterr().out
        assert main(["devices", f"--benchmark_model={program}", "--json"]) == 0
        data = json.loads(capsys.readouterr().out)["devices"]
        adb_server.adb("disconnect", old.serial)
    assert text.startswith("host: ready\n")
    assert f"adb:{phone.serial}: ready\n  Xiaomi Mi 11, Android 13, arm64-v8a, 8 cores\n  cores: 4 x at 1804" in text
    assert "\n  now: 31.5 °C, thermal status 0 (none), battery 87 %, 45.8 GB free" in text
    assert f"adb:{old.serial}: cannot be used (unusable)\n" in text and "no program sha256sum" in text
    assert [one["device"] for one in data] == ["host", *sorted([f"adb:{phone.serial}", f"adb:{old.serial}"])]
    assert {one["state"] for one in data} == {"ready", "unusable"}


def test_without_a_phone_it_is_told_how_to_attach_one(adb_server: AdbServer, capsys: Captured) -> None:
    adb_server.kill()
    assert main(["devices"]) == 0
    assert "No phone is attached. Switch on USB debugging" in capsys.readouterr().out


def test_mistakes_are_told(tmp_path: pathlib.Path, capsys: Captured) -> None:
    assert main(["devices", "model.tflite"]) == 2
    assert "Expected no paths" in capsys.readouterr().err
    assert main(["devices", f"--adb={tmp_path}/missing"]) == 2
    assert "Expected the path of an adb program" in capsys.readouterr().err
    assert main(["devices", f"--benchmark_model={tmp_path}/missing"]) == 2
    assert "Expected the path of a benchmark_model executable" in capsys.readouterr().err


def test_control_characters_of_phones_do_not_reach_the_terminal(
    adb_server: AdbServer, program: str, tmp_path: pathlib.Path, capsys: Captured
) -> None:
    odd = "\x1b[2J"
    hardware = Hardware(model=f"M{odd}", android=f"13{odd}", serial_number=f"S{odd}", missing=("sha256sum",))
    with Phone(hardware) as phone:
        adb_server.connect(phone)
        assert main(["devices", f"--benchmark_model={program}"]) == 0
        out = capsys.readouterr().out
        adb_server.adb("disconnect", phone.serial)
    assert "\x1b" not in out
    assert r"M\x1b[2J, Android 13\x1b[2J" in out and r"it has Android 13\x1b[2J" in out
