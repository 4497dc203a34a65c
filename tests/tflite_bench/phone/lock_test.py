from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tflite_bench.errors import DeviceBusyError, DeviceError
from tflite_bench.phone import lock as phone_lock
from tflite_bench.phone.lock import PhoneLock

ODD = "a b/../'$(c);\n\u00e9"


@pytest.fixture(autouse=True)
def _cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield


def test_a_second_lock_names_who_holds_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tflite-bench", "run", "a.tflite"])
    lock = PhoneLock("1", "Pixel (1)")
    with pytest.raises(DeviceBusyError, match=rf"Pixel \(1\) is in use by process {os.getpid()} \(tflite-bench run a"):
        PhoneLock("1", "Pixel (1)")
    PhoneLock("2", "Pixel (2)").release()
    lock.release()
    lock.release()
    PhoneLock("1", "Pixel (1)").release()


def test_the_holder_is_told_without_taking_the_lock() -> None:
    assert phone_lock.holder(ODD) is None
    lock = PhoneLock(ODD, "x")
    holder = phone_lock.holder(ODD)
    assert holder is not None and holder.pid == os.getpid()
    lock.release()
    assert phone_lock.holder(ODD) is None


def test_a_serial_number_names_no_path(tmp_path: pathlib.Path) -> None:
    PhoneLock(ODD, "x").release()
    assert [path.parent.name for path in tmp_path.rglob("*.lock")] == ["locks"]
    assert phone_lock.phone_key(ODD).isalnum()


def test_a_killed_process_holds_nothing() -> None:
    code = (
        "import sys, time; from tflite_bench.phone.lock import PhoneLock; lock = PhoneLock('1', 'x');"
        "print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(DeviceBusyError, match=f"process {process.pid} "):
        PhoneLock("1", "x")
    process.kill()
    process.communicate()
    PhoneLock("1", "x").release()


def test_a_damaged_lock_file_is_no_obstacle(tmp_path: pathlib.Path) -> None:
    PhoneLock("1", "x").release()
    (file,) = tmp_path.rglob("*.lock")
    file.write_bytes(b"\xff\x00[")
    lock = PhoneLock("1", "x")
    file.write_text("{}")
    assert str(phone_lock.holder("1")) == "process ? (unknown command)"
    lock.release()


def test_a_lock_that_cannot_be_written_is_told(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tflite_bench/locks" / f"{phone_lock.phone_key('1')}.lock"
    path.mkdir(parents=True)
    for use in (lambda: PhoneLock("1", "x"), lambda: phone_lock.holder("1")):
        with pytest.raises(DeviceError, match=r"Cannot use .*\.lock in the cache: Is a directory\. Make room"):
            use()
