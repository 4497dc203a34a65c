"""Several devices as one: who gets the work, and who is set aside."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.tflite_bench.devices import Fake
from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import Device
from tflite_bench.errors import (
    DeviceBusyError,
    DeviceError,
    DeviceHotError,
    DeviceHungError,
    DeviceLostError,
    ModelFileError,
    OptionsError,
    OutputError,
)
from tflite_bench.measure.interleave import interleave
from tflite_bench.measure.jobs import Workers, run_jobs
from tflite_bench.measure.pool import HOT_REST_SECS, Pool
from tflite_bench.measure.repeat import until_ok

Models = dict[str, pathlib.Path]
QUICK = BenchOptions(num_runs=20, min_secs=0, warmup_min_secs=0)


class Clock:
    """Seconds that a test moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def phones(count: int) -> list[Fake]:
    return [Fake(serial=letter) for letter in "ABCDEFGH"[:count]]


def serial(device: Device) -> str:
    return device.info().serial


def failing(bad: str, error: DeviceError, calls: list[str] | None = None) -> Callable[[Device], str]:
    """A job that fails on the phones in ``bad``."""

    def job(device: Device) -> str:
        if calls is not None:
            calls.append(serial(device))
        if serial(device) in bad:
            raise error
        return serial(device)

    return job


def test_jobs_run_on_all_devices_at_once_and_on_each_one_at_a_time() -> None:
    together = threading.Barrier(4, timeout=10)  # breaks unless four jobs run at the same time
    running: list[str] = []

    def job(device: Device) -> str:
        assert serial(device) not in running
        running.append(serial(device))
        together.wait()
        running.remove(serial(device))
        together.wait()
        return serial(device)

    with Pool(phones(4)) as pool:
        assert pool.slots == 4
        found = dict(run_jobs(pool, [job] * 12))
    assert sorted(found) == list(range(12))
    assert sorted(found.values()) == sorted("ABCD" * 3)


def test_one_measurement_is_made_on_one_device(models: Models) -> None:
    devices = phones(3)
    with Pool(devices) as pool:
        measured = interleave(pool, [models["small"], models["large"]], QUICK)
    assert {one.device.serial for one in measured} == {"A"}
    assert pool.info().fingerprint == measured[0].device.fingerprint
    assert pool.info().serial == "A,B,C"
    assert [device.notes for device in devices[1:]] == [[], []]
    assert all(device.closed for device in devices)


def test_a_model_is_loaded_within_a_job_only(models: Models) -> None:
    with Pool(phones(2)) as pool:
        with pytest.raises(OptionsError, match="run_job"):
            pool.load(models["small"], QUICK)
        assert pool.benchmark(models["small"], QUICK).num_runs == 20


def test_a_profile_comes_from_a_free_device(models: Models) -> None:
    with Pool(phones(2)) as pool, pytest.raises(OptionsError, match="'fake' does not tell the times of single"):
        pool.profile(models["small"], QUICK)


# Devices that fail


def test_a_device_that_fails_once_gets_another_try(capsys) -> None:
    faults = iter([OutputError("Garbage."), None])
    calls = []

    def job(device: Device) -> str:
        calls.append(serial(device))
        fault = next(faults)
        if fault is not None:
            raise fault
        return serial(device)

    with Pool(phones(2)) as pool:
        assert pool.run_job(job) == "A"
    assert calls == ["A", "A"]
    assert capsys.readouterr().err == "Paper A: Garbage. It gets another try.\n"


@pytest.mark.parametrize(
    ("error", "tries"), [(OutputError("Garbage."), 2), (DeviceLostError("Away."), 1), (DeviceBusyError("In use."), 1)]
)
def test_a_device_that_fails_is_set_aside_and_its_work_goes_elsewhere(capsys, error: DeviceError, tries: int) -> None:
    calls: list[str] = []
    with Pool(phones(2), clock=Clock()) as pool:
        assert pool.run_job(failing("A", error, calls)) == "B"
        assert pool.run_job(failing("A", error, calls)) == "B"  # not A, which rests
    assert calls == ["A"] * tries + ["B", "B"]
    assert f"Paper A is set aside: {error} Its work goes to the others" in capsys.readouterr().err


