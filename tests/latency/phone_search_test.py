"""``tfmeta search`` on phones, end to end: command line, real adb client, phones made of software.

An inference on them takes a tenth of a microsecond for each byte of the file, so that every latency is known. Whatever
happens to the phones meanwhile, the search ends with the result of one that nothing disturbed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import projects
from tests.phone import AdbServer, Bench, Hardware, Phone, Throttle, write_benchmark_model
from tflite_bench.adb import connection
from tflite_bench.phone import wait
from tfmeta.__main__ import main

OK, DEVICE, TERMINATED = 0, 3, 143
BENCH = Bench(latency_us=lambda path: path.stat().st_size / 10)
MAX_LATENCY_MS = 3.5  # of the full network's 5.1
SEARCH = ("--generations=2", "--population=2", "--calibration_images=50", f"--max_latency_ms={MAX_LATENCY_MS}")
QUICK = ("--num_runs=10", "--min_secs=0", "--rounds=1", "--warmup_secs=0", "--retries=1")
LIMITS = ("--lost_secs=20",)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(connection, "_RETURNS_ALONE_SECS", 4.0)  # adb's next attempt is after 3 s
    monkeypatch.setattr(connection, "_POLL_SECS", 0.02)
    monkeypatch.setattr(wait, "_LOST_POLL_SECS", 0.05)


@contextlib.contextmanager
def attached(server: AdbServer, *serials: str, away: tuple[str, ...] = (), **hardware: Any) -> Iterator[list[Phone]]:
    """Phones that adb knows; afterwards they must be as they were, but for those that went ``away`` for good."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(Phone(Hardware(serial_number=s, **hardware), bench=BENCH)) for s in serials]
        for phone in made:
            server.connect(phone)
        yield made
        for phone in made:
            server.adb("disconnect", phone.serial)
            restored = phone.settings["global"]["stay_on_while_plugged_in"] == "0"
            if phone.state.properties["ro.serialno"] in away:
                assert not restored
            else:
                assert (restored, phone.changes(), phone.processes, phone.violations) == (True, {}, [], [])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmark_model(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects")
    model = projects.saved_model(folder / "model.keras")
    quick = ("--dataset=digits", "--batch_size=64", "--epochs=1", "--noaugment", "--train_size=300")
    assert main(["train", f"--workdir={folder}/trained", f"--model={model}", *quick]) == OK
    return folder / "trained"


def command(work: Path, program: Path, *phones: Phone) -> list[str]:
    device = "adb:" + ",".join(phone.serial for phone in phones)
    where = (f"--device={device}", f"--benchmark_model=arm64-v8a={program}")
    return ["search", f"--workdir={work}", *where, *SEARCH, *QUICK, *LIMITS]


@pytest.fixture(scope="module")
def undisturbed(trained: Path, program: Path, adb_server: AdbServer) -> Path:
    """The work directory of a search on one phone that nothing disturbed."""
    work = trained.parent / "undisturbed"
    shutil.copytree(trained, work)
    with attached(adb_server, "S1") as (phone,):
        assert main(command(work, program, phone)) == OK
    return work


@pytest.fixture
def work(trained: Path, undisturbed: Path, tmp_path: Path) -> Path:
    """The trained project, with the files that the search will convert: nothing is measured yet."""
    shutil.copytree(trained, tmp_path / "work")
    shutil.copytree(undisturbed / "latency", tmp_path / "work" / "latency")
    return tmp_path / "work"


def result(work: Path) -> Any:
    return projects.read(work / "searches/main.json")


def measurements(work: Path) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(work / "store.sqlite")) as database:
        return [json.loads(row[0]) for row in database.execute("SELECT payload FROM measurements ORDER BY rowid")]


def assert_like(work: Path, undisturbed: Path) -> None:
    """The same structures with the same latencies, none of which is wrong, missing or measured twice."""
    assert result(work) == result(undisturbed)
    found = [one for one in measurements(work) if one["kind"] == "structure"]
    whole = [one for one in measurements(undisturbed) if one["kind"] == "structure"]
    latencies = {tuple(one["widths"]): one["latency_ms"] for one in found}
    assert latencies == {tuple(one["widths"]): one["latency_ms"] for one in whole}
    assert len(found) == len(latencies)
    for one in found:
        assert one["measurement"]["median_ms"] == pytest.approx(one["measurement"]["model_size_bytes"] / 1e4, rel=0.02)
        assert one["latency_ms"] == pytest.approx(one["measurement"]["model_size_bytes"] / 1e4, rel=0.02)


def test_the_search_finds_what_is_fast_enough_on_the_phone(undisturbed: Path) -> None:
    found = result(undisturbed)
    assert found["budget"] == f"at most {MAX_LATENCY_MS} ms"
    values = {row: entry["values"]["latency"] for row, entry in found["structures"].items()}
    assert values["full"] > MAX_LATENCY_MS >= max(values["searched"], values["random"], values["uniform"])
    (one, *_) = measurements(undisturbed)
    told = one["measurements"][0]["reference"] if one["kind"] == "reference" else one["measurement"]
    assert told["device"]["kind"] == "adb" and told["device"]["serial"] == "S1"
    assert (told["before"]["thermal_status"], told["num_runs"]) == (0, 10)
    assert_like(undisturbed, undisturbed)


