"""What can go wrong with a phone, each fault end to end: command line, real adb client, and a phone made of software.

After each: a message that tells what to do, the right exit code, no number but a right one, the phone's folder clean,
its settings as they were, and no process left, here or there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.phone import AdbServer, Bench, Hardware, Phone, Throttle, mangling, write_benchmark_model
from tflite_bench.__main__ import main
from tflite_bench.adb import connection
from tflite_bench.host.runtime import ONE_RELU
from tflite_bench.phone import program as phone_tool
from tflite_bench.phone import wait

ROOT = Path(__file__).resolve().parents[3]
OK, MODEL, FLAGS, DEVICE = 0, 1, 2, 3
LATENCY_MS = 2.0
BLOCKS = 4
QUICK = (f"--num_runs={BLOCKS}", "--min_secs=0", "--warmup_min_secs=0", "--retries=0")
OFTEN = 4  # restarts of one measurement that `interleave` counts as a bad cable


@dataclasses.dataclass
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def measured(self) -> list[dict[str, Any]]:
        return json.loads(self.out)["measurements"] if self.out else []

    @property
    def median_ms(self) -> float:
        (one,) = self.measured
        return one["median_ms"]


@dataclasses.dataclass
class Desk:
    """A phone that adb knows, a model and an executable for it."""

    phone: Phone
    server: AdbServer
    model: Path
    program: Path
    capsys: pytest.CaptureFixture[str]

    def arguments(self, verb: str, *flags: str) -> list[str]:
        device = [] if any(flag.startswith("--device") for flag in flags) else [f"--device=adb:{self.phone.serial}"]
        paths = [] if any(flag.endswith(".tflite") for flag in flags) or verb == "devices" else [str(self.model)]
        timing = QUICK if verb == "run" else QUICK[:3] if verb in ("compare", "profile") else ()
        if verb == "devices":
            return [verb, f"--adb={self.server.path}", "--json", *flags]
        told = any(flag.startswith("--benchmark_model") for flag in flags)
        program = [] if told else [f"--benchmark_model=arm64-v8a={self.program}"]
        return [verb, *paths, *device, *program, f"--adb={self.server.path}", "--json", *timing, *flags]

    def run(self, *flags: str, verb: str = "run") -> Ended:
        """Runs ``tflite-bench`` in this process."""
        self.capsys.readouterr()
        code = main(self.arguments(verb, *flags))
        out, err = self.capsys.readouterr()
        return Ended(code, out, err)

    def start(self, *flags: str, verb: str = "run") -> subprocess.Popen[str]:
        """Runs ``tflite-bench`` in a process of its own."""
        command = [sys.executable, "-m", "tflite_bench", *self.arguments(verb, *flags)]
        return subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @contextlib.contextmanager
    def another(self, *arguments: Any, **more: Any) -> Iterator[Phone]:
        """One more phone that adb knows."""
        with Phone(*arguments, **more) as phone:
            self.server.adb("connect", phone.serial)
            yield phone
            assert phone.changes() == {} and phone.violations == []
        self.server.adb("disconnect", phone.serial)

    def clean(self) -> None:
        """Asserts that the phone is as it was, and that nothing runs any more."""
        eventually(lambda: not self.phone.processes, str(self.phone.processes))
        assert self.phone.changes() == {}
        assert self.phone.settings["global"]["stay_on_while_plugged_in"] == "0"
        assert not self.phone.state.fixed_performance
        assert self.phone.violations == []


def eventually(condition: Callable[[], object], hint: str = "", secs: float = 10) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen {hint}"
        time.sleep(0.01)


def children() -> dict[str, str]:
    """This process's children by number, zombies among them, with their command lines."""
    found = {}
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that ends
            for pid in path.read_text().split():
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") or "zombie"
    return found


