"""Latency over time, and how it is drawn."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re

import pytest

from tests.tflite_bench.devices import Fake
from tflite_bench.bench_options import BenchOptions
from tflite_bench.bin import curves
from tflite_bench.conditions import Conditions
from tflite_bench.errors import DeviceError, DeviceLostError, OptionsError
from tflite_bench.measure.sustained import Sustained, clock, sustain

Models = dict[str, pathlib.Path]
QUICK = BenchOptions(warmup_min_secs=0)


def _run(models: Models, level, minutes: float = 10, **changes) -> Sustained:
    device = Fake(lambda name, now: 20 * level(now / 60), **changes)
    return sustain(device, models["small"], 60 * minutes, QUICK, now=lambda: device.secs)


def test_a_steady_model_did_not_slow_down(models: Models) -> None:
    run = _run(models, lambda minute: 1.0)
    assert 55 <= len(run.points) <= 65
    assert run.points[0].begin_secs == 0 and 600 <= run.points[-1].end_secs < 620
    assert all(a.end_secs <= b.begin_secs for a, b in zip(run.points, run.points[1:], strict=False))
    assert run.num_runs == sum(point.block.count for point in run.points)
    assert run.slowed_after_secs is None
    assert re.fullmatch(
        r"Did not slow down in 10:\d\d: 20 ms at the beginning, 20 ms at the end \(\+0%\)\.", run.sentence
    )


@pytest.mark.parametrize("kind", ["times", "statistics"])
def test_it_tells_when_and_how_far_it_slowed(models: Models, kind: str) -> None:
    run = _run(models, lambda minute: 1.0 if minute < 3 else 1.5, kind=kind)
    assert run.slowed_after_secs == pytest.approx(180, abs=11)
    assert (run.start_ms, run.end_ms) == (20, 30)
    assert run.sentence.startswith("Slowed down after 3:0") or run.sentence.startswith("Slowed down after 2:5")
    assert run.sentence.endswith("of 10:01: 20 ms at the beginning, 30 ms at the end (+50%).")


def test_a_moment_in_between_does_not_hide_it(models: Models) -> None:
    run = _run(models, lambda minute: 1.0 if minute < 4 or 7 < minute < 7.4 else 1.3)
    assert run.slowed_after_secs == pytest.approx(240, abs=11)


def test_slow_for_a_while_is_told_too(models: Models) -> None:
    run = _run(models, lambda minute: 1.4 if 5 < minute < 6 else 1.0)
    assert run.slowed_after_secs is None
    assert run.sentence.startswith("Slow for a while only, most at 5:")


def test_a_short_run_has_a_point(models: Models) -> None:
    assert len(_run(models, lambda minute: 1.0, minutes=0.001).points) == 1


def test_the_state_of_the_device_goes_with_the_curve(models: Models) -> None:
    states = [Conditions(thermal_status=number // 20, temperature_c=30 + number / 2) for number in range(100)]
    run = _run(models, lambda minute: 1.0, states=states)
    assert [point.conditions for point in run.points] == states[: len(run.points)]
    data = json.loads(json.dumps(run.to_json(), allow_nan=False))
    assert data["points"][40]["conditions"]["thermal_status"] == 2
    assert data["points"][0]["count"] > 0 and data["points"][0]["median_ms"] == 20
    assert data["start_ms"] == 20 and data["sentence"] == run.sentence
    assert "°C, thermal moderate" in curves.text_curve(run)


def test_a_curve_of_another_file_is_none(models: Models) -> None:
    device, points = Fake(lambda name, now: 20.0), []

    def replaced(run: Sustained) -> None:
        points.append(run)
        device.stale_reason = "Another file was there." if len(points) == 3 else ""

    with pytest.raises(DeviceError, match="Another file was there"):
        sustain(device, models["small"], 600, QUICK, on_point=replaced, now=lambda: device.secs)
    assert len(points) == 3 and device.notes[-1] == "close"


def test_a_curve_that_was_cut_starts_anew(models: Models) -> None:
    device = Fake(lambda name, now: 20.0, faults=[*[None] * 30, DeviceLostError("Away.")])
    run = sustain(device, models["small"], 600, QUICK, now=lambda: device.secs)
    assert run.points[0].begin_secs == 0 and run.points[-1].end_secs >= 600
    assert device.notes.count("settle") == 2


@pytest.mark.parametrize("duration", [0.0, -1.0, float("nan"), float("inf")])
def test_the_duration_must_be_one(models: Models, duration: float) -> None:
    with pytest.raises(OptionsError, match="Expected a duration above 0"):
        sustain(Fake(), models["small"], duration)


def test_the_text_has_a_line_for_each_stretch_with_its_bar(models: Models) -> None:
    lines = curves.text_curve(_run(models, lambda minute: 1.0 if minute < 5 else 2.0)).splitlines()
    assert len(lines) == 20
    assert lines[0].split() == ["0:00", "1500", "runs", "20", "ms", "#" * 20]
    assert lines[-1].split()[1:] == ["750", "runs", "40", "ms", "#" * 40]
    assert len(curves.text_curve(_run(models, lambda minute: 1.0, minutes=0.001)).splitlines()) == 1


@pytest.mark.parametrize("ending", curves.PICTURES)
@pytest.mark.parametrize("states", [[], [Conditions(temperature_c=31.0)]])
def test_a_picture_is_written(models: Models, tmp_path: pathlib.Path, ending: str, states: list[Conditions]) -> None:
    runs = [_run(models, lambda minute: 1 + minute / 10, states=states), _run(models, lambda minute: 1.0)]
    path = tmp_path / f"curve{ending}"
    curves.check_picture(path)
    curves.write_picture(runs, ["a", "b"], path)
    assert path.stat().st_size > 5000


def test_a_picture_names_every_line_with_its_runs_whatever_the_name_is(models: Models, tmp_path: pathlib.Path) -> None:
    run = dataclasses.replace(_run(models, lambda minute: 1.0, minutes=0.1), device=Fake(name="$a^$\x1b[31m").info())
    names = ["a$b^$c.tflite", "_m.tflite", r"\$x_{.tflite"]
    curves.write_picture([run] * 3, names, tmp_path / "curve.svg")
    texts = re.findall(r"<!-- (.*?) -->", (tmp_path / "curve.svg").read_text())  # the letters themselves are curves
    assert {f"{name} ({run.num_runs} runs)" for name in names} <= set(texts)
    assert r"$a^$\x1b[31m, 1 threads" in texts


def test_a_picture_that_cannot_be_written_is_an_error_before_anything_runs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OptionsError, match=r"ends in \.png, \.svg, \.pdf for the plot. Received: a\.gif"):
        curves.check_picture("a.gif")
    with pytest.raises(OptionsError, match="There is none at"):
        curves.check_picture(tmp_path / "none" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OptionsError, match=r"can be written for the plot. Received: .*folder\.png \(Is a directory\)"):
        curves.check_picture(tmp_path / "folder.png")
    curves.check_picture(tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (75, "1:15"), (600, "10:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
