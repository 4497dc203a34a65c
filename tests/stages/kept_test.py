"""What was found once is found again under the same key only, and a damaged entry is made anew."""

import itertools
import json
import types

import pytest

from tests import nets
from tests.latency.devices import Scripted, Weighing
from tfmeta import ChannelGraph
from tfmeta.latency import measure
from tfmeta.latency.conversion import structure_file
from tfmeta.latency.options import HOST, LatencyOptions
from tfmeta.stages import kept as stage
from tfmeta.stages.kept import Kept, code_of, file_accuracy, file_latencies

QUICK = LatencyOptions(rounds=5, num_runs=10, min_secs=0.0, warmup_secs=0.0, retries=0)
KEY = {"what": "accuracy", "file": "ab", "options": (1, 2)}


class Split:
    fingerprint = "test"


@pytest.fixture
def project(tmp_path):
    workdir = types.SimpleNamespace(kept=tmp_path / "kept")
    return types.SimpleNamespace(workdir=workdir, splits=types.SimpleNamespace(test=Split()))


def test_a_value_is_found_once(tmp_path):
    values = iter([{"ms": 1.5}, {"ms": 2.5}])
    for _ in range(2):
        assert Kept(tmp_path / "kept").found(KEY, lambda: next(values)) == {"ms": 1.5}
    assert Kept(tmp_path / "kept").get(KEY) == {"ms": 1.5}


@pytest.mark.parametrize("change", [{"file": "cd"}, {"options": (1, 3)}, {"method": 2}])
def test_another_key_misses(change, tmp_path):
    kept = Kept(tmp_path)
    kept.put(KEY, 0.5)
    assert kept.get({**KEY, **change}) is None
    assert kept.found({**KEY, **change}, lambda: 0.75) == 0.75
    assert kept.get(KEY) == 0.5


@pytest.mark.parametrize(
    "text",
    ["", '{"key": ', "[]", "null", "{}", '{"value": 0.9}', '{"key": {"what": "accuracy"}, "value": 0.9}', "\udcff"],
)
def test_a_damaged_entry_is_made_anew(text, tmp_path):
    kept = Kept(tmp_path)
    kept.put(KEY, 0.5)
    kept.path(KEY).write_bytes(text.encode(errors="surrogateescape"))
    assert kept.get(KEY) is None
    assert kept.found(KEY, lambda: 0.25) == kept.get(KEY) == 0.25
    assert json.loads(kept.path(KEY).read_text())["value"] == 0.25


def test_the_accuracy_of_a_file_depends_on_bytes_split_and_runtime(project, tmp_path, monkeypatch):
    path, answers = tmp_path / "a.tflite", itertools.count(1)
    monkeypatch.setattr(stage, "split_accuracy", lambda path, split: next(answers))
    path.write_bytes(b"first")
    assert [file_accuracy(project, path) for _ in range(2)] == [1, 1]
    path.rename(tmp_path / "b.tflite")
    assert file_accuracy(project, tmp_path / "b.tflite") == 1
    path.write_bytes(b"second")
    assert file_accuracy(project, path) == 2
    monkeypatch.setattr(Split, "fingerprint", "other")
    assert file_accuracy(project, path) == 3
    monkeypatch.setattr(stage, "installed_versions", lambda: {"ai-edge-litert": "0.0"})
    assert file_accuracy(project, path) == 4


def test_a_model_depends_on_the_code_of_its_own_layers():
    project = types.SimpleNamespace(custom_objects={"Own": Split, "net": nets.tiny, "print": print})
    assert code_of(project) == sorted(map(stage.files.sha256, (__file__, nets.__file__)))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Three files, the first of them the reference."""
    graph = ChannelGraph.from_model(nets.tiny("residual"))
    folder, data = tmp_path_factory.mktemp("files"), structure_file(graph, graph.full, "fp32")
    found = [folder / f"{name}.tflite" for name in "abc"]
    for size, path in enumerate(found):
        path.write_bytes(data + bytes(size))
    return found


def timed(device, monkeypatch, project, paths, options=QUICK):
    """The latencies, and how many files were timed for them."""
    monkeypatch.setattr(measure.tflite_bench, "open_device", lambda *_: device)
    before = device.loads
    found = file_latencies(project, HOST, paths, paths[0], options)
    return found, (device.loads - before) / 2  # each in turns with the reference


def test_a_measurement_that_is_ok_is_not_made_again(project, paths, monkeypatch):
    device = Weighing()
    found, count = timed(device, monkeypatch, project, paths)
    per_file = count / 3
    assert per_file >= 1 and [one["measurement"]["model_name"] for one in found] == [path.name for path in paths]
    again, count = timed(device, monkeypatch, project, paths)
    assert count == 0 and again == json.loads(json.dumps(found))
    # Beside another reference, or in another way, it is another measurement.
    assert timed(device, monkeypatch, project, paths[1:])[1] == 2 * per_file
    other = LatencyOptions(rounds=5, num_runs=11, min_secs=0.0, warmup_secs=0.0, retries=0)
    assert timed(device, monkeypatch, project, paths, other)[1] == 3 * per_file


def test_what_was_measured_before_a_failure_is_not_measured_again(project, paths, monkeypatch):
    def failing(path, options, load=Weighing.load):
        if path == paths[2]:
            raise KeyboardInterrupt
        return load(device, path, options)

    device = Weighing()
    with monkeypatch.context() as patch:
        patch.setattr(device, "load", failing)
        with pytest.raises(KeyboardInterrupt):
            timed(device, patch, project, paths)
    _, rest = timed(device, monkeypatch, project, paths)
    assert timed(device, monkeypatch, project, paths[:2])[1] == 0 < rest


def test_a_measurement_that_is_not_ok_is_made_again(project, paths, monkeypatch):
    noisy = Scripted(itertools.cycle([[1.0, 3.0]]))
    (found,), count = timed(noisy, monkeypatch, project, paths[:1])
    assert found["verdict"] != "OK"
    assert timed(noisy, monkeypatch, project, paths[:1])[1] == count > 0
    device = Weighing()
    (found,), _ = timed(device, monkeypatch, project, paths[:1])
    assert found["verdict"] == "OK" and timed(device, monkeypatch, project, paths[:1])[1] == 0
