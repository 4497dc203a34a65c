"""``tflite-bench profile`` as a user types it."""

from __future__ import annotations

import json
import os
import pathlib
import sys

import pytest

from tests.tflite_bench.benchmark_model.stand_in import write_model, write_stand_in
from tflite_bench.__main__ import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def arguments(tmp_path: pathlib.Path) -> list[str]:
    device = write_stand_in(tmp_path / "benchmark_model")
    model = write_model(tmp_path / "net.tflite")
    return ["profile", str(model), f"--device=binary:{device}", "--threads=1"]


def test_a_table_of_operators_and_one_of_types(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 0
    head, note, _, titles, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("binary: ") and "benchmark_model" in head and head.endswith("threads: 1; delegate: xnnpack")
    assert note.startswith("Times an inference, averages over 50 inferences")
    assert titles.split() == ["operator", "ms", "share", "calls", "name"]
    # The model's names cannot move the cursor.
    assert [row.split() for row in rows[:2]] == [
        ["Softmax", "(NC,", "F32)", "3.000", "75.0%", "1", r"x\x1b[2J:1"],
        ["CONV_2D", "1.000", "25.0%", "1", "[a;b]:0"],
    ]
    assert rows[3].split() == ["type", "operators", "ms", "share"]
    assert rows[-1].split() == ["all", "2", "4.000", "100.0%"]


def test_only_the_slowest_rows(arguments: list[str], capsys: Captured) -> None:
    assert main([*arguments, "--rows=1"]) == 0
    out = capsys.readouterr().out
    assert "... and 1 more" in out and "[a;b]:0" not in out


def test_json_and_nothing_else(arguments: list[str], capsys: Captured) -> None:
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert captured.err == ""
    assert data["profile"]["num_runs"] == 50
    assert [row["type"] for row in data["profile"]["rows"]] == ["CONV_2D", "Softmax (NC, F32)"]
    assert [one["count"] for one in data["profile"]["by_type"]] == [1, 1]
    assert data["device"]["kind"] == "binary" and data["options"]["threads"] == 1
    assert len(data["model_sha256"]) == 64


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take names in UTF-8 only")
def test_names_that_are_not_utf8(arguments: list[str], tmp_path: pathlib.Path, capsys: Captured) -> None:
    model = write_model(tmp_path / os.fsdecode(b"caf\xe9.tflite"))
    for more, shown in (("--json", "\\udce9"), ("--rows=1", "binary: ")):
        assert main(["profile", str(model), *arguments[2:], more]) == 0
        assert shown in capsys.readouterr().out


def test_the_host_says_which_devices_can(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments[:2]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "The device 'host' does not tell the times of single operators" in captured.err
    assert "--device=binary:PATH or --device=adb" in captured.err


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ([], 2, "Expected the path of one .tflite file. Received 0"),
        (["a.tflite", "b.tflite"], 2, "Received 2"),
        (["none.tflite"], 1, "No such model file: none.tflite"),
        (["none.tflite", "--rows=-1"], 2, "rows"),
        (["none.tflite", "--device=binary:/none"], 1, "No such model file"),
    ],
)
def test_mistakes_are_told(change: list[str], code: int, text: str, capsys: Captured) -> None:
    assert main(["profile", *change]) == code
    captured = capsys.readouterr()
    assert text in captured.err and captured.out == ""