@pytest.fixture
def desk(
    adb_server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    monkeypatch.setattr(connection, "_RETURNS_ALONE_SECS", 4.0)  # adb's next attempt is after 3 s
    monkeypatch.setattr(connection, "_POLL_SECS", 0.02)
    monkeypatch.setattr(wait, "_LOST_POLL_SECS", 0.05)
    monkeypatch.setattr(wait, "_COOL_POLL_SECS", 0.05)
    model = tmp_path / "m.tflite"
    model.write_bytes(ONE_RELU)
    before = children()
    with Phone(bench=Bench(latency_us=1000 * LATENCY_MS)) as phone:
        adb_server.connect(phone)
        yield Desk(phone, adb_server, model, write_benchmark_model(tmp_path), capsys)
    adb_server.adb("disconnect", phone.serial)
    assert {pid: line for pid, line in children().items() if pid not in before} == {}


def right(ended: Ended) -> None:
    """Asserts that a run gave the phone's true latency."""
    assert ended.code == OK, ended.err
    assert ended.median_ms == pytest.approx(LATENCY_MS, rel=0.02)
    assert ended.measured[0]["num_runs"] >= BLOCKS


def test_without_a_fault(desk):
    ended = desk.run()
    right(ended)
    assert ended.err == ""
    assert desk.run("--num_runs=50").measured[0]["verdict"] == "OK"
    desk.clean()


# The cable.


@pytest.mark.parametrize(("reset", "kept"), [(False, False), (True, True)], ids=["fin", "rst, half a file stays"])
def test_cable_out_in_the_middle_of_a_push(desk, reset, kept):
    desk.model.write_bytes(ONE_RELU + bytes(3 << 20))
    desk.phone.set(cut_after_bytes=1 << 20, reset=reset, keep_partial=kept)
    ended = desk.run("--lost_secs=10")
    right(ended)
    assert "ended in the middle" in ended.err and "starts anew (1 of at most 3 times)" in ended.err
    assert "1 file pushed" not in ended.err  # adb says so
    desk.clean()


def test_cable_out_in_the_middle_of_the_push_of_benchmark_model(desk):
    desk.program.write_text(f"{desk.program.read_text()}\n# {'x' * (2 << 20)}\n")
    desk.phone.set(cut_after_bytes=1 << 20)
    ended = desk.run("--lost_secs=10")
    right(ended)
    assert "ended in the middle" in ended.err and "Preparing the phone starts anew." in ended.err
    desk.phone.set(cut_after_bytes=1 << 20, away_secs=None)
    ended = desk.run("--lost_secs=0.1")
    assert ended.code == DEVICE and "did not come back within" in ended.err
    desk.phone.listen()
    right(desk.run())
    desk.clean()


@pytest.mark.parametrize(("block", "reset"), [(1, False), (3, True), (BLOCKS + 1, False)])
def test_cable_out_in_the_middle_of_a_run(desk, block, reset):
    desk.phone.at_benchmark(block, lambda: desk.phone.cut(reset=reset))
    ended = desk.run("--lost_secs=10")
    right(ended)
    assert "starts anew" in ended.err
    assert len(desk.phone.benchmarks) == block + 1 + BLOCKS  # all of it again: loading and all blocks
    desk.clean()


def test_cable_out_for_a_while(desk):
    desk.phone.at_benchmark(3, lambda: desk.phone.cut(away_secs=0.5))
    right(ended := desk.run("--lost_secs=20"))
    assert "starts anew" in ended.err
    desk.clean()


def test_cable_out_for_ever(desk):
    desk.phone.at_benchmark(3, lambda: desk.phone.cut(away_secs=None))
    ended = desk.run("--lost_secs=0.2")
    assert ended.code == DEVICE and ended.measured == []
    assert "did not come back within" in ended.err and "is put right at the next use" in ended.err
    assert "Check that its wireless debugging is on" in ended.err
    assert desk.phone.settings["global"]["stay_on_while_plugged_in"] != "0"
    desk.phone.listen()  # the next one puts everything right
    right(desk.run())
    desk.clean()


def test_cable_that_goes_out_again_and_again(desk):
    for block in range(1, OFTEN + 1):
        desk.phone.at_benchmark(block, desk.phone.cut)
    ended = desk.run("--lost_secs=10")
    assert ended.code == DEVICE and f"That happened {OFTEN} times in one measurement: check cable and hub" in ended.err
    desk.clean()


def test_what_a_cut_left_running_is_ended_before_the_next_measurement(desk):
    seen = []
    desk.phone.set(bench_hangs=True, bench_times=1)
    desk.phone.at_benchmark(1, desk.phone.cut)
    desk.phone.at_benchmark(2, lambda: seen.extend(process.name for process in desk.phone.processes))
    right(desk.run("--lost_secs=10"))
    assert sum(name.endswith(".benchmark_model") for name in seen) == 1
    desk.clean()


def test_reboot_in_the_middle_of_a_run(desk):
    desk.phone.at_benchmark(3, lambda: desk.phone.reboot(0.1))
    ended = desk.run("--lost_secs=20", "--fixed_performance")
    assert ended.code == OK and ended.measured[0]["device"]["mode"] == "fixed-performance"
    assert ended.median_ms == pytest.approx(LATENCY_MS / 0.75, rel=0.02)  # the mode was set again
    assert "starts anew" in ended.err
    desk.clean()


# Phones that cannot be used.


def test_unauthorized(desk):
    with desk.another(unauthorized=True) as phone:
        ended = desk.run(f"--device=adb:{phone.serial}")
        assert ended.code == DEVICE and ended.measured == []
        assert f"The phone {phone.serial} cannot be used: unauthorized." in ended.err
        assert "accept the dialog 'Allow USB debugging?'" in ended.err
        phone.set(unauthorized=False)
        desk.server.wait_for_state(phone, "device")
        right(desk.run(f"--device=adb:{phone.serial}"))


def test_unauthorized_in_the_middle_of_a_run(desk):
    def revoke() -> None:
        desk.phone.set(unauthorized=True)
        desk.phone.cut()

    desk.phone.at_benchmark(2, revoke)
    ended = desk.run("--lost_secs=0.2")
    assert ended.code == DEVICE and "Allow USB debugging" in ended.err
    assert "(unauthorized)" in ended.err or "(authorizing)" in ended.err  # adb says the latter for a moment
    desk.phone.set(unauthorized=False)
    desk.server.wait_for_state(desk.phone, "device")
    right(desk.run())
    desk.clean()


def test_offline(desk, monkeypatch):
    monkeypatch.setattr(connection, "_RETURNS_ALONE_SECS", 0.1)
    desk.phone.set(silent=True)
    desk.phone.cut()
    eventually(lambda: desk.server.state(desk.phone) == "offline")
    ended = desk.run("--lost_secs=0")
    assert ended.code == DEVICE and ended.measured == []
    assert "is away (offline)" in ended.err and "wireless debugging" in ended.err
    desk.phone.set(silent=False)
    desk.server.connect(desk.phone)
    right(desk.run())
    desk.clean()


def test_offline_for_a_moment_at_the_beginning(desk):
    desk.phone.cut(away_secs=0.3)
    eventually(lambda: desk.server.state(desk.phone) == "offline")
    right(desk.run())
    desk.clean()


def test_no_phone_at_all(desk):
    desk.server.adb("disconnect", desk.phone.serial)
    ended = desk.run("--device=adb")
    assert ended.code == DEVICE and "No phone is attached." in ended.err
    with desk.another() as phone:
        ended = desk.run("--device=adb:none")
        assert ended.code == DEVICE
        assert f"The phone none is not attached. Attached: adb:{phone.serial} (device). Attach it" in ended.err


# Storage.


@pytest.mark.parametrize("space", [0, 1 << 20], ids=["from the beginning", "in the middle"])
def test_no_space_left(desk, space):
    desk.model.write_bytes(ONE_RELU + bytes(2 << 20))
    desk.program.write_text(f"{desk.program.read_text()}\n# {'x' * 100}\n")
    desk.phone.set(no_space_after=space)
    ended = desk.run()
    assert ended.code == DEVICE and ended.measured == []
    assert "no space left" in ended.err and "Delete something on the phone" in ended.err
    desk.clean()


def test_a_flipped_bit_in_a_push_is_seen_and_pushed_again(desk):
    desk.phone.set(flip_bits=1)
    right(desk.run())
    desk.clean()


def test_every_push_flips_a_bit(desk):
    desk.phone.set(flip_bits=99)
    ended = desk.run()
    assert ended.code == DEVICE and "received a damaged copy" in ended.err and "Try another cable" in ended.err
    desk.clean()


def test_a_stale_file_of_the_same_name_and_size(desk):
    right(desk.run("--keep_files"))
    (there,) = desk.phone.path("/data/local/tmp").glob("*/*.tflite")
    there.write_bytes(bytes(reversed(ONE_RELU)))
    pushed = len(desk.phone.pushes)
    right(desk.run("--keep_files"))
    assert there.read_bytes() == ONE_RELU and len(desk.phone.pushes) > pushed
    right(desk.run())
    desk.clean()


def test_files_are_not_pushed_twice(desk):
    right(desk.run("--keep_files"))
    pushed = len(desk.phone.pushes)
    right(desk.run())
    assert len(desk.phone.pushes) == pushed
    desk.clean()


def test_a_file_that_is_replaced_while_it_is_timed(desk):
    def replace() -> None:
        (there,) = desk.phone.path("/data/local/tmp").glob("*/*.tflite")
        there.write_bytes(ONE_RELU[:-1] + b"x")

    desk.phone.at_benchmark(3, replace)
    ended = desk.run()
    right(ended)
    assert len(desk.phone.benchmarks) > 1 + BLOCKS or ended.measured[0]["verdict"] == "STALE"
    desk.clean()


def test_a_model_of_100_mb(desk):
    with desk.model.open("ab") as file:
        file.truncate(100_000_000)
    ended = desk.run("--num_runs=1")
    assert ended.code == OK and ended.median_ms == pytest.approx(LATENCY_MS, rel=0.02)
    assert ended.measured[0]["model_size_bytes"] == 100_000_000
    desk.clean()


# benchmark_model.


@pytest.mark.parametrize(
    ("number", "text"),
    [(signal.SIGKILL, "was killed (SIGKILL)"), (signal.SIGSEGV, "SIGSEGV"), (signal.SIGABRT, "SIGABRT")],
    ids=["SIGKILL", "SIGSEGV", "SIGABRT"],
)
@pytest.mark.parametrize("call", [0, 3], ids=["loading", "measuring"])
def test_benchmark_model_dies(desk, number, text, call):
    desk.phone.set(bench_signal=int(number), bench_skip=call)
    ended = desk.run()
    assert ended.code == DEVICE and ended.measured == [] and text in ended.err
    assert ("memory" in ended.err) == (number == signal.SIGKILL)
    desk.clean()


def test_benchmark_model_fails_without_a_word(desk):
    desk.phone.set(bench_exit=1)
    ended = desk.run()
    assert ended.code == DEVICE and ended.measured == [] and "benchmark_model" in ended.err
    desk.clean()


@pytest.mark.parametrize("call", [0, 2], ids=["loading", "measuring"])
def test_benchmark_model_hangs_for_ever(desk, call):
    desk.phone.set(bench_hangs=True, bench_skip=call)
    ended = desk.run("--hang_secs=0.5", "--max_secs=0.2")
    assert ended.code == DEVICE and ended.measured == []
    assert "did not end within" in ended.err and "it was killed" in ended.err and "raise hang_secs" in ended.err
    desk.clean()


def relu_of(size: int) -> bytes:
    """`ONE_RELU` of so many numbers: a single one takes less than a microsecond."""
    words = np.frombuffer(ONE_RELU, "<i4").copy()
    for name in b"xy":  # the name of a tensor, the end of its table, and its shape of one dimension
        (at,) = np.flatnonzero(words == name)
        assert words[at + 1 : at + 3].tolist() == [1, 1]
        words[at + 2] = size
    return words.tobytes()


def test_models_that_really_run(desk, tmp_path):
    desk.phone.bench = Bench(latency_us=None)
    desk.model.write_bytes(relu_of(100_000))
    ended = desk.run("--num_runs=20")
    assert ended.code == OK and ended.measured[0]["num_runs"] >= 20 and ended.median_ms > 0
    ended = desk.run(verb="profile")
    assert ended.code == OK and any("RELU" in row["type"].upper() for row in json.loads(ended.out)["profile"]["rows"])
    other = tmp_path / "other.tflite"
    other.write_bytes(relu_of(400_000))
    ended = desk.run(str(desk.model), str(other), "--retries=0", verb="compare")
    assert ended.code == OK and json.loads(ended.out)["comparison"]["num_rounds"] == 10
    assert [one["num_runs"] for one in ended.measured] == [10, 10]  # one a round at least
    desk.clean()


def test_a_damaged_model_is_told_by_the_runtime(desk):
    desk.phone.bench = Bench(latency_us=None)
    desk.model.write_bytes(ONE_RELU[:150])
    ended = desk.run()
    assert ended.code == MODEL and ended.measured == [] and f"Cannot run {desk.model}: " in ended.err
    assert len(desk.phone.benchmarks) == 1
    desk.clean()


@pytest.mark.parametrize(
    "name", ["garbage", "binary", "empty", "truncated", "interleaved", "nan", "zero", "negative", "contradictory"]
)
def test_output_that_is_not_to_be_believed(desk, name):
    desk.phone.set(bench_output=getattr(mangling, name), bench_skip=2)
    ended = desk.run()
    assert ended.code == DEVICE and ended.measured == []
    assert "Expected" in ended.err or "benchmark_model" in ended.err
    assert "Traceback" not in ended.err
    desk.clean()


@pytest.mark.parametrize("flavour", ["litert", "old"])
def test_other_programs_of_that_name(desk, flavour):
    write_benchmark_model(desk.program.parent, flavour)
    ended = desk.run("--num_runs=40")
    if flavour == "old":
        assert ended.code == DEVICE and "is older than" in ended.err and "Use a newer one" in ended.err
    else:
        right(ended)
    desk.clean()


@pytest.mark.parametrize("missing", [("timeout",), ("taskset",), ("sha256sum",)], ids=lambda names: names[0])
def test_phones_that_lack_programs(desk, missing):
    with desk.another(Hardware(missing=missing)) as phone:
        ended = desk.run(f"--device=adb:{phone.serial}", "--pin=big" if "taskset" in missing else "--pin=none")
        if "timeout" in missing:
            right(ended)
        else:
            assert ended.code == (FLAGS if "taskset" in missing else DEVICE) and missing[0] in ended.err


def test_a_delegate_that_is_not_there_is_never_timed_on_the_cpu(desk):
    ended = desk.run("--delegate=gpu")
    assert ended.code == DEVICE and ended.measured == [] and "GPU" in ended.err
    desk.clean()


# Heat.


@pytest.mark.parametrize("status", [None, 3], ids=["silent", "status rises"])
@pytest.mark.parametrize("lowers_clocks", [False, True], ids=["clocks stay", "clocks fall"])
def test_latency_doubles_after_20_runs(desk, status, lowers_clocks):
    throttle = Throttle(after=20, factor=2.0, status=status, lowers_clocks=lowers_clocks)
    desk.phone.set(throttle=throttle)
    ended = desk.run("--num_runs=50", "--warmup_runs=0", "--cool_secs=0")
    assert ended.code == OK
    (one,) = ended.measured
    assert one["verdict"] == "THROTTLED" and one["reason"]
    desk.clean()


@pytest.mark.parametrize("throttle", [Throttle(after=20, factor=2.0), Throttle(after=30, factor=4.0, over=200)])
@pytest.mark.parametrize("retries", [0, 2])
def test_throttling_that_the_warm_up_hides(desk, throttle, retries):
    desk.phone.set(throttle=dataclasses.replace(throttle, status=None, lowers_clocks=False))
    flags = ("--num_runs=50", "--min_secs=1", "--warmup_min_secs=0.5", f"--retries={retries}")  # the defaults
    (one,) = desk.run(*flags).measured
    assert one["verdict"] == "THROTTLED" and "ms when it was loaded" in one["reason"]
    desk.clean()


def test_a_phone_that_is_slow_from_the_start_is_not_ok(desk):
    desk.phone.set(thermal_status=3)
    (one,) = desk.run("--num_runs=50", "--cool_secs=0.1").measured
    assert (one["verdict"], one["reason"]) == ("THROTTLED", "The thermal status is severe: let the device cool down.")
    desk.phone.set(thermal_status=0, throttle=Throttle(after=0, status=None, lowers_clocks=True))
    (one,) = desk.run("--num_runs=50", "--cool_secs=0.1").measured
    assert one["verdict"] == "THROTTLED" and "MHz, less than 90%" in one["reason"]
    (one,) = desk.run("--num_runs=50", "--cool_secs=0.1", "--min_clock_share=0").measured
    assert one["verdict"] == "OK"
    desk.phone.set(throttle=None)
    desk.clean()


def test_throttling_that_grows(desk):
    desk.phone.set(throttle=Throttle(after=30, factor=4.0, over=200, status=None, lowers_clocks=False))
    (one,) = desk.run("--num_runs=100", "--warmup_runs=0", "--cool_secs=0").measured
    assert one["verdict"] == "THROTTLED"
    desk.clean()


def test_a_throttled_measurement_is_repeated_until_it_is_not(desk):
    desk.phone.set(throttle=Throttle(after=30, factor=2.0, recovers_secs=2.0))
    ended = desk.run("--num_runs=50", "--retries=2", "--cool_secs=20")
    assert "waiting up to 20 s until it is cool" in ended.err and "is cool again" in ended.err
    (one,) = ended.measured
    assert one["attempts"][0] == "THROTTLED"
    desk.clean()


def test_a_hot_phone_is_waited_for_with_a_bound(desk):
    desk.phone.set(thermal_status=2)
    ended = desk.run("--cool_secs=1")
    assert ended.code == OK and "has thermal status 2 (moderate), more than 0: waiting" in ended.err
    assert "measuring it all the same" in ended.err
    assert ended.measured[0]["before"]["thermal_status"] == 2
    desk.phone.set(thermal_status=0, temperature_c=50.0)
    assert "has 50.0 °C, more than 45 °C" in desk.run("--cool_secs=0.1").err
    desk.clean()


def test_a_screen_that_is_off_is_switched_on(desk):
    desk.phone.state.awake = False
    right(desk.run())
    assert desk.phone.state.awake
    desk.clean()


# Others who use the phone, or end the work.


def test_two_processes_never_use_one_phone(desk):
    desk.phone.bench = Bench(latency_us=1000 * LATENCY_MS, time_scale=1.0)
    first = desk.start("--num_runs=2000")
    try:
        eventually(lambda: desk.phone.benchmarks)
        ended = desk.run()
        assert ended.code == DEVICE and ended.measured == []
        assert f"is in use by process {first.pid} (" in ended.err
        _, err = first.communicate(timeout=30)
        assert first.returncode == OK, err
    finally:
        first.kill()
        first.communicate()
    desk.phone.bench = Bench(latency_us=1000 * LATENCY_MS)
    right(desk.run())
    desk.clean()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda v: str(int(v))
)
def test_a_process_that_is_asked_to_end_leaves_the_phone_in_order(desk, number, code):
    desk.phone.set(bench_hangs=True)
    running = desk.start("--fixed_performance")
    try:
        eventually(lambda: desk.phone.benchmarks)
        assert desk.phone.state.fixed_performance
        running.send_signal(number)
        _, err = running.communicate(timeout=20)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == code and "Stopped." in err and "Traceback" not in err
    desk.clean()


