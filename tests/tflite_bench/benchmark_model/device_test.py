"""The device ``binary:PATH``, with small executables that behave and that do not."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.tflite_bench.benchmark_model.captured import result_of
from tests.tflite_bench.benchmark_model.elf_files import elf
from tests.tflite_bench.benchmark_model.stand_in import calls, write_model, write_stand_in
from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model import device as binary
from tflite_bench.benchmark_model.device import BinaryDevice, open_binary
from tflite_bench.benchmark_model.fetch import take_file
from tflite_bench.device import open_device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import (
    BenchError,
    DeviceError,
    DeviceHungError,
    DeviceLostError,
    ModelFileError,
    OptionsError,
    OutputError,
)
from tflite_bench.model_file import ModelFile

QUICK = BenchOptions(num_runs=10, min_secs=0.0, warmup_min_secs=0.0)
HASTY = DeviceOptions(hang_secs=0.5)
NAMES = [
    "a b",
    "it's",
    'say "x"',
    "a;touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a\nb",
    "größe-模型",
    "-v",
    "a=b",
    "%n",
]

EARLIER: set[str] = set()


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_model(tmp_path / "model.tflite")


@contextlib.contextmanager
def opened(folder: pathlib.Path, options: DeviceOptions | None = None, **parts: str) -> Iterator[BinaryDevice]:
    path = write_stand_in(folder / "benchmark_model", **parts)
    with open_binary(str(path), options or DeviceOptions()) as device:
        yield device


def _children() -> set[str]:
    """The children of this process, also those that ended and are waiting to be waited for."""
    found = set()
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            _, _, rest = stat.read_text(errors="replace").rpartition(") ")
            if int(rest.split()[1]) == os.getpid():
                found.add(stat.parent.name)
    return found


@pytest.fixture(autouse=True)
def _earlier_children() -> Iterator[None]:
    # Tests of other modules may have left servers that live as long as this process.
    EARLIER.clear()
    EARLIER.update(_children())
    yield


def _require_no_children() -> None:
    assert _children() <= EARLIER


def _require_gone(pid: int) -> None:
    for _ in range(100):
        try:
            os.kill(pid, 0)
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":  # dead; whoever inherited it has not looked yet
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still there")


def test_a_measurement_has_what_the_program_told(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path) as device:
        got = device.benchmark(model, QUICK)
        folder = pathlib.Path(device._folder.name)
        assert folder.exists()
    assert (got.model_name, got.num_runs, got.median_ms, got.min_ms) == ("model.tflite", 10, 4.0, 4.0)
    assert (got.init_ms, got.first_inference_ms, got.peak_memory_mb) == (20.0, 5.0, 38.25)
    assert got.delegation is not None and got.delegation.complete
    assert (got.device.kind, got.device.runtime) == ("binary", "benchmark_model")
    assert got.device.runtime_version == hashlib.sha256((tmp_path / "benchmark_model").read_bytes()).hexdigest()[:16]
    assert not folder.exists()
    _require_no_children()


def test_the_device_string_opens_it(tmp_path: pathlib.Path) -> None:
    path = write_stand_in(tmp_path / "bench")
    with open_device(f"binary:{path}") as device:
        assert device.info().fingerprint.startswith("binary-")


def test_another_executable_is_another_device(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path) as device:
        first = device.info().fingerprint
        assert device.info().fingerprint == first
    with opened(tmp_path, before="true") as device:
        assert device.info().fingerprint != first


@pytest.mark.parametrize("name", NAMES)
def test_names_are_never_read_as_commands(tmp_path: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name
    folder.mkdir()
    path = write_stand_in(folder / f"{name}.bin")
    model = write_model(folder / f"{name}.tflite")
    with open_binary(str(path.relative_to(tmp_path)), DeviceOptions()) as device:
        assert device.benchmark(model.relative_to(tmp_path), QUICK).median_ms == 4.0
    assert len(calls(folder)) == 2
    assert not list(tmp_path.rglob("pwned"))


def test_a_path_that_looks_like_output_is_not_taken_for_it(tmp_path: pathlib.Path) -> None:
    model = write_model(tmp_path / "x\nINFO: count=5 curr=1(all same) p5=1 median=1 p95=1\n.tflite")
    with opened(tmp_path) as device:
        assert device.benchmark(model, QUICK).median_ms == 4.0


def test_loading_warms_up_as_asked_and_blocks_a_little(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path) as device, device.load(model, BenchOptions(threads=2)) as loaded:
        assert loaded.run(7, 0.25, 10.0).count == 7
    load, run = calls(tmp_path)
    assert "--num_threads=2 --num_runs=1 --min_secs=0 --max_secs=150 --warmup_runs=1 --warmup_min_secs=0.5" in load
    assert "--num_threads=2 --num_runs=7 --min_secs=0.25 --max_secs=10 --warmup_runs=1 --warmup_min_secs=0.2" in run
    assert "--use_xnnpack=true" in run


def test_a_closed_model_is_gone(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path) as device:
        loaded = device.load(model, QUICK)
        assert len(list(pathlib.Path(device._folder.name).iterdir())) == 1
        loaded.close()
        loaded.close()
        assert not list(pathlib.Path(device._folder.name).iterdir())
        with pytest.raises(DeviceError, match="was closed: load it again"):
            loaded.run(1, 0.0, 1.0)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("exit 137", DeviceError, "killed .SIGKILL., as systems do when memory runs out"),
        ("kill -9 $$", DeviceError, "killed .SIGKILL."),
        ("exit 139", DeviceError, "crashed .SIGSEGV."),
        ("kill -SEGV $$", DeviceError, "crashed .SIGSEGV."),
        ("exit 134", DeviceError, "crashed .SIGABRT."),
        ("exit 132", DeviceError, "crashed .SIGILL.*built for this device"),
        ("kill -TERM $$", DeviceError, "crashed .SIGTERM."),
        ("exit 255", DeviceError, "exit code 255"),
        ("exit 127", DeviceLostError, "no longer where it was put"),
        ("exit 126", DeviceError, "cannot be executed"),
        ("exit 124", DeviceError, "did not end in time"),
        ("exit 1", DeviceError, "exit code 1"),
        ("exit 0", OutputError, "Received 1 of the 2: the output is cut off"),
        ("echo nonsense; exit 0", OutputError, "cut off"),
        ("head -c 99999 /dev/urandom; exit 0", OutputError, "cut off"),
        (
            "echo 'ERROR: The model is not a valid Flatbuffer buffer' >&2; exit 1",
            ModelFileError,
            "model.tflite: The mo",
        ),
    ],
)
@pytest.mark.parametrize("when", ["loading", "running"])
def test_a_run_that_fails_is_told(
    tmp_path: pathlib.Path, model: pathlib.Path, code: str, kind: type[BenchError], text: str, when: str
) -> None:
    guard = "if [ $num_runs != 1 ]; then {}; fi" if when == "running" else "{}"
    with opened(tmp_path, after=guard.format(code)) as device:
        with pytest.raises(kind, match=text) as caught:
            device.benchmark(model, QUICK)
        assert type(caught.value) is kind
        assert not list(pathlib.Path(device._folder.name).iterdir())
    _require_no_children()


@pytest.mark.parametrize(
    "what", ["sleep 60", "sleep 60 & wait", "trap '' TERM HUP INT; sleep 60", "while :; do :; done"]
)
def test_a_program_that_hangs_is_killed_with_its_children(
    tmp_path: pathlib.Path, model: pathlib.Path, what: str
) -> None:
    note = f'echo $$ >"$HERE/pids"; sleep 50 & echo $! >>"$HERE/pids"; {what}'
    with opened(tmp_path, HASTY, after=note) as device:
        begin = time.monotonic()
        with pytest.raises(DeviceHungError, match=r"did not end within .* s and was killed"):
            device.load(model, QUICK)
        assert time.monotonic() - begin < 5
    for pid in (tmp_path / "pids").read_text().split():
        _require_gone(int(pid))
    _require_no_children()


def test_a_program_that_goes_on_printing_is_killed_in_time(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    printing = opened(tmp_path, HASTY, after="while :; do echo x; sleep 0.05; done")
    with printing as device, pytest.raises(DeviceError, match="did not end within"):
        device.load(model, QUICK)


def test_a_program_that_prints_without_end_is_killed(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    printing = opened(tmp_path, after="yes 'INFO: count=1 curr=1'")
    with printing as device, pytest.raises(DeviceError, match="prints without end"):
        device.load(model, QUICK)
    _require_no_children()


def test_ctrl_c_leaves_nothing_behind(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with opened(tmp_path, after='echo $$ >"$HERE/pids"; sleep 60') as device:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(KeyboardInterrupt):
                device.load(model, QUICK)
            assert not list(pathlib.Path(device._folder.name).iterdir())
    finally:
        signal.signal(signal.SIGALRM, before)
    _require_gone(int((tmp_path / "pids").read_text()))
    _require_no_children()


def test_another_thread_can_interrupt(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path, after="sleep 60") as device:
        timer = threading.Timer(0.3, device.interrupt)
        timer.start()
        with pytest.raises(DeviceError, match="was stopped"):
            device.load(model, QUICK)
        timer.join()
        with pytest.raises(DeviceError, match="was stopped"):
            device.load(model, QUICK)
    _require_no_children()


def test_without_a_path_it_is_what_was_fetched(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(DeviceError, match="tflite-bench fetch --abi=linux-aarch64"):
        open_device("binary")
    (tmp_path / "got").write_bytes(elf("arm64-v8a"))
    found = take_file(tmp_path / "got", "linux-aarch64")
    with open_device("binary") as device:
        assert device.info().runtime_version == found.sha256[:16]
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(OptionsError, match=r"binary:PATH\..*nobody publishes one for this system \(linux-s390x\)"):
        open_device("binary")


def test_a_path_without_executable_is_told(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    for argument in (str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(OptionsError, match="Expected the path of a benchmark_model executable after 'binary:'"):
            open_binary(argument, DeviceOptions())
    path = tmp_path / "no program"
    path.write_bytes(b"\x00\x01\x02")
    with pytest.raises(DeviceError, match=r"is not executable\. Run: chmod \+x"):
        open_binary(str(path), DeviceOptions())
    path.chmod(0o755)
    with (
        open_binary(str(path), DeviceOptions()) as device,
        pytest.raises(DeviceError, match="no program for this machine"),
    ):
        device.load(model, QUICK)
    path.write_text("#!/no/such/shell\n")
    with open_binary(str(path), DeviceOptions()) as device, pytest.raises(DeviceError, match="No such file"):
        device.load(model, QUICK)


def test_an_executable_that_was_replaced_is_not_run(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path) as device, device.load(model, QUICK) as loaded:
        write_stand_in(tmp_path / "benchmark_model", before="true")
        with pytest.raises(DeviceError, match="was replaced while it was in use"):
            loaded.run(5, 0.0, 1.0)


def test_what_is_timed_is_what_was_hashed(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path, before='sha256sum "$graph" >>"$HERE/sums"') as device, device.load(model, QUICK) as loaded:
        write_model(model, b"exported anew meanwhile")
        loaded.run(5, 0.0, 1.0)
        sums = {line.split()[0] for line in (tmp_path / "sums").read_text().splitlines()}
        assert sums == {loaded.file.sha256}
    with pytest.raises(ModelFileError, match="was changed while it was read"):
        binary._copy(ModelFile(model, "0" * 64, 17), tmp_path / "copy")


def test_no_room_for_the_model_is_told(
    tmp_path: pathlib.Path, model: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as device:
        monkeypatch.setattr(device._folder, "name", str(tmp_path / "missing"))
        with pytest.raises(DeviceError, match=r"Cannot copy .*Set TMPDIR"):
            device.load(model, QUICK)
        monkeypatch.undo()


def test_the_result_file_is_compared_and_never_an_old_one(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    (tmp_path / "right").write_bytes(result_of([4000], [5000], 20_000))
    (tmp_path / "wrong").write_bytes(result_of([4001], [5000], 20_000))
    save = 'cp "$HERE/{}" "$result_file"; echo "INFO: Saved benchmark result to: $result_file"'
    once = f"if [ $num_runs = 1 ]; then {save.format('right')}; fi"
    with opened(tmp_path, end=once) as device, device.load(model, QUICK) as loaded:
        assert loaded.run(5, 0.0, 1.0).count == 5  # saved nothing; the file of loading is not there any more
    with opened(tmp_path, end=save.format("wrong")) as device, pytest.raises(OutputError, match="text and result file"):
        device.load(model, QUICK)
    lying = opened(tmp_path, end="echo INFO: Saved benchmark result to: x")
    with lying as device, pytest.raises(OutputError, match="result file exactly where it was saved"):
        device.load(model, QUICK)


def test_times_of_the_cpu_are_not_taken_for_the_gpu(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path) as device, pytest.raises(DeviceError, match="Received those of the CPU"):
        device.benchmark(model, BenchOptions(delegate="gpu"))


def test_a_profile_has_the_operators(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    with opened(tmp_path) as device:
        profile = device.profile(model)
        assert not list(pathlib.Path(device._folder.name).iterdir())
    assert [(row.type, row.avg_ms, row.share) for row in profile.by_time] == [
        ("Softmax (NC, F32)", 3.0, 0.75),
        ("CONV_2D", 1.0, 0.25),
    ]
    assert profile.num_runs == 50
    assert calls(tmp_path)[-1].count("--enable_op_profiling=true") == 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not pin")
def test_the_program_runs_on_the_cores_that_were_asked_for(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    with opened(tmp_path, before='grep Cpus_allowed_list /proc/$$/status >"$HERE/cores"') as device:
        device.load(model, BenchOptions(pin=hex(1 << core))).close()
        assert (tmp_path / "cores").read_text().split()[-1] == str(core)
        assert os.sched_getaffinity(0) == allowed
        with pytest.raises(OptionsError, match="Expected cores among those"):
            device.load(model, BenchOptions(pin=hex(1 << 1000)))


def test_a_program_that_is_told_to_end_leaves_nothing_behind(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    path = write_stand_in(tmp_path / "benchmark_model", after='echo $$ >"$HERE/pids"; sleep 60')
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tflite_bench", "run", str(model), f"--device=binary:{path}"],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    noted = tmp_path / "pids"
    for _ in range(500):
        if noted.exists() and noted.read_text().endswith("\n"):
            break
        time.sleep(0.02)
    assert len(list(scratch.iterdir())) == 1
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    _require_gone(int(noted.read_text()))
    assert not list(scratch.iterdir())


def test_closing_twice_is_closing_once(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path) as device:
        device.close()
        device.close()
