from __future__ import annotations

import pytest

from tflite_bench.adb import texts
from tflite_bench.adb.texts import Attached, Trouble
from tflite_bench.errors import DeviceError, OptionsError
from tflite_bench.phone.choice import wanted_serials

DEVICES = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
4a7b0c1d\tdevice
127.0.0.1:5555\toffline
emulator-5554\tunauthorized
a b;$(c)\trecovery
0123\tno permissions (missing udev rules? user is in the plugdev group)

"""
# What the clients 36 and 29 say, in this order where they differ.
FAILURES = [
    ("", "adb: device offline\n", Trouble.OFFLINE),
    ("", "error: device offline\n", Trouble.OFFLINE),
    ("", "adb: error: failed to get feature set: device offline\n", Trouble.OFFLINE),
    ("", "adb: device 'x' not found\n", Trouble.NOT_FOUND),
    ("", "error: device 'x' not found\n", Trouble.NOT_FOUND),
    ("", "adb: no devices/emulators found\n", Trouble.NOT_FOUND),
    ("", "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n", Trouble.UNAUTHORIZED),
    ("failed to authenticate to 127.0.0.1:5555\n", "", Trouble.UNAUTHORIZED),
    ("", "error: insufficient permissions for device: user in plugdev group\n", Trouble.NO_PERMISSIONS),
    (
        "big: 1 file pushed, 0 skipped.\n",
        "adb: error: failed to copy 'big' to '/x': remote write failed: No space left on device\n",
        Trouble.NO_SPACE,
    ),
    (
        "adb: error: failed to copy 'big' to '/x': remote write failed: No space left on device\n0 files pushed.\n",
        "",
        Trouble.NO_SPACE,
    ),
    ("", "ADB server didn't ACK\n", Trouble.SERVER),
    ("", "adb: cannot connect to daemon at tcp:5037: Connection refused\n", Trouble.SERVER),
    ("", "error: protocol fault (status 48 54 54 50?!)\n", Trouble.SERVER),
    ("", "", Trouble.UNKNOWN),
]


def test_the_list_of_phones_is_read_also_with_odd_serial_numbers() -> None:
    assert texts.parse_devices(DEVICES) == (
        Attached("4a7b0c1d", "device"),
        Attached("127.0.0.1:5555", "offline"),
        Attached("emulator-5554", "unauthorized"),
        Attached("a b;$(c)", "recovery"),
        Attached("0123", "no permissions (missing udev rules? user is in the plugdev group)"),
    )


@pytest.mark.parametrize(("stdout", "stderr", "kind"), FAILURES)
def test_a_failure_is_told_by_the_words_that_all_clients_share(stdout: str, stderr: str, kind: Trouble) -> None:
    assert texts.trouble(stdout, stderr) is kind
    assert texts.trouble(stdout, "* daemon started successfully\n" + stderr) is kind


def test_progress_is_no_message() -> None:
    stderr = "[ 45%] /data/x\rC:\\a b: 1 file pushed, 0 skipped. 498.0 MB/s (9 bytes in 0.011s)\nadb: error: EOF\n"
    assert texts.message("", stderr) == "adb: error: EOF"


def test_news_of_the_server_are_no_message() -> None:
    text = texts.message("", "* daemon not running; starting now at tcp:5037\n* daemon started successfully\n")
    assert text == ""


def test_what_a_command_wrote_is_not_taken_for_words_of_the_client() -> None:
    stderr = "sh: foo: not found\nERROR: device offline\nadb: device 'x' not found\nerror: closed\n"
    assert texts.own_lines(stderr) == "adb: device 'x' not found\nerror: closed\n"


def test_a_message_is_no_longer_than_a_person_reads() -> None:
    assert len(texts.message("x y " * 10**6, "")) <= 300


@pytest.mark.parametrize(
    ("stdout", "done"),
    [
        ("connected to 127.0.0.1:5555\n", True),
        ("already connected to 127.0.0.1:5555\n", True),
        ("failed to connect to 127.0.0.1:5555\n", False),
        ("failed to connect to '127.0.0.1:5555': Connection refused\n", False),
        ("failed to authenticate to 127.0.0.1:5555\n", False),
        ("bad port number '99999' in '127.0.0.1:99999'\n", False),
        ("", False),
    ],
)
def test_connect_is_judged_by_its_words(stdout: str, done: bool) -> None:
    assert texts.connected(stdout, "") is done


@pytest.mark.parametrize(
    ("serial", "network"),
    [
        ("127.0.0.1:5555", True),
        ("phone.lan:5555", True),
        ("[fe80::1]:5555", True),
        ("4a7b0c1d", False),
        ("adb-4a7b-x._adb-tls-connect._tcp", False),
        ("a b:5", False),
        (":5", False),
    ],
)
def test_phones_on_the_network_are_told_by_their_names(serial: str, network: bool) -> None:
    assert texts.is_network(serial) is network


@pytest.mark.parametrize("state", ["unauthorized", "offline", "no permissions (x)", "recovery", "not found", "other"])
def test_there_is_advice_for_each_state(state: str) -> None:
    assert texts.advice(state).endswith((".", "PORT", ")"))


ONE = Attached("a", "device")
TWO = Attached("b", "device")


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        ("", "", ("a",)),
        ("b", "", ("b",)),
        ("", "b", ("b",)),
        ("a", "b", ("a",)),
        ("b, c", "", ("b", "c")),
        ("all", "", ("a",)),
        ("127.0.0.1:5555", "", ("127.0.0.1:5555",)),
    ],
)
def test_the_phones_of_a_device_string(argument: str, environment: str, expected: tuple[str, ...]) -> None:
    assert wanted_serials(argument, [ONE], environment) == expected


def test_all_means_all_also_with_a_serial_number_in_the_environment() -> None:
    assert wanted_serials("all", [ONE, TWO], "b") == ("a", "b")


@pytest.mark.parametrize("argument", ["a,", ",a", "a,,b", "a,a", "a, a"])
def test_serial_numbers_are_each_named_once(argument: str) -> None:
    with pytest.raises(OptionsError, match="each once"):
        wanted_serials(argument, [ONE], "")


def test_of_several_phones_one_has_to_be_named() -> None:
    with pytest.raises(OptionsError, match=r"one of 2 attached phones: adb:a \(device\), adb:b \(device\); or adb:all"):
        wanted_serials("", [ONE, TWO], "")


def test_the_only_phone_that_takes_commands_needs_no_name() -> None:
    others = [Attached("x", "offline"), Attached("y", "unauthorized")]
    assert wanted_serials("", [others[0], ONE, others[1]], "") == ("a",)
    with pytest.raises(OptionsError, match=r"adb:x \(offline\), adb:y \(unauthorized\)"):
        wanted_serials("", others, "")


@pytest.mark.parametrize("argument", ["", "all"])
def test_without_a_phone_it_is_told_how_to_attach_one(argument: str) -> None:
    with pytest.raises(DeviceError, match="USB debugging"):
        wanted_serials(argument, [], "")


def test_an_only_phone_that_cannot_be_used_is_told_with_what_to_do() -> None:
    with pytest.raises(DeviceError, match="Allow USB debugging"):
        wanted_serials("", [Attached("a", "unauthorized")], "")
    assert wanted_serials("", [Attached("a", "offline")], "") == ("a",)