def test_after_a_rest_it_is_tried_again_but_only_when_no_other_is_free(capsys) -> None:
    clock = Clock()
    with Pool(phones(2), rest_secs=60, clock=clock) as pool:
        assert pool.run_job(failing("A", DeviceLostError("Away."))) == "B"
        clock.now = 61
        assert pool.run_job(serial) == "B"
        assert pool.run_job(lambda b: pool.run_job(serial)) == "A"  # while B is in use
        assert pool.run_job(serial) == "A"  # and it is in order again
    assert "Paper A is back." in capsys.readouterr().err


def test_each_failure_in_a_row_makes_the_rest_longer() -> None:
    clock = Clock()
    rests = []
    with Pool(phones(2), rest_secs=60, clock=clock) as pool:
        first = pool._members[0]
        for _ in range(6):
            pool._set_aside(first, DeviceLostError("Away."))
            rests.append(first.back_at - clock.now)
            clock.now = first.back_at
    assert rests == [60, 120, 240, 480, 960, 960]


def test_what_fails_everywhere_fails_by_itself(capsys) -> None:
    def job(device: Device) -> str:
        raise OutputError(f"Garbage from {serial(device)}.")

    with Pool(phones(3)) as pool:
        with pytest.raises(OutputError, match=r"Garbage from C\. It was tried on Paper A and Paper B and Paper C\."):
            pool.run_job(job)
        assert "set aside" not in capsys.readouterr().err
        assert pool.run_job(serial) == "A"


@pytest.mark.parametrize(("error", "tries"), [(OutputError("Crashed."), 2), (DeviceHungError("It hangs."), 1)])
def test_a_job_that_fails_on_two_good_devices_is_at_fault(capsys, error: DeviceError, tries: int) -> None:
    calls: list[str] = []
    with Pool(phones(4)) as pool:
        with Workers(pool) as workers:  # all of them prove to be in order
            barrier = threading.Barrier(4, timeout=10)
            for future in [workers.submit(lambda device: barrier.wait()) for _ in range(4)]:
                future.result(timeout=10)
        with pytest.raises(type(error), match=r"It was tried on Paper A and Paper B\."):
            pool.run_job(failing("ABCD", error, calls))
        assert calls == ["A"] * tries + ["B"] * tries
        assert {pool.run_job(serial), pool.run_job(serial)} == {"A"}
    assert "set aside" not in capsys.readouterr().err


def test_one_poisonous_model_does_not_cost_the_others(models: Models, tmp_path: pathlib.Path) -> None:
    class Poisoned(Fake):
        def fail(self, note: str) -> None:
            super().fail(note)
            if note == "run model2":
                raise DeviceError("benchmark_model crashed (SIGSEGV).")

    def job(device: Device, number: int) -> str:
        path = tmp_path / f"model{number}.tflite"
        path.write_bytes(models["small"].read_bytes())
        return interleave(device, [path], QUICK, 2)[0].model_name

    found, failed = [], []
    with Pool([Poisoned(serial=letter) for letter in "ABC"], lost_secs=2) as pool:
        for number in range(8):
            try:
                found.append(pool.run_job(functools.partial(job, number=number)))
            except DeviceError as error:
                failed.append(str(error))
        assert len(found) == 7
        assert len(failed) == 1 and failed[0].startswith("benchmark_model crashed (SIGSEGV).")
        assert all(member.error is None for member in pool._members)


def test_a_hot_device_rests_while_another_takes_its_work(capsys) -> None:
    clock = Clock()
    with Pool(phones(2), clock=clock) as pool:
        for _ in range(3):
            assert pool.run_job(failing("A", DeviceHotError("It has 50 °C."))) == "B"
        text = "Paper A rests: It has 50 °C. Its work goes to the others while they are cooler.\n"
        assert capsys.readouterr().err == text
        clock.now = HOT_REST_SECS
        assert pool.run_job(lambda b: pool.run_job(serial)) == "A"  # while B is in use
        assert pool._members[0].error is None and pool._members[0].failures == 0