def test_after_a_killed_process_the_next_one_puts_the_phone_right(desk):
    desk.phone.set(bench_hangs=True, bench_times=1)
    running = desk.start("--fixed_performance")
    eventually(lambda: desk.phone.benchmarks)
    running.kill()
    running.communicate()
    assert desk.phone.state.fixed_performance and desk.phone.changes() != {}
    right(desk.run())
    desk.clean()


def test_adb_server_killed_in_the_middle_of_a_run(desk):
    desk.phone.at_benchmark(3, desk.server.kill)
    ended = desk.run("--lost_secs=20")
    right(ended)
    assert "starts anew" in ended.err
    desk.clean()


def test_adb_server_killed_in_the_middle_of_a_push(desk):
    desk.model.write_bytes(ONE_RELU + bytes(30 << 20))
    desk.phone.set(stall_push_after=10 << 20)

    def kill_when_it_stands() -> None:
        eventually(lambda: any(path.stat().st_size > 9 << 20 for path in desk.phone.path("/data").rglob("*.part")))
        desk.server.kill()
        desk.phone.set(stall_push_after=None)

    killing = threading.Thread(target=kill_when_it_stands)
    killing.start()
    right(desk.run("--lost_secs=20"))
    killing.join()
    desk.clean()


# A phone that says nothing.


