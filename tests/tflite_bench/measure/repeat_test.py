"""What is not OK is measured again."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from tests.tflite_bench.devices import Fake
from tflite_bench.bench_options import BenchOptions
from tflite_bench.errors import DeviceLostError, OptionsError
from tflite_bench.measure.interleave import MAX_RESTARTS, interleave
from tflite_bench.measure.repeat import until_ok
from tflite_bench.types import Delegation, Verdict

Models = dict[str, pathlib.Path]
QUICK = BenchOptions(num_runs=40, min_secs=0, warmup_min_secs=0)
LOST = DeviceLostError("The cable is out.")


def _throttled(device: Fake, bad: int) -> Fake:
    """Its first ``bad`` measurements double their latency after 20 runs."""
    device.level_ms = lambda name, _: (
        2.0 if device.notes.count("settle") <= bad and device.runs >= 20 and name == "small" else 1.0
    )
    return device


@pytest.mark.parametrize("kind", ["times", "statistics"])
@pytest.mark.parametrize(
    ("bad", "retries", "attempts"), [(0, 2, []), (1, 2, ["THROTTLED"]), (9, 2, ["THROTTLED"] * 2), (9, 0, [])]
)
def test_it_is_repeated_until_ok_but_not_for_ever(
    models: Models, kind: str, bad: int, retries: int, attempts: list[str]
) -> None:
    device = _throttled(Fake(kind=kind), bad)
    all_of_them = until_ok(device, [models["small"]], QUICK, 5, retries)
    (last,) = all_of_them[-1]
    assert last.attempts == tuple(attempts)
    assert [one.verdict for (one,) in all_of_them[:-1]] == [Verdict.THROTTLED] * len(attempts)
    assert last.verdict is (Verdict.THROTTLED if bad > retries else Verdict.OK)
    assert device.notes.count("settle") == len(all_of_them)  # it may cool down before each


def test_models_in_turns_are_repeated_together(models: Models) -> None:
    device = _throttled(Fake(), 1)
    first, last = until_ok(device, [models["small"], models["large"]], QUICK, 5, 3)
    assert [one.verdict for one in first] == [Verdict.THROTTLED, Verdict.OK]
    assert [one.verdict for one in last] == [Verdict.OK] * 2
    assert [one.attempts for one in last] == [("THROTTLED",)] * 2


def test_a_review_may_know_more(models: Models) -> None:
    reviewed = []

    def review(measured):
        reviewed.append(measured)
        return [dataclasses.replace(one, verdict=Verdict.NOISY, reason="Too good.") for one in measured]

    found = until_ok(Fake(), [models["small"]], QUICK, 5, 1, review=review)
    assert len(found) == len(reviewed) == 2
    assert found[-1][0].reason == "Too good."


def test_retries_below_0_are_an_error(models: Models) -> None:
    with pytest.raises(OptionsError, match="retries to be 0 or more"):
        until_ok(Fake(), [models["small"]], QUICK, 5, -1)


def test_what_is_stale_is_measured_again(models: Models) -> None:
    device = Fake()
    device.stale_reason = "Another file was there."
    (last,) = until_ok(device, [models["small"]], QUICK, 5, 1)[-1]
    assert (last.verdict, last.reason, last.attempts) == (Verdict.STALE, "Another file was there.", ("STALE",))


def test_the_delegation_is_recorded(models: Models) -> None:
    told = Delegation("gpu", False, 7, 9, 2)
    (m,) = interleave(Fake(delegation=told), [models["small"]], QUICK)
    assert m.delegation == told


def test_a_device_that_became_slow_for_good_is_no_better_when_it_is_steady(models: Models) -> None:
    # It tells nothing of its heat: only the first attempt has seen it fast.
    device = Fake(kind="statistics")
    done = iter(range(10**6))
    device.level_ms = lambda name, _: 2.0 if next(done) >= 20 else 1.0
    attempts = until_ok(device, [models["small"]], QUICK, 5, 2)
    assert [one.verdict for (one,) in attempts] == [Verdict.THROTTLED] * 3
    assert "1 ms" in attempts[-1][0].reason


def test_noise_is_timed_longer_and_told(models: Models, capsys) -> None:
    device = Fake()
    device.level_ms = lambda name, _: 1.0 if device.notes.count("settle") > 2 or device.runs % 5 else 2.0
    attempts = until_ok(device, [models["small"]], QUICK, 5, 2)
    assert [one.num_runs for (one,) in attempts] == [40, 80, 160]
    assert attempts[-1][0].verdict is Verdict.OK and attempts[-1][0].attempts == ("NOISY", "NOISY")
    assert {one.options for (one,) in attempts} == {QUICK}
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("Measured again, ")[1] for line in lines] == ["1 of 2.", "2 of 2."]
    assert lines[0].startswith("small.tflite: NOISY: The median is known only to within")


def test_too_few_runs_are_not_measured_again(models: Models, capsys) -> None:
    few = dataclasses.replace(QUICK, num_runs=5)
    ((one,),) = until_ok(Fake(), [models["small"]], few, 5, 2)
    assert (one.verdict, one.attempts) == (Verdict.NOISY, ())
    assert capsys.readouterr().err == ""


def test_the_best_attempt_is_kept(models: Models) -> None:
    widths = iter([0.02, 0.3, 0.01, 0.2])

    def review(measured):
        half = next(widths) / 2
        verdict = Verdict.THROTTLED if half == 0.005 else Verdict.NOISY
        return [
            dataclasses.replace(one, verdict=verdict, median_low_ms=1 - half, median_high_ms=1 + half)
            for one in measured
        ]

    attempts = until_ok(Fake(), [models["small"]], QUICK, 5, 3, review=review)
    assert [one.median_high_ms for (one,) in attempts] == pytest.approx([1.15, 1.005, 1.1, 1.01])
    assert attempts[-1][0].attempts == ("NOISY", "THROTTLED", "NOISY")


# A device that goes away in the middle


@pytest.mark.parametrize("at", range(1, 8))
def test_a_device_that_goes_away_is_measured_from_the_start(models: Models, capsys, at: int) -> None:
    # Before it was away it was twice as slow: one old block in the result would show.
    device = Fake(faults=[*[None] * at, LOST])
    device.level_ms = lambda name, now: 1.0 if device.notes.count("settle") > 1 else 2.0
    told: list[int] = []
    found = interleave(device, [models["small"], models["large"]], QUICK, 3, on_block=lambda done, _: told.append(done))
    assert all(set(one.blocks_ms) == {(1.0,) * 13, (1.0,) * 14} for one in found)
    assert [one.num_runs for one in found] == [40, 40]
    assert told == [*range(1, at - 1), *range(1, 7)]
    assert device.notes.count("load") == 2 + min(at + 1, 2)
    assert "close" in device.notes[: device.notes.index("settle", 1)] or at < 2
    assert "The cable is out. This measurement starts anew (1 of at most 3 times)." in capsys.readouterr().err


def test_a_device_that_goes_away_again_and_again_is_an_error(models: Models, capsys) -> None:
    device = Fake(faults=[None, LOST] * 10)
    with pytest.raises(DeviceLostError, match=f"The cable is out. That happened {MAX_RESTARTS + 1} times"):
        interleave(device, [models["small"]], QUICK)
    assert device.notes.count("settle") == MAX_RESTARTS + 1
    assert capsys.readouterr().err.count("starts anew") == MAX_RESTARTS


def test_a_device_that_does_not_come_back_is_an_error_at_once(models: Models) -> None:
    class Gone(Fake):
        def settle(self, pin: str = "none") -> None:
            super().settle(pin)
            if "load" in self.notes:
                raise DeviceLostError("It did not come back within 5 s.")

    device = Gone(faults=[LOST])
    with pytest.raises(DeviceLostError, match="did not come back"):
        interleave(device, [models["small"]], QUICK)
    assert device.notes == ["settle", "load", "settle"]