def test_where_all_are_hot_one_that_has_cooled_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tflite_bench.measure.pool.HOT_REST_SECS", 0.02)
    hot = iter([True] * 5)

    def job(device: Device) -> str:
        if next(hot, False):
            raise DeviceHotError("It has 50 °C.")
        return serial(device)

    with Pool(phones(2), lost_secs=0) as pool:
        assert pool.run_job(job) in "AB"


def test_what_stays_throttled_on_one_is_measured_on_another(models: Models, capsys) -> None:
    throttled = Fake(serial="A")
    throttled.level_ms = lambda name, _: 2.0 if throttled.runs >= 20 else 1.0
    options = dataclasses.replace(QUICK, num_runs=40)
    job = functools.partial(_verdict, path=models["small"], options=options)
    with Pool([throttled, Fake(serial="B")]) as pool:
        assert pool.run_job(job) == ("B", "OK")
    assert "Paper A rests: small.tflite stays THROTTLED there" in capsys.readouterr().err
    # All of them: the last one's stays.
    other = Fake(serial="B")
    other.level_ms = lambda name, _: 2.0 if other.runs >= 20 else 1.0
    with Pool([throttled, other]) as pool:
        assert pool.run_job(job) == ("B", "THROTTLED")


def _verdict(device: Device, path: pathlib.Path, options: BenchOptions) -> tuple[str, str]:
    (found,) = until_ok(device, [path], options, 5, 1)[-1]
    return serial(device), found.verdict.value


def test_when_all_are_away_one_of_them_may_come_back(capsys) -> None:
    calls: list[str] = []

    def job(device: Device) -> str:
        calls.append(serial(device))
        if len(calls) < 4:
            raise DeviceLostError(f"{serial(device)} is away.")
        return serial(device)

    with Pool(phones(2), lost_secs=30, rest_secs=0.02) as pool:
        pool.run_job(job)
    assert calls[:3] == ["A", "B", "A"]
    told = capsys.readouterr().err
    assert told.count("No device is left. Waiting up to 30 s for one to come back.") == 1
    assert told.count("A is set aside: A is away.") == 1  # the same reason is told once
    assert f"Paper {calls[-1]} is back." in told


def test_the_wait_for_all_of_them_is_bounded() -> None:
    begin = time.monotonic()
    with Pool(phones(2), lost_secs=0.2, rest_secs=0.02) as pool, pytest.raises(DeviceError, match="Paper A: Away; Pap"):
        pool.run_job(failing("AB", DeviceLostError("Away.")))
    assert 0.2 <= time.monotonic() - begin < 10


@pytest.mark.parametrize("error", [ModelFileError("No model."), OptionsError("No such core."), ZeroDivisionError()])
def test_a_fault_of_the_job_is_no_fault_of_the_device(error: Exception) -> None:
    def job(device: Device) -> str:
        raise error

    with Pool(phones(2)) as pool:
        for _ in range(3):
            with pytest.raises(type(error)):
                pool.run_job(job)
        assert pool.run_job(serial) == "A"


def test_many_jobs_and_a_device_that_fails_at_random() -> None:
    lock = threading.Lock()
    busy: set[str] = set()
    count = iter(range(10**6))

    def job(device: Device) -> str:
        name = serial(device)
        with lock:
            assert name not in busy
            busy.add(name)
            number = next(count)
        time.sleep(0.0005)
        with lock:
            busy.remove(name)
        if name == "C" or (name == "B" and number % 7 == 0):
            raise DeviceLostError("Away.")
        return name

    with Pool(phones(4), rest_secs=0.001) as pool:
        found = dict(run_jobs(pool, [job] * 200))
    assert sorted(found) == list(range(200))
    assert "C" not in found.values() and {"A", "B", "D"} <= set(found.values())


# Of one model


def test_devices_of_another_model_are_left_out(capsys) -> None:
    devices = [Fake(serial="A", name="Other"), *phones(3)[1:]]
    with Pool(devices) as pool:
        assert pool.slots == 2
        assert [device.closed for device in devices] == [True, False, False]
        assert {serial for _, serial in run_jobs(pool, [serial] * 6)} <= {"B", "C"}
    text = "Other A is left out: it has name Other instead of Paper, so its latencies are not comparable with those of"
    assert text in capsys.readouterr().err


