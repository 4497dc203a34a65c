"""The real adb client, its server and its deadlines."""

from __future__ import annotations

import pathlib
import socket
import stat
import sys
import threading
import time

import pytest

from tests.phone import AdbServer, Phone
from tflite_bench.adb import client as adb
from tflite_bench.errors import DeviceError, OptionsError
from tflite_bench.process import Runner


def script(folder: pathlib.Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def lives(pid: str) -> bool:
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_the_client_of_adbutils_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    path = pathlib.Path(adb.find_client())
    assert path.parts[-3:] == ("adbutils", "binaries", "adb")
    assert path.stat().st_mode & stat.S_IXUSR


def test_without_it_the_one_on_path_is_taken(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "_bundled_client", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="platform-tools, or name one with --adb=PATH"):
        adb.find_client()
    path = script(tmp_path, "adb", "")
    assert adb.find_client() == path


def test_a_client_that_is_named_has_to_be_one(tmp_path: pathlib.Path) -> None:
    path = script(tmp_path, "my adb", "")
    assert adb.find_client(path) == path
    with pytest.raises(OptionsError, match="can be run"):
        adb.find_client(str(tmp_path / "missing"))
    pathlib.Path(path).chmod(0o644)
    with pytest.raises(OptionsError, match="can be run"):
        adb.find_client(path)


def test_a_call_that_takes_too_long_is_killed_with_what_it_started(tmp_path: pathlib.Path) -> None:
    pids = tmp_path / "pids"
    slow = script(
        tmp_path,
        "slow",
        "import os, time\nchild = os.fork()\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\nprint('begun', flush=True)\ntime.sleep(60)",
    )
    begin = time.monotonic()
    called = adb.call([slow], deadline_secs=2.0)
    assert time.monotonic() - begin < 20
    assert (called.stdout.count("begun"), called.exit_code, called.failed) == (2, None, True)
    assert called.message == "no answer in time"
    numbers = pids.read_text().split()
    assert len(numbers) == 2
    while any(map(lives, numbers)):  # the system takes a moment to end what was killed
        assert time.monotonic() - begin < 20
        time.sleep(0.05)


def test_a_call_is_stopped_from_another_thread(tmp_path: pathlib.Path) -> None:
    runner = Runner()
    threading.Timer(0.3, runner.stop).start()
    begin = time.monotonic()
    called = adb.call([script(tmp_path, "slow", "import time; time.sleep(60)")], deadline_secs=50, runner=runner)
    assert called.exit_code is None and time.monotonic() - begin < 5


def test_a_flood_of_output_ends(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "MAX_OUTPUT_BYTES", 2**20)
    flood = script(tmp_path, "flood", "while True: print('x' * 10000)")
    called = adb.call([flood], deadline_secs=50)
    assert called.exit_code is None and 2**20 <= len(called.stdout) < 2**21


def test_both_outputs_and_the_code_come_back(tmp_path: pathlib.Path) -> None:
    text = "import sys; sys.stdout.buffer.write(b'\\xff' + b'o' * 200000); sys.stderr.write('e' * 200000); sys.exit(9)"
    called = adb.call([script(tmp_path, "both", text)])
    assert (called.stdout, called.stderr, called.exit_code) == ("\ufffd" + "o" * 200000, "e" * 200000, 9)


def test_the_client_reads_nothing_from_the_terminal(tmp_path: pathlib.Path) -> None:
    assert adb.call([script(tmp_path, "read", "import sys; print(repr(sys.stdin.read()))")]).stdout == "''\n"


def test_what_is_no_program_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(DeviceError, match="Cannot run the adb client"):
        adb.call([str(tmp_path / "text")])


def test_the_server_lists_its_phones(adb_server: AdbServer) -> None:
    with Phone() as phone:
        adb_server.connect(phone)
        adb.start_server(adb.find_client())
        assert [(one.serial, one.state) for one in adb.attached(adb.find_client())] == [(phone.serial, "device")]


def test_a_killed_server_is_started_again(adb_server: AdbServer) -> None:
    adb_server.kill()
    adb.start_server(adb.find_client())
    assert adb.attached(adb.find_client()) == ()


def test_a_port_in_other_hands_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        monkeypatch.setattr(adb.call, "__defaults__", (0.5,))
        with pytest.raises(DeviceError, match=rf"adb server \(port {port}\) does not answer: no answer in time"):
            adb.start_server(adb.find_client())


def test_a_server_elsewhere_is_not_started_but_asked(adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_ADB_SERVER_PORT")
    monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:127.0.0.1:{adb_server.port}")
    adb.start_server(adb.find_client())
    assert adb.attached(adb.find_client()) == ()
    monkeypatch.setenv("ADB_SERVER_SOCKET", "tcp:127.0.0.1:1")
    with pytest.raises(DeviceError, match=r"adb server \(tcp:127\.0\.0\.1:1\) does not answer: .*Connection refused"):
        adb.attached(adb.find_client())