def test_the_same_search_again_measures_nothing(undisturbed: Path, program: Path, adb_server: AdbServer) -> None:
    before = result(undisturbed)
    with attached(adb_server, "S1") as (phone,):
        args = command(undisturbed, program, phone)
        device = projects.read(undisturbed / "config.json")["search main"]["place"]["device"]
        assert main([text.replace(f"adb:{phone.serial}", device) for text in args]) == OK
        assert phone.benchmarks == []
    assert result(undisturbed) == before


def test_a_cable_that_is_out_for_a_while(work, undisturbed, program, adb_server, capsys, monkeypatch) -> None:
    monkeypatch.setattr(connection, "_RETURNS_ALONE_SECS", 0.2)
    with attached(adb_server, "S1") as (phone,):
        phone.at_benchmark(14, lambda: phone.cut(away_secs=1.5))
        phone.at_benchmark(30, lambda: phone.cut(reset=True))
        assert main(command(work, program, phone)) == OK
    told = capsys.readouterr().err
    assert told.count("This measurement starts anew") == 2
    assert "is away" in told and "waiting up to" in told and "is back after" in told
    assert_like(work, undisturbed)


def test_a_cable_that_stays_out_and_is_plugged_in_later(work, undisturbed, program, adb_server, capsys) -> None:
    with attached(adb_server, "S1") as (phone,):
        phone.at_benchmark(26, lambda: phone.cut(away_secs=None))
        assert main([*command(work, program, phone), "--lost_secs=0.2"]) == DEVICE
        told = capsys.readouterr().err
        assert "did not come back within" in told
        known = len(measurements(work))
        assert known > 1
        phone.listen()
        adb_server.connect(phone)
        phone.benchmarks.clear()
        # By now it has another name: what counts is that it is a phone of that model.
        assert main(command(work, program, phone)) == OK
    assert_like(work, undisturbed)


def test_a_search_that_is_told_to_end_leaves_the_phone_in_order_and_goes_on(
    work, undisturbed, program, adb_server
) -> None:
    with attached(adb_server, "S1") as (phone,):
        process = projects.start(*command(work, program, phone))
        projects.signal_when(process, lambda: len(phone.benchmarks) >= 26, signal.SIGTERM)
        ended = projects.finished(process)
        assert ended.returncode == TERMINATED, ended.stderr[-2000:]
        assert "Stopped. Run the same command again to go on." in ended.stderr
        assert (phone.changes(), phone.processes) == ({}, [])
        assert phone.settings["global"]["stay_on_while_plugged_in"] == "0"
        assert main(command(work, program, phone)) == OK
    assert_like(work, undisturbed)


def test_a_pool_of_which_one_phone_dies(work, undisturbed, program, adb_server, capsys) -> None:
    with attached(adb_server, "S1", "S2", "S3", away=("S2",)) as phones:
        phones[1].at_benchmark(9, lambda: phones[1].cut(away_secs=None))
        phones[2].at_benchmark(5, lambda: phones[2].cut(away_secs=0.2))
        assert main(command(work, program, *phones)) == OK
        assert "S2 is set aside" in capsys.readouterr().err
        serials = {one["measurement"]["device"]["serial"] for one in measurements(work) if one["kind"] == "structure"}
        assert {"S1", "S3"} <= serials <= {"S1", "S2", "S3"}
        phones[1].listen()  # for the next one, which puts it in order
    assert_like(work, undisturbed)


def test_a_phone_that_throttles_is_measured_again(work, undisturbed, program, adb_server) -> None:
    with attached(adb_server, "S1") as (phone,):
        # Slower by half for the blocks of one measurement, of which the phone itself tells nothing.
        silent = Throttle(after=0, factor=1.5, status=None, lowers_clocks=False)
        phone.at_benchmark(23, lambda: phone.set(throttle=silent))
        phone.at_benchmark(25, lambda: phone.set(throttle=None))
        assert main(command(work, program, phone)) == OK
    attempts = [one["attempts"] for one in measurements(work) if one["kind"] == "structure"]
    assert [[one["verdict"] for one in each] for each in attempts if len(each) > 1] == [["THROTTLED", "OK"]]
    assert_like(work, undisturbed)


def test_prune_goes_on_until_a_phone_is_fast_enough(
    trained: Path, tmp_path: Path, program: Path, adb_server: AdbServer
) -> None:
    model, limit = trained.parent / "model.keras", ("--latency_ms=0.6x", "--scheme=fp32", "--calibration_images=50")
    with attached(adb_server, "S1") as (phone,):
        device = f"adb:{phone.serial}"
        where = (f"--device={device}", f"--benchmark_model=arm64-v8a={program}", *LIMITS)
        project = (f"--model={model}", "--dataset=digits", "--train_size=300", f"--output={tmp_path}/out")
        assert main(["prune", *project, *limit, *where, *QUICK]) == OK
    found = json.loads((tmp_path / "out" / "pruned.json").read_text())["latency"]
    size = (tmp_path / "out" / "pruned-fp32.tflite").stat().st_size
    assert found["latency_ms"] == pytest.approx(size / 10_000, rel=0.01)
    # Steps of 8 channels of this network are a few percent of its bytes.
    assert found["within"] and found["verdict"] == "OK" and 0.7 < found["latency_ms"] / found["limit_ms"] <= 1
    assert found["device"] == device and found["measurement"]["device"]["kind"] == "adb"
    assert found["limit_ms"] == pytest.approx(0.6 * found["full_ms"])
