"""Every screen: no number of a measurement without its unit, and none without a count of runs."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tflite_bench.benchmark_model.stand_in import write_model, write_stand_in
from tests.tflite_bench.devices import Fake
from tflite_bench.__main__ import main
from tflite_bench.bin import VERBS, screen
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device

SHORT = ["--device=fake", "--num_runs=40", "--min_secs=0", "--retries=0"]
SCREENS = {
    "run": ["run", "SMALL", "LARGE", *SHORT],
    "run beside a reference": ["run", "SMALL", "BYTES", *SHORT, "--reference=LARGE", "--reference_every=1"],
    "run again": ["run", "SMALL", "BYTES", *SHORT[:-1], "--retries=1", "--reference=LARGE"],
    "run over time": ["run", "SMALL", "--device=fake", "--sustained=1s"],
    "compare": ["compare", "SMALL", "LARGE", *SHORT],
    "profile": ["profile", "NET", "--device=binary:PROGRAM"],
    "staircase": ["staircase", *SHORT, "--layer=conv", "--dtype=int8"],
    "devices": ["devices", "--adb=/bin/false"],
}
NO_NUMBERS = {"fetch"}

COUNT = r"\b(\d+) (?:runs|inferences|rounds)\b"
UNITS = r"ms|s|%|°C|K?i?B|[KMG]B|MHz|times"
# What measurements are made of: a unit at the end, or a name that is a count, a share or a ratio.
WITH_UNIT = re.compile(r".*_(?:ms|secs|mb|bytes|kb|mhz|c|percent)")
COUNTS = {"num_runs", "num_rounds", "count", "num_startups", "calls"}
WITHOUT = {"ratio", "low", "high", "drift", "share", "step", "channels"}
WITHOUT |= {"thermal_status", "cores", "threads", "warmup_runs", "seed"}


@pytest.fixture
def arguments(
    request: pytest.FixtureRequest, models: dict[str, pathlib.Path], fake: list[Device], tmp_path: pathlib.Path
) -> list[str]:
    states = [Conditions(thermal_status=0, temperature_c=30.25, battery_percent=80)]
    fake.append(Fake(states=states, level_ms=lambda name, secs: 50.0 + secs, kind="statistics"))
    words = {name.upper(): str(path) for name, path in models.items()}
    words["NET"] = str(write_model(tmp_path / "net.tflite"))
    words["PROGRAM"] = str(write_stand_in(tmp_path / "benchmark_model"))
    names = "|".join(words)
    return [re.sub(rf"(?<![A-Z])(?:{names})\b", lambda match: words[match[0]], word) for word in SCREENS[request.param]]


def numbers(data: Any, key: str = "", counted: bool = False) -> Iterator[tuple[str, bool]]:
    """The key of every number in ``data``, and whether a count of runs stands beside it or around it."""
    if isinstance(data, dict):
        here = counted or bool(COUNTS & data.keys()) or any("num_runs" in one for one in children(data))
        for name, value in data.items():
            yield from numbers(value, name, here)
    elif isinstance(data, list):
        for value in data:
            yield from numbers(value, key, counted)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield key, counted


def children(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (value for value in data.values() if isinstance(value, dict))


def test_every_verb_has_a_screen_here() -> None:
    assert {words[0] for words in SCREENS.values()} | NO_NUMBERS == set(VERBS)


@pytest.mark.parametrize("arguments", SCREENS, indirect=True)
def test_json_names_units_and_counts(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--json"]) == 0
    found = list(numbers(json.loads(capsys.readouterr().out)))
    times = [key for key, _ in found if key.endswith("_ms")]
    assert len(times) > 3 or arguments[0] == "devices"
    unknown = {key for key, _ in found if not WITH_UNIT.fullmatch(key)} - COUNTS - WITHOUT
    assert not {key for key in unknown if not key.startswith(("num_", "max_", "min_"))}
    assert not {key for key, counted in found if (key.endswith("_ms") or key == "ratio") and not counted}


@pytest.mark.parametrize("arguments", SCREENS, indirect=True)
def test_text_shows_units_and_counts(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables: list[screen.Columns] = []
    monkeypatch.setattr(screen, "table", lambda columns: tables.append(list(columns)) or "")
    assert main(arguments) == 0
    text, told = capsys.readouterr()
    assert (" ms" in text + " ".join(head for one in tables for head, _ in one)) == (arguments[0] != "devices")
    for columns in tables:
        heads = {head for head, _ in columns}
        for head, cells in columns:
            if any(re.fullmatch(r"[+-]?\d+\.\d+", cell) for cell in cells):
                assert re.search(rf" (?:{UNITS})$", f" {head}"), head
        if any(head.endswith("ms") for head in heads):
            assert heads & {"runs", "starts"} or re.search(COUNT, text)
    assert ("made again" in told) == ("--retries=1" in arguments)
    for line in told.splitlines():
        assert " ms" not in line or re.search(COUNT, line), line
    for line in (text + told).splitlines():
        if "threads: " in line or line.startswith(("host: ", "  ")):  # what the device is, with versions
            continue
        for number in re.finditer(r"(?<![\w.])\d+\.\d+", line):
            after = line[number.end() :]
            named = re.match(rf"e?[+-]?\d* ?(?:{UNITS})\b|%", after) or "interval " in line or "median ms" in line
            assert named, f"{number[0]} in: {line}"
    if " ms" in text and arguments[0] != "devices":
        assert re.search(COUNT, text) or any("runs" in [head for head, _ in one] for one in tables)


def test_a_picture_shows_units_and_counts(
    models: dict[str, pathlib.Path], fake: list[Device], tmp_path: pathlib.Path
) -> None:
    fake.append(Fake(lambda name, secs: 50.0, states=[Conditions(temperature_c=30.0)]))
    picture = tmp_path / "curve.svg"
    assert main(["run", str(models["small"]), "--device=fake", "--sustained=1s", f"--plot={picture}"]) == 0
    texts = re.findall(r"<!-- (.*?) -->", picture.read_text())
    assert {"latency, ms (median, 5 % to 95 %)", "°C", "minutes"} <= set(texts)
    assert any(re.fullmatch(rf"small\.tflite \({COUNT}\)", text) for text in texts), texts