def test_a_phone_that_freezes_for_a_while(desk):
    def freeze() -> None:
        desk.phone.freeze()
        threading.Timer(0.5, desk.phone.thaw).start()

    desk.phone.at_benchmark(3, freeze)
    right(desk.run())
    desk.clean()


def test_a_phone_that_freezes_for_longer_than_is_waited_for(desk, monkeypatch):
    monkeypatch.setattr(phone_tool, "_AROUND_SECS", 0.3)
    answers = connection.Adb.answers
    monkeypatch.setattr(connection.Adb, "answers", lambda way: answers(way, 0.3))

    def freeze() -> None:
        desk.phone.freeze()
        threading.Timer(2.0, desk.phone.thaw).start()

    desk.phone.at_benchmark(3, freeze)
    ended = desk.run("--hang_secs=0.3", "--max_secs=0.2")
    right(ended)
    assert "did not answer within" in ended.err and "starts anew" in ended.err
    desk.clean()


def test_a_command_that_is_never_answered(desk):
    desk.phone.set(hang_at="settings get")
    ended = desk.run("--hang_secs=0.5", "--lost_secs=0.1")
    assert ended.code == DEVICE and "did not answer within" in ended.err
    desk.phone.set(hang_at=None)
    right(desk.run())
    desk.clean()


