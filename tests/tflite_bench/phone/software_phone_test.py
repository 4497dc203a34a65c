"""The phone of tests/phone behaves towards the real adb client as phones do, also when something is wrong with it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.phone import AdbServer, Bench, Cluster, Delegates, Hardware, Phone, Throttle, mangling, write_benchmark_model
from tests.phone.interpreters import INTERPRETERS, Interpreters
from tests.phone.tree import _sweep
from tflite_bench.host.runtime import ONE_RELU

TMP = "/data/local/tmp"
MEGABYTES = 20
Adb = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def phone(adb_server: AdbServer) -> Iterator[Phone]:
    with Phone() as made:
        adb_server.connect(made)
        yield made
        assert made.violations == []


@pytest.fixture(scope="module", autouse=True)
def _litert() -> Iterator[None]:
    """LiteRT starts once for all phones here."""
    with INTERPRETERS.kept():
        yield


@pytest.fixture
def adb(adb_server: AdbServer, phone: Phone) -> Adb:
    return lambda *arguments, **more: adb_server.adb("-s", phone.serial, *arguments, **more)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "big"
    path.write_bytes(os.urandom(MEGABYTES << 20))
    return path


@pytest.fixture
def benchmark_model(tmp_path: Path, adb: Adb) -> str:
    """The stand-in and a model, pushed."""
    model = tmp_path / "m.tflite"
    model.write_bytes(ONE_RELU)
    adb("push", str(write_benchmark_model(tmp_path)), str(model), TMP)
    return f"{TMP}/benchmark_model --graph={TMP}/m.tflite"


def eventually(condition: Callable[[], object], secs: float = 10) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def child_processes() -> set[str]:
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


# A healthy phone.


def test_devices_tells_what_the_phone_is(adb_server, adb, phone):
    said = adb_server.adb("devices", "-l").stdout
    assert f"{phone.serial}        device product:venus model:Mi_11 device:venus" in said
    assert adb("get-state").stdout == "device\n"
    assert "shell_v2" in adb("features").stdout


def test_connect_says_when_nobody_listens(adb_server):
    with Phone() as phone:
        phone.cut(away_secs=None)
        assert "Connection refused" in adb_server.adb("connect", phone.serial).stdout


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("true", 0, "", ""),
        ("echo out; echo err >&2; exit 3", 3, "out\n", "err\n"),
        ("kill -9 $$", 137, "", ""),
        ("kill -11 $$", 139, "", ""),
        ("printf 'a\\n\\0b'", 0, "a\n\0b", ""),
        ("pwd; cd /data/local/tmp && pwd", 0, "/\n/data/local/tmp\n", ""),
        ("echo 'ü; $(true) \"'", 0, 'ü; $(true) "\n', ""),
        ("nothing_like_that", 127, "", "/bin/sh: 1: nothing_like_that: not found\n"),
        ("cat /sys/devices/system/cpu/cpu[037]/cpufreq/cpuinfo_max_freq", 0, "1804800\n1804800\n2841600\n", ""),
        ("cat /sys/devices/system/cpu/online", 0, "0-7\n", ""),
        ("getprop ro.product.model; getprop nothing; getprop nothing else", 0, "Mi 11\n\nelse\n", ""),
        ("dumpsys thermalservice | grep Status:", 0, "Thermal Status: 0\n", ""),
        ("dumpsys battery | grep -E 'level|temp'", 0, "  level: 87\n  temperature: 274\n", ""),
        ("dumpsys nothing", 1, "", "Can't find service: nothing\n"),
        ("taskset f0 nproc; taskset 70 nproc", 0, "4\n3\n", ""),
        ("taskset 0xf0 true", 1, "", "taskset: bad mask '0xf0'\n"),
        ("settings get global nothing; settings put global a 'b c'; settings get global a", 0, "null\nb c\n", ""),
        ("timeout 0.05 sleep 5", 124, "", ""),
        ("id -u >/dev/null; uname -m", 0, "aarch64\n", ""),
    ],
)
def test_shell(adb, command, code, out, err):
    said = adb("shell", command)
    assert (said.returncode, said.stdout, said.stderr) == (code, out, err)


def test_taskset_refuses_a_mask_without_a_core(adb):
    said = adb("shell", "taskset 100 true")
    assert said.returncode == 1 and "Invalid argument" in said.stderr


def test_commands_are_kept(adb, phone):
    adb("shell", "echo  'one;'  two")
    assert phone.commands == ["echo  'one;'  two"]


def test_input_reaches_the_command(adb):
    assert adb("shell", "cat; echo end", input="a\nb").stdout == "a\nbend\n"


def test_exec_out_is_what_the_command_writes(adb):
    said = adb("exec-out", "printf 'a\\r\\n'; exit 3")
    assert (said.stdout, said.returncode) == ("a\n", 0)  # read as text here; the code is not told


def test_much_output(adb):
    assert len(adb("shell", "seq 300000").stdout) == len("".join(f"{n}\n" for n in range(1, 300001)))


@pytest.mark.parametrize(("old", "megabytes"), [(False, MEGABYTES), (True, 3)])
def test_push_and_pull_keep_every_byte(adb_server, tmp_path, big, old, megabytes):
    os.truncate(big := Path(shutil.copy(big, tmp_path / "big")), megabytes << 20)
    with Phone(old=old) as phone:
        adb_server.connect(phone)
        pushed = adb_server.adb("-s", phone.serial, "push", str(big), f"{TMP}/big")
        assert pushed.returncode == 0 and "1 file pushed" in pushed.stderr
        assert sha256(phone.path(f"{TMP}/big")) == sha256(big)
        assert adb_server.adb("-s", phone.serial, "pull", f"{TMP}/big", str(tmp_path / "back")).returncode == 0
        assert sha256(tmp_path / "back") == sha256(big)
        assert phone.violations == []


@pytest.mark.parametrize("name", ["with blank", "it's", 'say "so"', "grüße 日本", "a;b", "$(touch x)", "-dash", "*"])
def test_names_are_only_names(adb, phone, tmp_path, name):
    local = tmp_path / "local"
    local.write_text(name)
    assert adb("push", str(local), f"{TMP}/{name}").returncode == 0
    assert phone.path(f"{TMP}/{name}").read_text() == name
    assert adb("pull", f"{TMP}/{name}", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_text() == name
    assert set(phone.changes()) == {f"{TMP}/{name}"}


def test_folders(adb, phone, tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("c")
    (tmp_path / "a/d").write_text("d")
    assert adb("push", str(tmp_path / "a"), TMP).returncode == 0
    assert adb("pull", f"{TMP}/a", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back/b/c").read_text() + (tmp_path / "back/d").read_text() == "cd"
    assert adb("ls", f"{TMP}/a").stdout.split()[3::4] == [".", "..", "b", "d"]


def test_the_mode_is_kept(adb, phone, tmp_path):
    (tmp_path / "program").write_text("#!/bin/sh\necho run\n")
    (tmp_path / "program").chmod(0o755)
    adb("push", str(tmp_path / "program"), TMP)
    assert adb("shell", f"{TMP}/program").stdout == "run\n"


def test_missing_files_are_told(adb, tmp_path):
    assert "cannot stat" in adb("push", str(tmp_path / "none"), TMP).stderr
    said = adb("pull", f"{TMP}/none", str(tmp_path))
    assert said.returncode == 1 and "No such file or directory" in said.stderr


def test_only_its_own_places_can_be_written(adb, tmp_path):
    (tmp_path / "x").write_text("x")
    said = adb("push", str(tmp_path / "x"), "/system/x")
    assert said.returncode == 1 and "couldn't create file: Permission denied" in said.stderr
    assert adb("shell", "rm -rf / /system ../.. x").returncode == 1
    assert adb("shell", f"rm -rf {TMP}/../../../system").returncode == 1


def test_two_phones_are_two(adb_server, tmp_path):
    with Phone(Hardware(model="One")) as one, Phone(Hardware(model="Two"), old=True) as two:
        for phone in (one, two):
            adb_server.connect(phone)
        said = [adb_server.adb("-s", phone.serial, "shell", "getprop ro.product.model").stdout for phone in (one, two)]
        assert said == ["One\n", "Two\n"]
        assert "more than one device" in adb_server.adb("shell", "true").stderr


def test_several_commands_run_at_once(adb):
    with contextlib.ExitStack() as stack:
        said: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: said.append(adb("shell", f"sleep 0.2; echo {n}").stdout))
            for n in range(4)
        ]
        start = time.monotonic()
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
    assert sorted(said) == ["0\n", "1\n", "2\n", "3\n"]
    assert time.monotonic() - start < 0.7


@pytest.mark.parametrize("text", ["a b", "it's", "ü", '"; $(touch /tmp/x) `id`', "two\nlines", ""])
def test_the_serial_number_is_any_text(adb_server, text):
    with Phone(Hardware(serial_number=text)) as phone:
        adb_server.connect(phone)
        assert adb_server.adb("-s", phone.serial, "shell", "getprop ro.serialno").stdout == f"{text}\n"


def test_an_old_phone_tells_no_exit_codes(adb_server):
    features = ("cmd", "stat_v2")
    with Phone(Hardware(features=features), old=True) as phone:
        adb_server.connect(phone)
        said = adb_server.adb("-s", phone.serial, "shell", "echo out; echo err >&2; exit 3")
        assert (said.returncode, said.stderr) == (0, "") and said.stdout.split() == ["out", "err"]


def test_other_cores(adb_server):
    with Phone(Hardware(clusters=(Cluster(6, 1000000), Cluster(2, 2000000)))) as phone:
        adb_server.connect(phone)
        said = adb_server.adb("-s", phone.serial, "shell", "taskset c0 nproc; cat /sys/devices/system/cpu/possible")
        assert said.stdout == "2\n0-7\n"


def test_modes_are_seen(adb, phone):
    adb("shell", "cmd power set-fixed-performance-mode-enabled true; svc power stayon true; input keyevent 223")
    assert phone.state.fixed_performance and not phone.state.awake
    assert phone.settings["global"]["stay_on_while_plugged_in"] == "7"
    assert int(adb("shell", "cat /sys/devices/system/cpu/cpu7/cpufreq/scaling_max_freq").stdout) < 2841600


def test_a_phone_without_the_mode_says_so(adb_server):
    with Phone(Hardware(has_fixed_performance=False)) as phone:
        adb_server.connect(phone)
        said = adb_server.adb("-s", phone.serial, "shell", "cmd power set-fixed-performance-mode-enabled true")
        assert said.returncode == 255 and "Failed to set FIXED_PERFORMANCE mode" in said.stdout


def test_root_is_refused(adb):
    assert "cannot run as root" in adb("root").stdout


# benchmark_model.


def test_a_simulated_run_tells_its_latency(adb, phone, benchmark_model):
    phone.bench = Bench(latency_us=1000, noise=0)
    said = adb("shell", f"{benchmark_model} --num_runs=30 --min_secs=0")
    assert said.returncode == 0
    assert "INFO: count=30 curr=1000(all same) p5=1000 median=1000 p95=1000\n" in said.stdout
    assert f"INFO: Graph: [{TMP}/m.tflite]\n" in said.stdout
    assert phone.benchmarks == [[f"--graph={TMP}/m.tflite", "--num_runs=30", "--min_secs=0"]]


def test_litert_really_runs_the_model(adb, phone, benchmark_model):
    phone.bench = Bench(latency_us=None)
    arguments = "--num_runs=20 --min_secs=0 --warmup_min_secs=0 --enable_op_profiling=true"
    said = adb("shell", f"{benchmark_model} {arguments}")
    assert said.returncode == 0
    assert "INFO: count=20 " in said.stdout and "\tRELU\t" not in said.stdout and "RELU\t" in said.stdout
    phone.path(f"{TMP}/m.tflite").write_bytes(ONE_RELU[:150])
    said = adb("shell", benchmark_model)
    assert said.returncode != 0 and "count=20" not in said.stdout


def test_the_other_program_speaks_its_own_language(adb, tmp_path, benchmark_model):
    adb("push", str(write_benchmark_model(tmp_path, "litert")), TMP)
    said = adb("shell", f"{benchmark_model} --use_xnnpack=true --num_runs=20 --result_file_path={TMP}/r")
    assert "WARN: Unconsumed cmdline flags: --use_xnnpack=true\n" in said.stdout
    assert "Inference (avg):      2.00 ms" in said.stderr and "Inference timings in us" not in said.stdout
    assert adb("shell", f"ls {TMP}/r").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ("--graph=/none", 1, "ERROR: Could not open '/none'."),
        ("--graph=/data/local/tmp", 1, "failed with error '19'"),
        ("", 1, "ERROR: Please specify the name of your TF Lite input file with --graph"),
        ("--graph=/data/local/tmp/m.tflite --num_runs=x", 1, "ERROR: Failed to parse flag 'num_runs'"),
        ("--graph=/data/local/tmp/m.tflite --x=1", 0, "WARN: Unconsumed cmdline flags: --x=1"),
        ("--graph=/data/local/tmp/m.tflite --use_gpu=true", 0, "WARN: GPU acceleration is unsupported"),
        (
            "--graph=/data/local/tmp/m.tflite --use_gpu=true --require_full_delegation=true",
            1,
            "ERROR: Disallowed CPU fallback detected.",
        ),
    ],
)
def test_benchmark_model_fails_as_the_genuine_one(adb, benchmark_model, arguments, code, text):
    said = adb("shell", f"{benchmark_model.split()[0]} {arguments}")
    assert said.returncode == code and text in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("does", "text"),
    [("full", "completely executed"), ("partial", "partially executed by the delegate w/ 2"), ("none", "will not be")],
)
def test_gpus(adb, phone, benchmark_model, does, text):
    phone.bench = Bench(delegates=Delegates(gpu=does))
    assert text in adb("shell", f"{benchmark_model} --use_gpu=true").stdout


def test_slow_cores_are_slow(adb, phone, benchmark_model):
    phone.bench = Bench(latency_us=1000, noise=0)
    assert "median=1574 " in adb("shell", f"taskset 0f {benchmark_model}").stdout
    assert "median=1000 " in adb("shell", f"taskset ff {benchmark_model}").stdout


def test_throttling(adb, phone, benchmark_model):
    phone.set(throttle=Throttle(after=20, factor=2.0))
    phone.bench = Bench(latency_us=1000, noise=0)
    runs = f"{benchmark_model} --num_runs=10 --min_secs=0 --warmup_runs=0 --warmup_min_secs=0"
    medians = [adb("shell", runs).stdout.split("median=")[2].split()[0] for _ in range(3)]
    assert medians == ["1000", "1000", "2000"]
    assert "Thermal Status: 3" in adb("shell", "dumpsys thermalservice").stdout
    assert adb("shell", "cat /sys/devices/system/cpu/cpu7/cpufreq/scaling_max_freq").stdout == "1420800\n"
    phone.state.cool()
    assert "Thermal Status: 0" in adb("shell", "dumpsys thermalservice").stdout


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, 137), (signal.SIGSEGV, 139), (signal.SIGTERM, 143)], ids=lambda v: str(int(v))
)
@pytest.mark.parametrize("latency_us", [1000, None])
def test_benchmark_model_can_be_killed(adb, phone, benchmark_model, latency_us, number, code):
    phone.bench = Bench(latency_us=latency_us)
    phone.set(bench_signal=int(number))
    said = adb("shell", f"{benchmark_model} --warmup_min_secs=0")
    assert said.returncode == code and "Inference timings" not in said.stdout


@pytest.mark.parametrize("latency_us", [1000, None])
def test_a_running_benchmark_is_found_and_killed(adb_server, adb, phone, benchmark_model, latency_us):
    phone.bench = Bench(latency_us=latency_us, time_scale=1)
    running = adb_server.popen("-s", phone.serial, "shell", f"{benchmark_model} --num_runs=100000000 --max_secs=60")
    eventually(lambda: phone.benchmarks)
    assert adb("shell", "kill -9 $(pidof benchmark_model)").returncode == 0
    out, _ = running.communicate(timeout=10)
    assert running.returncode == 137 and "count" not in out.partition("Running")[2].partition("Running")[2]
    assert phone.processes == []


@pytest.mark.parametrize("name", ["garbage", "empty", "truncated", "interleaved", "nan", "zero", "negative"])
def test_output_can_be_mangled(adb, phone, benchmark_model, name):
    healthy = adb("shell", benchmark_model).stdout
    phone.set(bench_output=getattr(mangling, name), bench_times=1)
    assert adb("shell", benchmark_model).stdout != healthy
    assert adb("shell", benchmark_model).stdout == healthy  # once only


# Faults.


def test_a_cut_in_a_push(adb, phone, big):
    phone.set(cut_after_bytes=5 << 20)
    said = adb("push", str(big), f"{TMP}/big")
    assert said.returncode == 1 and "failed to read copy response: EOF" in said.stderr
    assert "1 file pushed" in said.stderr  # that is how adb is
    eventually(lambda: not phone.path(f"{TMP}/big").exists())


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_in_a_pull(adb, phone, big, tmp_path, reset):
    phone.path(f"{TMP}/big").write_bytes(big.read_bytes())
    phone.set(cut_pull_after=5 << 20, reset=reset)
    said = adb("pull", f"{TMP}/big", str(tmp_path / "big"))
    assert said.returncode == 1 and "error" not in said.stderr  # no text says why
    assert not (tmp_path / "big").exists()


def test_a_cut_in_a_command(adb, phone, adb_server):
    phone.set(cut_at_output=b"begun")
    said = adb("shell", "echo begun; sleep 20")
    assert said.returncode == 255 and said.stderr == ""
    adb_server.wait_for_state(phone, "device")  # after a quarter of a second
    assert adb("shell", "echo back").stdout == "back\n"


@pytest.mark.parametrize(("command", "left"), [("sleep 20", []), ("cd / && sleep 20", ["sleep"])])
def test_a_cut_leaves_children_of_compound_commands(adb, phone, adb_server, command, left):
    def cut() -> None:
        eventually(lambda: "sleep" in [process.name for process in phone.processes])
        phone.cut()

    threading.Thread(target=cut).start()
    assert adb("shell", command).returncode == 255
    eventually(lambda: [process.name for process in phone.processes] == left)
    adb_server.wait_for_state(phone, "device")
    assert adb("shell", "pkill -9 sleep").returncode == int(not left)
    eventually(lambda: not phone.processes)


def test_a_phone_that_is_away_comes_back(adb, phone, adb_server):
    phone.cut(away_secs=0.3)
    eventually(lambda: adb_server.state(phone) == "offline")
    said = adb("shell", "true")
    assert said.returncode == 1 and "device offline" in said.stderr
    adb_server.wait_for_state(phone, "device")


def test_a_phone_that_stays_away(adb, phone, adb_server):
    phone.cut(away_secs=None)
    eventually(lambda: adb_server.state(phone) == "offline")
    adb("disconnect", phone.serial)
    assert "Connection refused" in adb_server.adb("connect", phone.serial).stdout
    assert "not found" in adb("get-state").stderr
    phone.listen()
    adb_server.connect(phone)


def test_a_silent_phone_is_offline(adb, phone, adb_server):
    phone.set(silent=True)
    phone.cut()
    eventually(lambda: adb_server.state(phone) == "offline")
    time.sleep(0.3)  # it has connected again by now
    assert adb_server.state(phone) == "offline"
    said = adb("push", __file__, TMP)
    assert said.returncode == 1 and "device offline" in said.stderr
    phone.set(silent=False)
    adb_server.wait_for_state(phone, "device")


def test_an_unauthorized_phone(adb_server):
    with Phone(unauthorized=True) as phone:
        assert "failed to authenticate" in adb_server.adb("connect", phone.serial).stdout
        assert adb_server.state(phone) == "unauthorized"
        said = adb_server.adb("-s", phone.serial, "shell", "true")
        assert said.returncode == 1 and "device unauthorized." in said.stderr
        phone.set(unauthorized=False)
        adb_server.wait_for_state(phone, "device")


def test_a_reboot(adb, phone, adb_server):
    phone.path(f"{TMP}/kept").write_text("kept")
    before = adb("shell", "cat /proc/sys/kernel/random/boot_id; cmd power set-fixed-performance-mode-enabled true")
    running = adb_server.popen("-s", phone.serial, "shell", "nohup sleep 20 & sleep 20")
    eventually(lambda: len(phone.processes) >= 2)
    phone.reboot(0.05)
    running.communicate(timeout=5)
    assert phone.processes == []
    adb_server.wait_for_state(phone, "device")
    after = adb("shell", "cat /proc/sys/kernel/random/boot_id")
    assert len(after.stdout.split()) == 1 and after.stdout != before.stdout
    assert phone.path(f"{TMP}/kept").exists() and not phone.state.fixed_performance


def test_adb_can_reboot_it(adb, phone):
    assert adb("reboot").returncode == 0
    eventually(lambda: phone.state.boots == 2)


@pytest.mark.parametrize("space", [0, 1 << 20])
def test_no_space(adb, phone, big, space):
    phone.set(no_space_after=space)
    said = adb("push", str(big), f"{TMP}/big")
    assert said.returncode == 1 and "remote write failed: No space left on device" in said.stderr
    assert not phone.path(f"{TMP}/big").exists()
    assert f"{space >> 10} " in adb("shell", f"df {TMP}").stdout


def test_a_flipped_bit(adb, phone, big):
    phone.set(flip_bits=1)
    assert adb("push", str(big), f"{TMP}/big").returncode == 0
    assert sha256(phone.path(f"{TMP}/big")) != sha256(big)
    assert adb("push", str(big), f"{TMP}/big").returncode == 0
    assert sha256(phone.path(f"{TMP}/big")) == sha256(big)


def test_a_push_that_stands_still(adb, phone, big):
    phone.set(stall_push_after=1 << 20)
    with pytest.raises(subprocess.TimeoutExpired):
        adb("push", str(big), f"{TMP}/big", timeout=0.3)
    assert adb("shell", "echo others go on").stdout == "others go on\n"
    assert phone.path(f"{TMP}/big").exists()
    phone.cut()
    eventually(lambda: not phone.path(f"{TMP}/big").exists())


def test_a_command_that_is_never_answered(adb, phone):
    phone.set(hang_at="slow")
    with pytest.raises(subprocess.TimeoutExpired):
        adb("shell", "echo slow", timeout=0.2)
    assert adb("shell", "echo quick").stdout == "quick\n"


def test_refused_and_ignored_services(adb, phone):
    phone.set(refuse_services=True)
    said = adb("shell", "true")
    assert said.returncode == 1 and "closed" in said.stderr
    phone.set(refuse_services=False, ignore_services=True)
    with pytest.raises(subprocess.TimeoutExpired):
        adb("shell", "true", timeout=0.2)


def test_a_frozen_phone(adb, phone):
    phone.freeze()
    with pytest.raises(subprocess.TimeoutExpired):
        adb("shell", "true", timeout=0.2)
    assert adb("get-state").stdout == "device\n"
    phone.thaw()
    assert adb("shell", "echo again").stdout == "again\n"


def test_a_killed_adb_server(adb, phone, adb_server):
    running = adb_server.popen("-s", phone.serial, "shell", "sleep 20")
    eventually(lambda: phone.commands)
    adb_server.kill()
    running.communicate(timeout=5)
    assert running.returncode == 255
    assert "not found" in adb("shell", "true").stderr  # a new server knows no phone
    adb_server.connect(phone)
    assert adb("shell", "echo back").stdout == "back\n"


def test_litert_ends_with_the_last_phone(adb_server):
    interpreters = Interpreters()
    children = child_processes()
    interpreters.job("one").close()
    interpreters.job("two").close()
    interpreters.leave("one")
    assert len(child_processes() - children) == 1
    interpreters.leave("two")
    assert child_processes() == children


def test_what_killed_processes_left_is_swept_away():
    code = "from tests.phone import *; import os; AdbServer(); Phone(); os.kill(os.getpid(), 9)"
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    killed.wait()
    places = [Path(place) for place in {"/dev/shm", tempfile.gettempdir()}]

    def left() -> list[Path]:
        return [path for place in places for path in place.glob(f"*_{killed.pid}_*")]

    assert len(left()) == 3  # of adb, of the phone, and of its programs
    with AdbServer():
        pass
    _sweep.cache_clear()
    Phone().close()
    assert left() == []


def test_nothing_lives_on(adb_server, tmp_path):
    threads, children = threading.active_count(), child_processes()
    files = set(os.listdir("/proc/self/fd"))
    with Phone(bench=Bench(latency_us=None)) as phone:
        adb_server.connect(phone)
        (tmp_path / "m.tflite").write_bytes(ONE_RELU)
        adb_server.adb(
            "-s", phone.serial, "push", str(write_benchmark_model(tmp_path)), str(tmp_path / "m.tflite"), TMP
        )
        commands = (
            "nohup setsid sleep 30 & sleep 30",
            f"{TMP}/benchmark_model --graph={TMP}/m.tflite --num_runs=9999999",
        )
        clients = [adb_server.popen("-s", phone.serial, "shell", command) for command in commands]
        eventually(lambda: phone.benchmarks and len(phone.processes) >= 4)
        phone.freeze()
    for client in clients:
        client.communicate(timeout=5)
    assert phone.processes == []
    assert not phone.tree.folder.exists()
    eventually(lambda: threading.active_count() <= threads)
    assert len(os.listdir("/proc/self/fd")) <= len(files)
    assert child_processes() == children