def test_among_equally_many_the_first_decides() -> None:
    with Pool([Fake(serial="A", name="Other"), Fake(serial="B")]) as pool:
        assert (pool.slots, pool.info().name) == (1, "Other")


def test_a_device_that_does_not_tell_what_it_is_is_left_out(capsys) -> None:
    class Silent(Fake):
        def info(self):
            raise DeviceLostError("It does not answer.")

    silent = Silent()
    with Pool([silent, Fake(serial="B")]) as pool:
        assert (pool.slots, pool.run_job(serial)) == (1, "B")
    assert silent.closed
    assert "Device 1 of the pool is left out: It does not answer." in capsys.readouterr().err
    with pytest.raises(DeviceError, match="No device of the pool can be used: It does not answer"):
        Pool([Silent(), Silent()])
    with pytest.raises(OptionsError, match="at least one device"):
        Pool([])


# The end


def test_an_interrupted_pool_ends_all_waiting() -> None:
    entered = threading.Semaphore(0)
    go = threading.Event()

    def job(device: Device) -> str:
        entered.release()
        go.wait(timeout=10)
        return serial(device)

    devices = phones(2)
    with Pool(devices) as pool, Workers(pool) as workers:
        running = [workers.submit(job) for _ in range(2)]
        for _ in running:
            entered.acquire(timeout=10)
        waiting = threading.Thread(target=lambda: left.append(_error(lambda: pool.run_job(serial))))
        left: list[str] = []
        waiting.start()
        pool.interrupt()
        waiting.join(timeout=10)
        assert left == ["The devices are no longer in use: it was stopped."]
        assert all(device.interrupted for device in devices)
        go.set()
        assert {future.result(timeout=10) for future in running} == {"A", "B"}


def _error(action: Callable[[], object]) -> str:
    try:
        action()
    except DeviceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ZeroDivisionError])
def test_leaving_the_loop_early_stops_the_jobs(stop: type[BaseException]) -> None:
    done: list[str] = []
    devices = phones(2)

    def job(device: Device) -> str:
        time.sleep(0.01)
        done.append(serial(device))
        return serial(device)

    with Pool(devices) as pool:
        with pytest.raises(stop), contextlib.closing(run_jobs(pool, [job] * 100)) as finished:
            for _ in finished:
                raise stop
        assert all(device.interrupted for device in devices)
        count = len(done)
        assert count < 10
        time.sleep(0.05)
        assert len(done) == count  # no thread is left


def test_when_a_job_fails_those_that_have_begun_are_handed_out_first() -> None:
    both = threading.Barrier(2, timeout=10)

    def bad(device: Device) -> str:
        both.wait()
        raise ModelFileError("No model.")

    def good(device: Device) -> str:
        both.wait()
        time.sleep(0.05)
        return serial(device)

    def later(device: Device) -> str:
        time.sleep(0.05)
        return "later"

    def collect(found: list[int]) -> Iterator[None]:
        for place, _ in run_jobs(pool, [bad, good, *[later] * 50]):
            found.append(place)
            yield

    found: list[int] = []
    with Pool(phones(2)) as pool, pytest.raises(ModelFileError):
        list(collect(found))
    assert 1 in found
    assert len(found) <= 3


def test_one_device_runs_its_jobs_in_order_and_in_this_thread() -> None:
    seen = []

    def job(device: Device) -> int:
        seen.append(threading.current_thread())
        return len(seen)

    assert list(run_jobs(Fake(), [job] * 3)) == [(0, 1), (1, 2), (2, 3)]
    assert set(seen) == {threading.current_thread()}


@pytest.mark.parametrize("action", ["close", "interrupt"])
def test_a_device_that_fails_at_the_end_does_not_keep_the_others(action: str) -> None:
    devices = phones(3)

    def fail() -> None:
        raise DeviceError("It cannot be written.")

    setattr(devices[0], action, fail)
    with pytest.raises(DeviceError, match="cannot be written"):
        getattr(Pool(devices), action)()
    assert [device.closed if action == "close" else device.interrupted for device in devices[1:]] == [True, True]
