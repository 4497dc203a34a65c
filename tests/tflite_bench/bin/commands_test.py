"""The commands as a user types them."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.tflite_bench.devices import Fake
from tflite_bench import messages
from tflite_bench.__main__ import main
from tflite_bench.bench_options import BenchOptions
from tflite_bench.bin import VERBS, app, option_flags
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import DeviceLostError, OutputError
from tflite_bench.measure.pool import Pool
from tflite_bench.types import Delegation, Measurement

Models = dict[str, pathlib.Path]
Captured = pytest.CaptureFixture[str]
QUICK = ["--num_runs=12", "--min_secs=0", "--warmup_min_secs=0"]


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tflite_bench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_run_prints_a_table(models: Models, capsys: Captured) -> None:
    paths = [str(models["small"]), str(models["large"])]
    assert main(["run", *paths, *QUICK, "--threads=1"]) == 0
    out = capsys.readouterr().out
    head, _, titles, *rows = out.splitlines()
    assert head.startswith("host: ") and head.endswith("; threads: 1")
    assert titles.split()[:3] == ["model", "median", "ms"]
    assert [row.split()[0] for row in rows[:2]] == ["small.tflite", "large.tflite"]
    end = titles.index("median ms") + len("median ms")  # numbers are aligned to the right
    assert all(row[end - 1].isdigit() and row[end] == " " for row in rows[:2])
    assert max(map(len, (titles, *rows))) <= 100  # fits a terminal


def test_run_prints_json_and_nothing_else(models: Models, capsys: Captured) -> None:
    assert main(["run", "--json", *QUICK, "--retries=0", str(models["small"])]) == 0
    captured = capsys.readouterr()
    (data,) = json.loads(captured.out)["measurements"]
    m = Measurement.from_json(data)
    assert (m.model_name, m.num_runs) == ("small.tflite", 12)
    assert data["device"]["fingerprint"] == m.device.fingerprint
    assert captured.err == ""


def test_files_of_one_name_are_told_apart(models: Models, tmp_path: pathlib.Path, capsys: Captured) -> None:
    other = tmp_path / "small.tflite"
    other.write_bytes(models["large"].read_bytes())
    assert main(["compare", str(models["small"]), str(other), *QUICK, "--rounds=5"]) == 0
    out = capsys.readouterr().out
    assert str(other) in out and str(models["small"]) in out


def test_what_was_measured_before_an_error_is_printed(models: Models, capsys: Captured) -> None:
    assert main(["run", "--json", *QUICK, str(models["small"]), str(models["flex"])]) == 1
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["measurements"]) == 1
    assert "FlexMatrixDeterminant" in captured.err


def test_compare_tells_the_slower_model(models: Models, capsys: Captured) -> None:
    assert main(["compare", str(models["small"]), str(models["large"]), "--min_secs=0.1"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "large.tflite is slower: large.tflite takes " in last  # after a warning, where the machine is busy
    assert "95 % interval" in last


def test_compare_prints_json(models: Models, capsys: Captured) -> None:
    paths = [str(models["large"]), str(models["small"])]
    assert main(["compare", *paths, "--json", "--min_secs=0.1"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [m["model_name"] for m in data["measurements"]] == ["large.tflite", "small.tflite"]
    assert data["comparison"]["conclusion"] == "faster"
    assert 0 < data["comparison"]["low"] <= data["comparison"]["ratio"] < 1


def test_a_second_call_begins_with_the_default_flags(models: Models, capsys: Captured) -> None:
    main(["run", "--json", *QUICK, "--threads=2", str(models["small"])])
    capsys.readouterr()
    main(["run", "--json", "--min_secs=0", str(models["small"])])
    options = json.loads(capsys.readouterr().out)["measurements"][0]["options"]
    assert (options["threads"], options["num_runs"]) == (1, 50)


def test_flags_are_read_from_a_file(models: Models, tmp_path: pathlib.Path, capsys: Captured) -> None:
    (tmp_path / "flags").write_text("\n".join([*QUICK, "--threads=2", "--json"]))
    assert main(["run", str(models["small"]), f"--flagfile={tmp_path / 'flags'}"]) == 0
    assert json.loads(capsys.readouterr().out)["measurements"][0]["options"]["threads"] == 2


def test_more_threads_than_cores_are_noted(models: Models, capsys: Captured) -> None:
    assert main(["run", str(models["small"]), *QUICK, "--threads=1000", "--json"]) == 0
    assert "Note: 1000 threads share" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["measure"], 2, "among: compare, devices, fetch, profile, run, staircase. Received: 'measure'"),
        (["rum"], 2, "Did you mean 'run'?"),
        (["--threads=2"], 2, "Expected a verb before the flags"),
        (["run"], 2, "at least one .tflite file"),
        (["run", "a.tflite", "--thread=2"], 2, "Unknown command line flag 'thread'"),
        (["run", "a.tflite", "--threads=two"], 2, "--threads=two"),
        (["run", "a.tflite", "--threads=0"], 2, "Received: threads=0"),
        (["run", "a.tflite", "--num_runs=0"], 2, "Received: num_runs=0"),
        (["run", "a.tflite", "--min_secs=nan"], 2, "Received: min_secs=nan"),
        (["run", "MODEL", "--device=phone"], 2, "Expected a device among: adb, binary, host"),
        (["run", "MODEL", "--pin=huge"], 2, "Received: pin='huge'"),
        (["run", "MODEL", "--pin=0x80000000000000000000"], 2, "among those that this process may use"),
        (["run", "MODEL", "--delegate=gpu"], 2, "Received: delegate='gpu'"),
        (["run", "MODEL", "--retries=-1"], 2, "retries"),
        (["run", "MODEL", "--max_thermal_status=9"], 2, "max_thermal_status from 0 to 6"),
        (["run", "MODEL", "--reference=none.tflite"], 1, "No such model file: none.tflite"),
        (["run", "MODEL", "--reference=MODEL", "--reference_every=0"], 2, "reference_every to be 1 or more"),
        (["run", "MODEL", "--sustained=soon"], 2, "a duration such as 90s, 10m or 1h. Received: 'soon'"),
        (["run", "MODEL", "--sustained=0s"], 2, "Received: '0s'"),
        (["run", "MODEL", "--sustained=1s", "--reference=MODEL"], 2, "either --sustained or --reference"),
        (["run", "MODEL", "--plot=a.png"], 2, "give --sustained=10m too"),
        (["run", "MODEL", "--sustained=1s", "--plot=a.gif"], 2, "Received: a.gif"),
        (["run", "MODEL", "--sustained=1s", "--plot=no/such/a.png"], 2, "There is none at"),
        (["run", "a.tflite", "--flagfile=none"], 2, "none"),
        (["run", "no such.tflite"], 1, "No such model file: no such.tflite"),
        (["run", "."], 1, "Received a folder"),
        (["compare", "a.tflite"], 2, "two .tflite files. Received 1"),
        (["compare", "a.tflite", "b.tflite", "c.tflite"], 2, "Received 3"),
        (["compare", "a.tflite", "b.tflite", "--rounds=4"], 2, "at least 5 rounds"),
        (["compare", "a.tflite", "b.tflite"], 1, "No such model file: a.tflite"),
    ],
)
def test_a_mistake_is_told_in_two_lines(
    models: Models, arguments: list[str], code: int, text: str, capsys: Captured
) -> None:
    assert main([argument.replace("MODEL", str(models["small"])) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert text in captured.err
    assert captured.err.startswith("tflite-bench")
    assert captured.err.count("\n") <= 2


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_lists_every_verb(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out and text in out for verb, text in VERBS.items())


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_shows_every_flag_with_its_default(verb: str, capsys: Captured) -> None:
    assert main([verb, "--help", "--nonsense"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"tflite-bench {verb} ")
    assert all(f"  {flag}\n" in out for flag in ("--[no]json", "--flagfile"))
    assert "default: false" in out
    assert "None" not in out
    assert ("--delegate" in out) == ("NNAPI is deprecated since Android 15" in " ".join(out.split()))


@pytest.mark.parametrize("verb", ["run", "compare", "profile", "staircase"])
def test_every_option_has_a_flag_that_reaches_it(verb: str) -> None:
    values = importlib.import_module(f"tflite_bench.bin.{verb}").FLAGS
    changed = {bool: "true", int: "3", float: "4.5", tuple: "/a/b", str: "little", type(None): "/a/b"}
    named = {"delegate": "none", "min_clock_share": "0.5"}
    for kind, read in ((BenchOptions, option_flags.options), (DeviceOptions, option_flags.device_options)):
        for field in dataclasses.fields(kind):
            typed = named.get(field.name, changed[type(field.default)])
            if field.default is True:
                typed = "false"
            app._parse(values, verb, [f"--{field.name}={typed}"])
            assert getattr(read(values), field.name) != field.default, field.name
    app._parse(values, verb, ["--benchmark_model=/a", "--benchmark_model=/b"])
    assert option_flags.device_options(values).benchmark_model == ("/a", "/b")
    app._parse(values, verb, [])
    assert option_flags.options(values) == BenchOptions()
    assert option_flags.device_options(values) == DeviceOptions()


# On a device that does as it is told


SHORT = ["--device=fake", "--num_runs=40", "--min_secs=0"]


def test_a_throttled_measurement_is_repeated_and_told(models: Models, fake: list[Device], capsys: Captured) -> None:
    device = Fake(kind="statistics")
    device.level_ms = lambda name, _: 1.5 if name == "small" and device.runs >= 20 else 1.0
    fake.append(device)
    assert main(["run", str(models["small"]), str(models["large"]), *SHORT, "--retries=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].startswith("small.tflite") and lines[3].endswith("THROTTLED (attempt 2)")
    assert lines[4].startswith("large.tflite") and lines[4].endswith("OK")
    assert lines[6].startswith("small.tflite: The end of the run was 50% slower than its beginning")


def test_what_the_device_tells_of_itself_is_shown(models: Models, fake: list[Device], capsys: Captured) -> None:
    states = [Conditions(thermal_status=0, temperature_c=30.25), Conditions(thermal_status=1, temperature_c=36.5)]
    told = Delegation("gpu", False, 7, 9, 2)
    fake.append(Fake(states=states, delegation=told, serial="S1"))
    assert main(["run", str(models["small"]), *SHORT, "--delegate=gpu", "--pin=big", "--retries=0"]) == 0
    head, _, _, row, _, reason, _, titles, told_row = capsys.readouterr().out.splitlines()
    assert head.endswith("; threads: 1, cores: big, delegate: gpu") and "Paper (S1)" in head
    assert all(word in titles.split() for word in ("delegated", "°C", "thermal"))
    assert all(text in told_row for text in ("7/9", "30.2 to 36.5", "none to light"))
    assert row.endswith("THROTTLED")
    assert reason == "small.tflite: The thermal status rose from none to light."
    assert "battery" not in titles  # nobody told


def test_a_pool_measures_several_models_at_once(models: Models, fake: list[Device], capsys: Captured) -> None:
    together = threading.Barrier(2, timeout=10)

    class Meeting(Fake):
        def settle(self, pin: str = "none") -> None:
            super().settle(pin)
            together.wait()  # both phones measure at the same time, or this breaks

    phones = [Meeting(serial="A"), Meeting(serial="B")]
    fake.append(Pool(phones))
    paths = [str(models[name]) for name in ("small", "large", "indices", "bytes")]
    assert main(["run", *paths, *SHORT, "--json"]) == 0
    measured = [Measurement.from_json(data) for data in json.loads(capsys.readouterr().out)["measurements"]]
    assert [one.model_name for one in measured] == [pathlib.Path(path).name for path in paths]
    assert sorted(one.device.serial for one in measured) == ["A", "A", "B", "B"]
    assert all(phone.closed for phone in phones)


def test_the_reference_shows_drift(models: Models, fake: list[Device], capsys: Captured) -> None:
    arguments = ["run", str(models["small"]), str(models["bytes"]), *SHORT, f"--reference={models['large']}"]
    arguments += ["--reference_every=1", "--retries=0"]

    def device() -> Fake:
        made = Fake()
        made.level_ms = lambda name, _: 1.2 if made.notes.count("settle") > 3 else 1.0
        return made

    fake.append(device())
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert [line.split()[-2:] for line in out.splitlines()[3:5]] == [["+0.0%", "OK"], ["+20.0%", "THROTTLED"]]
    assert out.splitlines()[-1] == (
        "reference large.tflite, median ms in turn (120 runs): 1.000 OK, 1.000 OK, 1.200 THROTTLED"
    )
    fake[0] = device()
    assert main([*arguments, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [one["drift"] for one in data["measurements"]] == pytest.approx([1.0, 1.2])
    assert [one["model_name"] for one in data["references"]] == ["large.tflite"] * 3


def test_a_reference_on_a_pool_may_start_again_on_another_phone(
    models: Models, fake: list[Device], capsys: Captured
) -> None:
    lost = Fake(serial="A", faults=[None] * 50 + [DeviceLostError("Away.")])

    def settle(pin: str = "none") -> None:
        if len(lost.notes) > 45:
            raise DeviceLostError("Gone.")

    lost.settle = settle  # type: ignore[method-assign]
    fake.append(Pool([lost, Fake(serial="B")], lost_secs=1))
    paths = [str(models[name]) for name in ("small", "bytes", "indices")]
    arguments = ["run", *paths, *SHORT, f"--reference={models['large']}", "--reference_every=1", "--json"]
    assert main(arguments) == 0
    assert [one["device"]["serial"] for one in json.loads(capsys.readouterr().out)["measurements"]] == ["B"] * 3


def test_what_was_measured_beside_a_reference_is_printed_when_a_later_one_fails(
    models: Models, fake: list[Device], capsys: Captured
) -> None:
    fake.append(Fake(faults=[None] * 40 + [OutputError("Garbage.")]))
    arguments = ["run", str(models["small"]), str(models["bytes"]), *SHORT, f"--reference={models['large']}"]
    assert main([*arguments, "--reference_every=1", "--json"]) == 3
    (one,) = json.loads(capsys.readouterr().out)["measurements"]
    assert one["model_name"] == "small.tflite"
    fake[:] = [Fake(faults=[OutputError("Garbage.")])]
    assert main([*arguments, "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {"measurements": [], "references": []}
    fake[:] = [Fake(faults=[OutputError("Garbage.")])]
    assert main(arguments) == 3
    assert capsys.readouterr().out == ""


def test_a_sustained_run_that_fails_leaves_its_points(
    models: Models, fake: list[Device], tmp_path: pathlib.Path, capsys: Captured
) -> None:
    plot = tmp_path / "curve.svg"
    for end, code in ((OutputError("Garbage."), 3), (KeyboardInterrupt(), 130)):
        fake[:] = [Fake(faults=[None] * 4 + [end])]
        assert (
            main(["run", str(models["small"]), "--device=fake", "--sustained=10m", "--json", f"--plot={plot}"]) == code
        )
        (run,) = json.loads(capsys.readouterr().out)["sustained"]
        assert len(run["points"]) == 3
        assert plot.exists()
        plot.unlink()


def test_a_comparison_of_what_is_not_ok_is_not_to_be_relied_on(
    models: Models, fake: list[Device], capsys: Captured
) -> None:
    device = Fake(states=[Conditions(thermal_status=3)])
    fake.append(device)
    arguments = ["compare", str(models["small"]), str(models["large"]), *SHORT, "--retries=0"]
    assert main(arguments) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Not to be relied on: small.tflite was THROTTLED and large.tflite was THROTTLED. No signif")
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trusted"] is False


@pytest.mark.parametrize(("verb", "names"), [("run", ["small"]), ("compare", ["small", "large"])])
def test_an_exit_code_tells_of_what_is_not_ok(
    models: Models, fake: list[Device], capsys: Captured, verb: str, names: list[str]
) -> None:
    arguments = [verb, *(str(models[name]) for name in names), *SHORT, "--retries=0"]
    for state, code in ((Conditions(thermal_status=3), 4), (Conditions(thermal_status=0), 0)):
        fake[:] = [Fake(states=[state])]
        assert main([*arguments, "--require_ok"]) == code
        assert main(arguments) == 0
        capsys.readouterr()


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take names in UTF-8 only")
def test_names_that_litert_cannot_open_are_told(models: Models, tmp_path: pathlib.Path, capsys: Captured) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.tflite")
    path.write_bytes(models["small"].read_bytes())
    for arguments in (["run", str(path)], ["compare", str(models["small"]), str(path)]):
        assert main([*arguments, *QUICK]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "Expected a path in UTF-8" in line and r"caf\udce9.tflite. Rename" in line


def test_control_characters_of_names_do_not_reach_the_terminal(
    models: Models, fake: list[Device], tmp_path: pathlib.Path, capsys: Captured
) -> None:
    path = tmp_path / "evil\n\x1b[31mFAKE 0.001 OK.tflite"
    path.write_bytes(models["small"].read_bytes())
    fake.append(Fake(serial="S\x1b[0m", name="N\x1b[1m", kind="statistics"))
    assert main(["run", str(path), *SHORT]) == 0
    out = capsys.readouterr().out
    assert (
        "\x1b" not in out and r"evil\n\x1b[31mFAKE 0.001 OK.tflite" in out and r"S\x1b[0m" in out and r"N\x1b[1m" in out
    )
    assert "p90 ~ ms" in out
    messages.tell("a\x1bb")
    assert capsys.readouterr().err == "a\\x1bb\n"


def test_sustained_draws_latency_over_time(models: Models, tmp_path: pathlib.Path, capsys: Captured) -> None:
    plot = tmp_path / "curve.svg"
    arguments = ["run", str(models["large"]), "--warmup_min_secs=0", "--sustained=1s", f"--plot={plot}"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert " ms  ####" in out and "0:01: " in out
    assert out.endswith(f"Plot: {plot}\n")
    assert plot.read_text().startswith("<?xml")
    assert main([*arguments, "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["sustained"]
    assert run["model_name"] == "large.tflite" and run["num_runs"] > 0 and run["points"][0]["median_ms"] > 0


def test_a_device_that_fails_has_its_own_exit_code_and_is_closed(
    models: Models, fake: list[Device], capsys: Captured
) -> None:
    device = Fake(faults=[None] * 11 + [OutputError("Garbage.")])
    fake.append(device)
    assert main(["run", str(models["small"]), str(models["large"]), *SHORT, "--json"]) == 3
    captured = capsys.readouterr()
    assert [one["model_name"] for one in json.loads(captured.out)["measurements"]] == ["small.tflite"]
    assert captured.err == "tflite-bench run: Garbage.\n"
    assert device.closed


def test_a_process_for_help_imports_neither_tensorflow_nor_litert() -> None:
    code = (
        "import sys; from tflite_bench.__main__ import main; main(['run', '--help']);"
        "main(['run', '--nonsense']); from tflite_bench.bin import compare;"
        "heavy = {'tensorflow', 'keras', 'tfmeta', 'ai_edge_litert'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_device_that_cannot_be_used_has_its_own_exit_code(models: Models) -> None:
    code = (
        "import sys; sys.modules['ai_edge_litert.interpreter'] = None;"  # as if not installed
        "from tflite_bench.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, "run", str(models["small"])], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    assert "pip install ai-edge-litert" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not pathlib.Path("/proc/self/maps").exists(), reason="watches Linux's /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_in_one_line(models: Models, number: signal.Signals, code: int) -> None:
    process = _start("run", str(models["small"]), "--min_secs=60")
    maps = pathlib.Path(f"/proc/{process.pid}/maps")
    for _ in range(600):
        if "small.tflite" in maps.read_text():  # the model is loaded: measuring has begun
            break
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert (out, err) == ("", "tflite-bench run: Stopped.\n")


def test_a_reader_that_leaves_early_is_no_error(models: Models) -> None:
    process = _start("run", str(models["small"]), *QUICK, "--retries=0", "--json")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141


def test_this_machine_is_listed_also_where_adb_does_not_work(tmp_path: pathlib.Path, capsys: Captured) -> None:
    broken = tmp_path / "broken_adb"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    assert main(["devices", f"--adb={broken}", "--json"]) == 0
    captured = capsys.readouterr()
    assert [one["device"] for one in json.loads(captured.out)["devices"]] == ["host"]
    assert "broken" in captured.err
