"""The commands as a user types them."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tflite_bench.__main__ import main
from tflite_bench.bin import VERBS
from tflite_bench.types import Measurement

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
    assert titles.split()[:5] == ["model", "size", "KB", "median", "ms"]
    assert [row.split()[0] for row in rows[:2]] == ["small.tflite", "large.tflite"]
    end = titles.index("size KB") + len("size KB")  # numbers are aligned to the right
    assert all(row[end - 1].isdigit() and row[end] == " " for row in rows[:2])


def test_run_prints_json_and_nothing_else(models: Models, capsys: Captured) -> None:
    assert main(["run", "--json", *QUICK, str(models["small"])]) == 0
    captured = capsys.readouterr()
    (data,) = json.loads(captured.out)["measurements"]
    m = Measurement.from_json(data)
    assert (m.model_name, m.num_runs) == ("small.tflite", 12)
    assert data["device"]["fingerprint"] == m.device.fingerprint
    assert captured.err == ""


def test_files_of_one_name_are_told_apart(models: Models, tmp_path: pathlib.Path, capsys: Captured) -> None:
    other = tmp_path / "small.tflite"
    other.write_bytes(models["large"].read_bytes())
    assert main(["compare", str(models["small"]), str(other), *QUICK, "--rounds=3"]) == 0
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
    assert last.startswith("large.tflite is slower: large.tflite takes ")
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
        (["measure"], 2, "Expected a verb among: compare, run. Received: 'measure'"),
        (["rum"], 2, "Did you mean 'run'?"),
        (["--threads=2"], 2, "Expected a verb before the flags"),
        (["run"], 2, "at least one .tflite file"),
        (["run", "a.tflite", "--thread=2"], 2, "Unknown command line flag 'thread'"),
        (["run", "a.tflite", "--threads=two"], 2, "--threads=two"),
        (["run", "a.tflite", "--threads=0"], 2, "Received: threads=0"),
        (["run", "a.tflite", "--num_runs=0"], 2, "Received: num_runs=0"),
        (["run", "a.tflite", "--min_secs=nan"], 2, "Received: min_secs=nan"),
        (["run", "a.tflite", "--device=adb"], 2, "Received: 'adb'"),
        (["run", "a.tflite", "--flagfile=none"], 2, "none"),
        (["run", "no such.tflite"], 1, "No such model file: no such.tflite"),
        (["run", "."], 1, "Received a folder"),
        (["compare", "a.tflite"], 2, "two .tflite files. Received 1"),
        (["compare", "a.tflite", "b.tflite", "c.tflite"], 2, "Received 3"),
        (["compare", "a.tflite", "b.tflite", "--rounds=0"], 2, "0 rounds"),
        (["compare", "a.tflite", "b.tflite"], 1, "No such model file: a.tflite"),
    ],
)
def test_a_mistake_is_told_in_two_lines(arguments: list[str], code: int, text: str, capsys: Captured) -> None:
    assert main(arguments) == code
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
    for flag in ("--device", "--threads", "--num_runs", "--[no]json", "--flagfile"):
        assert f"  {flag}\n" in out
    assert "default: 50" in out


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
def test_ctrl_c_ends_in_one_line(models: Models) -> None:
    process = _start("run", str(models["small"]), "--min_secs=60")
    maps = pathlib.Path(f"/proc/{process.pid}/maps")
    for _ in range(600):
        if "small.tflite" in maps.read_text():  # the model is loaded: measuring has begun
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == ("", "tflite-bench run: Stopped.\n")


def test_a_reader_that_leaves_early_is_no_error(models: Models) -> None:
    process = _start("run", str(models["small"]), *QUICK, "--json")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
