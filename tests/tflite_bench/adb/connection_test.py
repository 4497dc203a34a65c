"""One phone through the real adb client: `tests.phone.Phone` behaves as phones do."""

from __future__ import annotations

import pathlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.phone import AdbServer, Hardware, Phone
from tflite_bench.adb import client as adb
from tflite_bench.adb import connection
from tflite_bench.adb.connection import Adb, NoSpaceError
from tflite_bench.errors import DeviceError, DeviceLostError

TMP = "/data/local/tmp"


@pytest.fixture
def way(phone: Phone) -> Adb:
    return Adb(adb.find_client(), phone.serial)


def test_a_command_gives_its_outputs_and_its_code(way: Adb) -> None:
    result = way.shell("echo out; printf 'no line end'; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\nno line end", "err\n", 3)
    assert way.shell("true") == connection.ShellResult("", "", 0)
    assert way.shell("echo a # a comment at the end").stdout == "a\n"


def test_a_phone_of_before_android_7_gives_one_output(adb_server: AdbServer) -> None:
    with Phone(Hardware(features=()), old=True) as phone:
        adb_server.connect(phone)
        way = Adb(adb.find_client(), phone.serial)
        result = way.shell("echo out; echo err >&2; exit 3")
        assert (sorted(result.stdout.split("\n")), result.stderr, result.exit_code) == (["", "err", "out"], "", 3)
        assert way.sections({"a": "echo 1", "b": "printf 2"}) == {"a": "1\n", "b": "2"}


def test_several_questions_are_one_call(phone: Phone, way: Adb) -> None:
    before = len(phone.commands)
    asked = {"a": "echo 1; echo 2", "empty": "true", "odd": "printf 'no end'", "fails": "false", "cd": "cd /nowhere"}
    assert way.sections(asked) == {"a": "1\n2\n", "empty": "", "odd": "no end", "fails": "", "cd": ""}
    assert len(phone.commands) - before == 1


@pytest.mark.parametrize("fault", [{"cut_at_output": b"half"}, {"cut_at_command": "echo half"}])
def test_a_command_that_was_cut_off_is_lost_whatever_adb_says(phone: Phone, way: Adb, fault: dict[str, object]) -> None:
    phone.set(**fault)
    with pytest.raises(DeviceLostError, match="ended in the middle") as lost:
        way.shell("echo 'device not found' >&2; echo half; sleep 5; echo whole")
    assert "half" not in str(lost.value)
    assert way.reach() == "device"


def test_a_silent_phone_is_lost_at_the_deadline(phone: Phone, way: Adb) -> None:
    phone.set(hang_at="sleepy")
    begin = time.monotonic()
    with pytest.raises(DeviceLostError, match=r"did not answer within 1 s"):
        way.shell("sleepy", deadline_secs=1.0)
    assert time.monotonic() - begin < 5


def test_a_phone_that_is_not_there_is_told_with_what_to_do(adb_server: AdbServer) -> None:
    way = Adb(adb.find_client(), "$(touch /tmp/never) 'x'")
    with pytest.raises(DeviceLostError, match=r"went away \(not found\)\. Attach it"):
        way.shell("true")
    assert way.state() == "not found"


def test_a_file_is_copied(phone: Phone, way: Adb, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "-a b'$(x);\n\u00e9"
    source.write_bytes(b"\0content\xff" * 9999)
    way.push(str(source), f"{TMP}/x", 10)
    assert phone.path(f"{TMP}/x").read_bytes() == source.read_bytes()


def test_pushes_that_fail_are_told_apart(phone: Phone, way: Adb, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(bytes(3_000_000))
    with pytest.raises(DeviceError, match="Permission denied") as refused:
        way.push(str(source), "/system/x", 10)
    assert not isinstance(refused.value, DeviceLostError)
    phone.set(no_space_after=1_000_000)
    with pytest.raises(NoSpaceError, match="no space left"):
        way.push(str(source), f"{TMP}/x", 10)
    phone.set(no_space_after=None, cut_after_bytes=1_000_000)
    with pytest.raises(DeviceLostError, match="ended in the middle"):
        way.push(str(source), f"{TMP}/x", 10)
    assert way.reach() == "device"


def test_after_a_push_that_stood_still_the_connection_is_a_new_one(
    phone: Phone, way: Adb, tmp_path: pathlib.Path
) -> None:
    source = tmp_path / "big"
    source.write_bytes(bytes(3_000_000))
    phone.set(stall_push_after=1_000_000)
    with pytest.raises(DeviceLostError, match="did not answer within 1 s"):
        way.push(str(source), f"{TMP}/x", 1.0)
    phone.set(stall_push_after=None)
    assert way.shell("echo there").stdout == "there\n"


def test_a_phone_of_the_network_is_connected_again(adb_server: AdbServer, phone: Phone, way: Adb) -> None:
    adb_server.adb("disconnect", phone.serial)
    assert way.state() == "not found"
    assert way.reach() == "device"
    adb_server.kill()  # its server forgets it
    assert way.reach() == "device"


def test_the_state_of_a_phone_that_cannot_be_reached_is_told(
    phone: Phone, way: Adb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_RETURNS_ALONE_SECS", 0.2)
    phone.cut(away_secs=None)
    assert way.reach() == "not found"
    phone.set(unauthorized=True)
    phone.listen()
    assert way.reach() == "unauthorized"
    phone.set(unauthorized=False)
    deadline = time.monotonic() + 10
    while way.reach() != "device":
        assert time.monotonic() < deadline


def test_work_is_stopped_from_another_thread(phone: Phone, way: Adb) -> None:
    way.interrupt()
    with pytest.raises(DeviceError, match="was stopped") as stopped:
        way.shell("true")
    assert not isinstance(stopped.value, DeviceLostError)
    with pytest.raises(DeviceError, match="was stopped"):
        way.wait(60)
    way.resume()
    way.wait(0)
    assert way.answers()


odd = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(serial=odd)
def test_no_serial_number_reaches_a_shell(adb_server: AdbServer, phone: Phone, serial: str) -> None:
    before = list(phone.commands)
    way = Adb(adb.find_client(), serial)
    with pytest.raises(DeviceLostError):
        way.shell("true")
    assert phone.commands == before
