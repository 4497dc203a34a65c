"""``tflite-bench staircase`` as a user types it, on a phone of paper with tiles."""

from __future__ import annotations

import json
import math
import pathlib

import pytest

from tests.tflite_bench.devices import Fake
from tflite_bench.__main__ import main
from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import Device
from tflite_bench.staircase.sweep import sweep

Captured = pytest.CaptureFixture[str]
TILES = {"conv": 8, "dense": 1}
ONCE = ["staircase", "--device=fake", "--num_runs=40", "--min_secs=0", "--retries=0"]


def level_ms(name: str, secs: float) -> float:
    kind, dtype, channels = name.split("-")
    tile = TILES[kind] * (2 if dtype == "int8" else 1)
    return 0.1 + 0.02 * math.ceil(int(channels) / tile) * tile


def test_steps_are_found_shown_and_written(fake: list[Device], tmp_path: pathlib.Path, capsys: Captured) -> None:
    fake.append(Fake(level_ms))
    output, plot = tmp_path / "steps.json", tmp_path / "steps.svg"
    assert main([*ONCE, "--layer=conv", "--layer=dense", f"--output={output}", f"--plot={plot}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {tuple(line.split()[:2]): line.split()[-1] for line in lines[3:7]}
    assert rows == {
        ("conv", "float32"): "8",
        ("dense", "float32"): "1",
        ("conv", "int8"): "16",
        ("dense", "int8"): "1",  # tiles of 2 are none of those that are looked for
    }
    assert lines[-3:] == [
        "Widths that are multiples of 16 waste nothing on this device.",
        f"File: {output}",
        f"Plot: {plot}",
    ]
    assert max(map(len, lines[2:7])) <= 100  # fits a terminal
    data = json.loads(output.read_text())
    assert (data["step"], data["undecided"]) == (16, []) and data["device"]["fingerprint"].startswith("fake-")
    assert data["options"] == BenchOptions(num_runs=40, min_secs=0.0).to_json()
    (conv,) = [one for one in data["layers"] if (one["kind"], one["dtype"]) == ("conv", "float32")]
    assert conv["step"] == 8 and set(conv["within"]) == {"4", "8", "16", "32"}
    assert conv["points"][0] == {"channels": 32, "median_ms": 0.74, "low_ms": 0.74, "high_ms": 0.74, "num_runs": 40}
    assert "<svg" in plot.read_text()


def test_a_device_that_slows_down_has_no_step(fake: list[Device], capsys: Captured) -> None:
    device = Fake()
    device.level_ms = lambda name, secs: level_ms(name, secs) * (1.5 if device.runs >= 400 else 1.0)
    fake.append(device)
    assert main([*ONCE, "--layer=conv", "--dtype=float32", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["step"], data["undecided"]) == (None, ["conv float32"])
    assert "was THROTTLED: " in data["layers"][0]["reason"]


@pytest.mark.parametrize("num_runs", [1, 4, 9, 10])
def test_too_few_runs_tell_no_step(num_runs: int, fake: list[Device], capsys: Captured) -> None:
    fake.append(Fake(level_ms))
    assert main([*ONCE, f"--num_runs={num_runs}", "--layer=conv", "--dtype=float32", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    if num_runs == 10:
        assert data["step"] == 8
        return
    assert (data["step"], data["undecided"]) == (None, ["conv float32"])
    (layer,) = data["layers"]
    told = f"conv-float32-32.tflite has {num_runs} runs in {num_runs} blocks: at least 10 runs in 5 are needed"
    assert layer["reason"] == f"{told} (--num_runs)."


def test_too_few_blocks_tell_no_step() -> None:
    options = BenchOptions(num_runs=40, min_secs=0.0)
    steps = [sweep(Fake(level_ms), "conv", "float32", options, rounds, 0).step for rounds in (4, 5)]
    assert [one.step for one in steps] == [None, 8]
    assert "40 runs in 4 blocks: at least 10 runs in 5" in steps[0].reason


@pytest.mark.parametrize(
    ("tile", "least"), [(1, "No step can be told: "), (8, "The step is 8 or more: ")], ids=["channels", "tiles"]
)
def test_there_is_no_step_while_a_layer_is_undecided(
    tile: int, least: str, fake: list[Device], capsys: Captured
) -> None:
    # Dense layers take the same whatever their channels.
    fake.append(Fake(lambda name, secs: 1.0 if "dense" in name else math.ceil(int(name.split("-")[2]) / tile) * tile))
    assert main([*ONCE, "--layer=conv", "--layer=dense", "--dtype=float32"]) == 0
    out = capsys.readouterr().out
    assert f"\n{least}dense float32 could not be told. Measure longer (--min_secs), on a quieter" in out
    assert main([*ONCE, "--layer=conv", "--layer=dense", "--dtype=float32", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["step"], data["undecided"]) == (None, ["dense float32"])
    assert [layer["step"] for layer in data["layers"]] == [tile, None]


def test_what_was_measured_is_shown_where_it_cannot_be_written(
    fake: list[Device], tmp_path: pathlib.Path, capsys: Captured
) -> None:
    device = Fake(level_ms)
    fake.append(device)
    output = tmp_path / "steps.json"
    device.settle = lambda pin="none": output.mkdir(exist_ok=True)  # type: ignore[method-assign]
    assert main([*ONCE, "--layer=conv", "--dtype=float32", f"--output={output}"]) != 0
    told = capsys.readouterr()
    assert "Widths that are multiples of 8 waste nothing on this device." in told.out
    assert "Is a directory" in told.err and "File: " not in told.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a.tflite"], "Expected no paths. Received: a.tflite."),
        (["--layer=pool"], "--layer=pool"),
        (["--output=/no/such/folder/a.json"], "Expected a folder for the sweep. There is none at /no/such/folder."),
        (["--output=/tmp"], "Expected a file that can be written for the sweep. Received: /tmp (Is a directory)."),
        (["--plot=a.gif"], "Received: a.gif"),
    ],
)
def test_mistakes_are_told(arguments: list[str], text: str, capsys: Captured) -> None:
    assert main(["staircase", *arguments]) == 2
    assert text in capsys.readouterr().err