def test_another_phone_in_its_place(desk):
    def exchange() -> None:
        desk.phone.state.properties["ro.serialno"] = "another"
        desk.phone.commands.clear()
        desk.phone.cut()

    desk.phone.at_benchmark(2, exchange)
    ended = desk.run("--lost_secs=10")
    assert ended.code == DEVICE and ended.measured == []
    assert "Another phone answers" in ended.err and "'4a7b0c1d'" in ended.err and "'another'" in ended.err
    assert not any(word in line for line in desk.phone.commands for word in ("settings", "rm ", "pkill", "benchmark"))


def test_cable_out_at_the_end(desk):
    desk.phone.set(cut_at_command="rm -rf", away_secs=None)
    ended = desk.run("--lost_secs=0.1")
    right(ended)  # it was measured before
    assert "is put right at the next use" in ended.err
    desk.phone.listen()
    desk.server.connect(desk.phone)
    right(desk.run())
    desk.clean()


# Names.

ODD = ['it\'s "a b"', "a;b&c|d>e", "$(touch x)`touch x`", "two\nlines", "grüße 日本", "-x*?[a]", "a\\b%s$HOME~"]


@pytest.mark.parametrize("text", ODD)
def test_odd_serial_numbers_models_and_files(desk, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)  # where a shell of this computer would touch something
    folder = tmp_path / f"folder {text}"
    folder.mkdir()
    model = folder / f"{text}.tflite"
    model.write_bytes(ONE_RELU)
    (tmp_path / "cache").mkdir()
    with desk.another(Hardware(serial_number=text, model=text), bench=desk.phone.bench) as phone:
        before = set(tmp_path.iterdir())
        program = folder / "benchmark_model"
        program.write_bytes(desk.program.read_bytes())
        ended = desk.run(str(model), f"--device=adb:{phone.serial}", f"--benchmark_model=arm64-v8a={program}")
        right(ended)
        assert ended.measured[0]["model_name"] == model.name
        assert ended.measured[0]["device"]["serial"] == text
        assert set(tmp_path.iterdir()) == before  # nothing was touched
        assert not any(text in command for command in phone.commands if len(text) > 3)


