"""A reference in between shows that it is the device that changes."""

from __future__ import annotations

import pathlib

import pytest

from tests.tflite_bench.devices import Fake
from tflite_bench.bench_options import BenchOptions
from tflite_bench.errors import OptionsError
from tflite_bench.measure.reference import ReferenceRun, measure_with_reference
from tflite_bench.types import Verdict

Models = dict[str, pathlib.Path]
QUICK = BenchOptions(num_runs=20, min_secs=0, warmup_min_secs=0)


@pytest.fixture
def paths(models: Models, tmp_path: pathlib.Path) -> list[pathlib.Path]:
    """Five models."""
    found = [tmp_path / f"model{number}.tflite" for number in range(5)]
    for path in found:
        path.write_bytes(models["small"].read_bytes())
    return found


def _measured(device: Fake, paths: list[pathlib.Path], models: Models, **changes) -> ReferenceRun:
    return measure_with_reference(device, paths, models["large"], QUICK, every=2, **{"retries": 1, **changes})


def _order(device: Fake) -> list[str]:
    """The models in the order in which they were measured."""
    runs = [note.removeprefix("run ") for note in device.notes if note.startswith("run ")]
    return [run for before, run in zip(["", *runs], runs, strict=False) if run != before]


def test_it_is_measured_at_the_start_and_after_every_few(models: Models, paths: list[pathlib.Path]) -> None:
    device, told = Fake(), []
    found = _measured(device, paths, models, on_measured=lambda run, total: told.append((len(run.checked), total)))
    assert _order(device) == ["large", "model0", "model1", "large", "model2", "model3", "large", "model4", "large"]
    assert [one.measurement.model_name for one in found.checked] == [path.name for path in paths]
    assert [one.drift for one in found.checked] == [1.0] * 5
    assert [one.verdict for one in found.references] == [Verdict.OK] * 4
    assert told == [(2, 5), (4, 5), (5, 5)]


def _level(device: Fake, slow: range, factor: float):
    """The device is slower while the measurements (counted from 0) in ``slow`` are made."""
    return lambda name, now: factor if device.notes.count("settle") - 1 in slow else 1.0


def test_models_since_a_good_reference_are_measured_again_when_it_drifts(
    models: Models, paths: list[pathlib.Path], capsys
) -> None:
    device = Fake()
    device.level_ms = _level(device, range(5, 7), 1.5)  # model3 and the reference after it
    found = _measured(device, paths, models)
    again = ["model2", "model3", "large"]
    assert _order(device) == ["large", "model0", "model1", "large", *again, *again, "model4", "large"]
    assert [one.measurement.median_ms for one in found.checked] == [1.0] * 5
    assert [one.measurement.verdict for one in found.checked] == [Verdict.OK] * 5
    assert [one.measurement.attempts for one in found.checked] == [(), (), ("THROTTLED",), ("THROTTLED",), ()]
    text = "The reference takes 1.5 ms (20 runs), at the start it took 1 ms: the device is 50% slower. The last 2"
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("factor", "verdict", "text"),
    [(1.3, Verdict.THROTTLED, "the device is 30% slower"), (0.7, Verdict.NOISY, "the device is 30% faster")],
)
def test_a_device_that_stays_different_is_told_with_every_model(
    models: Models, paths: list[pathlib.Path], factor: float, verdict: Verdict, text: str
) -> None:
    device = Fake()
    device.level_ms = _level(device, range(5, 100), factor)
    found = _measured(device, paths, models)
    assert [one.measurement.verdict for one in found.checked] == [Verdict.OK] * 2 + [verdict] * 3
    assert [one.drift for one in found.checked] == pytest.approx([1, 1, factor, factor, factor])
    assert all(text in one.measurement.reason for one in found.checked[2:])


def test_a_drift_within_the_limit_shows_and_is_accepted(models: Models, paths: list[pathlib.Path]) -> None:
    device = Fake()
    device.level_ms = _level(device, range(5, 100), 1.08)
    found = _measured(device, paths, models)
    assert [one.measurement.verdict for one in found.checked] == [Verdict.OK] * 5
    assert [one.drift for one in found.checked] == pytest.approx([1, 1, 1.08, 1.08, 1.08])


def test_a_reference_that_is_not_ok_at_the_start_is_told_with_every_model(
    models: Models, paths: list[pathlib.Path]
) -> None:
    device = Fake()
    device.level_ms = lambda name, _: 2.0 if name == "large" and device.runs % 3 == 0 else 1.0
    found = _measured(device, paths, models)
    assert [one.measurement.verdict for one in found.checked] == [Verdict.NOISY] * 5
    assert all("The reference was NOISY at the start" in one.measurement.reason for one in found.checked)


def test_every_must_be_a_number_of_models(models: Models) -> None:
    with pytest.raises(OptionsError, match=r"reference_every to be 1 or more\. Received: 0"):
        measure_with_reference(Fake(), [models["small"]], models["large"], every=0)
