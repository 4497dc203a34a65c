"""Finished files beside a reference."""

import dataclasses

import pytest

import tflite_bench
from tests.latency.devices import Counting, Scripted
from tests.tflite_bench.benchmark_model.stand_in import write_stand_in
from tfmeta.latency import LatencyOptions, measure_files
from tfmeta.latency.conversion import structure_file


@pytest.fixture(scope="module")
def paths(graph, space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, structure in {"full": space.full(), "smallest": space.smallest()}.items():
        (folder / f"{name}.tflite").write_bytes(structure_file(graph, structure, "fp32"))
    return {path.stem: path for path in folder.iterdir()}


def test_each_file_gets_its_own_times_and_its_ratio(paths, quick):
    full, smallest = measure_files("host", [paths["full"], paths["smallest"]], paths["full"], quick)
    assert (full.path, smallest.path) == (paths["full"], paths["smallest"])
    assert smallest.ratio < 1 / 1.5  # see objective_test
    assert 0 < smallest.median_ms <= smallest.p90_ms
    data = smallest.to_json()
    assert data["median_ms"] == smallest.median_ms and data["ratio"] == smallest.ratio
    assert data["measurement"]["model_size_bytes"] == paths["smallest"].stat().st_size
    assert data["reference"]["model_size_bytes"] == paths["full"].stat().st_size


def test_operators_are_timed_where_the_runtime_tells_them(paths, tmp_path):
    program = write_stand_in(tmp_path / "benchmark_model")
    options = LatencyOptions(rounds=1, num_runs=10, min_secs=0.0, warmup_secs=0.0, retries=0)
    (found,) = measure_files(f"binary:{program}", [paths["smallest"]], paths["full"], options, operators=True)
    by_type = found.to_json()["operators"]["by_type"]
    assert [(one["type"], one["avg_ms"], one["share"]) for one in by_type] == [
        ("Softmax (NC, F32)", 3.0, 0.75),
        ("CONV_2D", 1.0, 0.25),
    ]
    assert found.median_ms == pytest.approx(4.0)  # of the run before, that tells no operators


def test_a_runtime_that_tells_no_operators_is_the_reason(paths, quick):
    (found,) = measure_files("host", [paths["smallest"]], paths["full"], quick, operators=True)
    assert set(found.operators) == {"reason"}
    assert "does not tell the times of single operators" in found.operators["reason"]
    (found,) = measure_files("host", [paths["smallest"]], paths["full"], quick)
    assert found.operators is None


def test_times_are_those_of_the_last_attempt_and_ratios_those_of_the_rounds(paths):
    noisy, ours, theirs = [1.0, 1.0, 1.0, 9.0], [2.0, 2.02], [4.0, 4.04]
    device = Scripted([noisy, theirs, ours, theirs])
    options = LatencyOptions(rounds=5, num_runs=40, min_secs=0.0, retries=1)
    (found,) = measure_files(device, [paths["full"]], paths["smallest"], options)
    assert found.median_ms == pytest.approx(2.01)
    assert found.ratio == pytest.approx(0.5)
    assert found.verdict == "OK"
    assert [verdict for _, verdict in found.attempts] == ["NOISY", "OK"]
    assert not device.closed


def test_a_noisy_reference_is_named_as_the_reason(paths):
    device = Scripted([[1.0, 1.01], [1.0, 1.0, 1.0, 9.0]])
    options = LatencyOptions(rounds=5, num_runs=40, min_secs=0.0, retries=0)
    (found,) = measure_files(device, [paths["full"]], paths["smallest"], options)
    assert found.verdict == "NOISY"
    assert found.reason.startswith("The reference: ")


def test_a_broken_file_is_an_error_of_the_benchmark(paths, quick, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model at all")
    device = Counting()
    with pytest.raises(tflite_bench.ModelFileError, match="lacks the identifier"):
        measure_files(device, [broken], paths["full"], dataclasses.replace(quick, retries=3))
    assert device.loads == 0


def test_unknown_device(paths, quick):
    with pytest.raises(tflite_bench.OptionsError, match=r"Expected a device among: .*host"):
        measure_files("toaster", [paths["full"]], paths["full"], quick)