@pytest.mark.parametrize("serial", [text for text in ODD if "," not in text])
def test_odd_device_strings_are_told_not_run(desk, serial):
    ended = desk.run(f"--device=adb:{serial}", "--lost_secs=0.1")
    assert ended.code == DEVICE and ended.measured == [] and "Traceback" not in ended.err


# Several phones.


@contextlib.contextmanager
def four_models(desk: Desk, tmp_path: Path) -> Iterator[tuple[Phone, list[str], str]]:
    """A second phone, models that take 1, 2, 3 and 4 ms on either, and the device string of both."""
    paths = [tmp_path / f"{number}.tflite" for number in range(1, 5)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(ONE_RELU + bytes(number))
    desk.phone.bench = Bench(latency_us=lambda path: 1000 * (path.stat().st_size - len(ONE_RELU)))
    with desk.another(Hardware(serial_number="second"), bench=desk.phone.bench) as phone:
        desk.server.wait_for_state(phone, "device")
        yield phone, [str(path) for path in paths], f"--device=adb:{desk.phone.serial},{phone.serial}"


def all_four(ended: Ended) -> None:
    assert ended.code == OK, ended.err
    assert [one["median_ms"] for one in ended.measured] == [pytest.approx(n, rel=0.03) for n in (1, 2, 3, 4)]


def test_a_pool_shares_the_work(desk, tmp_path):
    with four_models(desk, tmp_path) as (second, paths, device):
        all_four(desk.run(*paths, device))
        assert desk.phone.benchmarks and second.benchmarks
        assert len(desk.phone.benchmarks) + len(second.benchmarks) == 4 * (1 + BLOCKS)
        all_four(desk.run(*paths, "--device=adb:all"))
    desk.clean()


def test_a_pool_goes_on_without_a_phone_that_went_away(desk, tmp_path):
    with four_models(desk, tmp_path) as (second, paths, device):
        desk.phone.at_benchmark(3, lambda: desk.phone.cut(away_secs=None))
        ended = desk.run(*paths, device)
        all_four(ended)
        assert "is set aside" in ended.err and "Its work goes to the others" in ended.err
        assert len(second.benchmarks) == 4 * (1 + BLOCKS)
    desk.phone.listen()
    desk.server.connect(desk.phone)
    desk.phone.bench = Bench(latency_us=1000 * LATENCY_MS)
    right(desk.run())
    desk.clean()


def test_a_pool_goes_on_without_a_phone_that_fails(desk, tmp_path):
    with four_models(desk, tmp_path) as (_, paths, device):
        desk.phone.set(bench_output=mangling.nan)
        ended = desk.run(*paths, device)
        all_four(ended)
        assert "It gets another try." in ended.err and "is set aside" in ended.err
    desk.clean()


def test_a_pool_of_which_all_fail(desk, tmp_path):
    with four_models(desk, tmp_path) as (second, paths, device):
        for phone in (desk.phone, second):
            phone.set(bench_output=mangling.zero)
        ended = desk.run(*paths, device)
        assert ended.code == DEVICE and ended.measured == []
        assert "min <= median <= max" in ended.err and "It was tried on" in ended.err
    desk.clean()


def test_phones_of_two_models_are_not_mixed(desk, tmp_path):
    other = Hardware(model="Other", serial_number="third")
    with four_models(desk, tmp_path) as (second, paths, _), desk.another(other, bench=desk.phone.bench) as third:
        desk.server.wait_for_state(third, "device")
        serials = ",".join(phone.serial for phone in (desk.phone, second, third))
        ended = desk.run(*paths, f"--device=adb:{serials}")
        assert ended.code == FLAGS and "not comparable" in ended.err and "1 x Xiaomi Other" in ended.err
        all_four(desk.run(*paths, f"--device=adb:{serials}?model=Xiaomi Mi 11"))
        assert desk.phone.benchmarks and second.benchmarks and not third.benchmarks
    desk.clean()


# The other verbs.


def test_devices_tells_why_one_cannot_be_used(desk):
    with desk.another(unauthorized=True) as phone:
        ended = desk.run(verb="devices")
        assert ended.code == OK
        text = ended.out
        assert phone.serial in text and "unauthorized" in text and desk.phone.serial in text and "Mi 11" in text
    desk.clean()


def test_compare_survives_a_cut(desk, tmp_path):
    other = tmp_path / "other.tflite"
    other.write_bytes(ONE_RELU + bytes(64))
    fast = LATENCY_MS * 1000
    desk.phone.bench = Bench(latency_us=lambda path: fast * (2 if path.stat().st_size > len(ONE_RELU) else 1))
    desk.phone.at_benchmark(7, desk.phone.cut)
    ended = desk.run(str(desk.model), str(other), "--lost_secs=10", verb="compare")
    assert ended.code == OK and "starts anew" in ended.err
    medians = [one["median_ms"] for one in ended.measured]
    assert medians == [pytest.approx(LATENCY_MS, rel=0.02), pytest.approx(2 * LATENCY_MS, rel=0.02)]
    desk.clean()


def test_profile_survives_a_cut(desk):
    desk.phone.at_benchmark(2, desk.phone.cut)
    ended = desk.run("--lost_secs=10", verb="profile")
    assert ended.code == OK and "starts anew" in ended.err
    assert json.loads(ended.out)["profile"]["rows"]
    desk.clean()
