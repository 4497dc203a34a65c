"""`tfmeta mixed`: a bundle of the chosen file, once, whatever comes in between."""

import shutil
import signal

import pytest

from tests import projects
from tests.latency.devices import Weighing
from tfmeta import __main__ as program
from tfmeta.export import flatbuffer
from tfmeta.export.interface import Tolerance
from tfmeta.export.mixed import sensitivity
from tfmeta.export.runtime_version import minimum_runtime, version_by_types
from tfmeta.latency import measure
from tfmeta.lazy import keras
from tfmeta.project import Project
from tfmeta.stages import kept, mixed_trial
from tfmeta.stages import mixed as stage
from tfmeta.workdir import Workdir

pytest.importorskip("litert_quantizer", reason="litert-quantizer is an extra")

MIXED = ("--max_kept=1", "--max_loss=0.1", *projects.EXPORT)
TABLE, BUNDLE = "mixed/main/searched-float.json", "mixed/main/searched-float"
FILE = f"{BUNDLE}/searched-mixed_float.tflite"


def time_at_once(patch):
    """Times files by their sizes, without running them."""
    device = Weighing()
    patch.setattr(measure.tflite_bench, "open_device", lambda *_: device)


@pytest.fixture(scope="module")
def retrained(tmp_path_factory):
    """A work directory with the searched network trained."""
    folder = tmp_path_factory.mktemp("mixed")
    work = folder / "work"
    model = projects.saved_model(folder / "model.keras")
    assert program.main(["train", f"--workdir={work}", f"--model={model}", *projects.TRAIN]) == 0
    assert program.main(["search", f"--workdir={work}", *projects.SEARCH]) == 0
    assert program.main(["retrain", f"--workdir={work}", "--rows=searched", *projects.RETRAIN[:1], "--epochs=3"]) == 0
    return work


@pytest.fixture(scope="module")
def killed(retrained, tmp_path_factory):
    """The same after a run that was killed when the first layers were tried, and no more."""
    work = tmp_path_factory.mktemp("killed") / "work"
    shutil.copytree(retrained, work)
    process = projects.start("mixed", f"--workdir={work}", *MIXED)
    projects.signal_when(process, (work / TABLE).exists)
    assert projects.finished(process).returncode == -signal.SIGKILL
    assert not (work / BUNDLE).exists()
    return work


@pytest.fixture(scope="module")
def whole(killed, tmp_path_factory):
    """The same after the command was given again."""
    work = tmp_path_factory.mktemp("whole") / "work"
    shutil.copytree(killed, work)
    with pytest.MonkeyPatch.context() as patch:
        time_at_once(patch)
        assert program.main(["mixed", f"--workdir={work}", *MIXED]) == 0
    return work


@pytest.fixture
def work(whole, tmp_path):
    """A copy of `whole` for a test to spoil."""
    return shutil.copytree(whole, tmp_path / "work")


def ranked(work):
    """Layer to what was found of it."""
    made = projects.read(work / TABLE)
    return {one["layer"]: one for one in made.get("alone", made.get("sensitivity"))}


def test_what_was_tried_before_the_kill_is_kept(killed, whole):
    before, after = ranked(killed), ranked(whole)
    assert before and before == {layer: one for layer, one in after.items() if layer in before}
    assert len(after) == 4 and "alone" not in projects.read(whole / TABLE)
    losses = [one["loss"] for one in projects.read(whole / TABLE)["sensitivity"]]
    assert losses == sorted(losses, reverse=True)


@pytest.fixture
def at_once(monkeypatch):
    """As `time_at_once`."""
    time_at_once(monkeypatch)


def counted(patch, module, name, number=None):
    """The calls of a function, of which the one of this number is stopped."""
    calls = []

    def call(*arguments, **named):
        calls.append(arguments)
        if len(calls) == number:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    original = getattr(module, name)
    patch.setattr(module, name, call)
    return calls


def test_a_stopped_run_goes_on_with_the_next_layer_and_the_next_file(retrained, tmp_path, monkeypatch, at_once):
    work = shutil.copytree(retrained, tmp_path / "work")
    command = ["mixed", f"--workdir={work}", *MIXED]
    with monkeypatch.context() as patch:
        counted(patch, sensitivity, "judged", 4)  # the float network is judged first
        assert program.main(command) == 130
    made = projects.read(work / TABLE)
    assert len(made["alone"]) == 2 and "sensitivity" not in made
    with monkeypatch.context() as patch:
        layers = counted(patch, sensitivity, "judged")
        counted(patch, kept, "split_accuracy", 3)
        assert program.main(command) == 130
    assert len(layers) == 1 + 2 and len(projects.read(work / TABLE)["sensitivity"]) == 4
    with monkeypatch.context() as patch:
        tested = counted(patch, kept, "split_accuracy")
        counted(patch, measure, "_with_operators", 3)
        assert program.main(command) == 130
    made = projects.read(work / TABLE)
    assert len(tested) == 1 and [row["kept"] for row in made["files"]] == [None, 0] and "versions" not in made
    assert program.main(["report", f"--workdir={work}"]) == 0
    assert "## Mixed precision" not in (work / "report.md").read_text()  # not whole yet
    with monkeypatch.context() as patch:
        measured, tested = counted(patch, measure, "_with_operators"), counted(patch, kept, "split_accuracy")
        patch.setattr(sensitivity, "judged", None)
        patch.setattr(mixed_trial, "judged", None)
        assert program.main(command) == 0
    # The chosen file is the one that was tried, so it is neither timed nor tested again.
    assert (len(measured), len(tested)) == (1, 0)
    rows = projects.read(work / TABLE)["files"]
    assert rows[:2] == made["files"] and len(rows) == 3
    chosen = rows[1 + projects.read(work / TABLE)["chosen"]]
    (entry,) = projects.read(work / BUNDLE / "manifest.json")["files"]
    for name in ("sha256", "size_bytes", "test_accuracy"):
        assert entry[name] == chosen[name]
    assert entry["latency"]["measurement"].pop("model_name") == "searched-mixed_float.tflite"
    del chosen["latency"]["measurement"]["model_name"]
    assert entry["latency"] == chosen["latency"]


@pytest.mark.parametrize("change", [{"method": 1}, {"litert-quantizer": "0.0.1"}])
def test_what_was_made_in_another_way_is_made_anew(change, work, monkeypatch, at_once):
    made = projects.read(work / TABLE)
    assert made["made_with"] == {"method": 2, "litert-quantizer": made["versions"]["litert-quantizer"]}
    if "method" in change:  # the first one did not tell
        del made["made_with"]
    else:
        made["made_with"].update(change)
    projects.write(work / TABLE, made)
    layers = counted(monkeypatch, sensitivity, "judged")
    assert program.main(["report", f"--workdir={work}"]) == 0
    assert ("## Mixed precision" in (work / "report.md").read_text()) == ("method" not in change)
    assert program.main(["mixed", f"--workdir={work}", *MIXED]) == 0
    assert len(layers) == 1 + 4 and projects.read(work / TABLE)["made_with"]["method"] == 2


def test_rows_of_another_file_or_device_are_measured_again(work, monkeypatch, at_once):
    shutil.rmtree(work / BUNDLE)
    made = projects.read(work / TABLE)
    del made["versions"]
    made["files"][1]["sha256"] = "0" * 64
    made["files"][2]["latency"]["measurement"]["device"]["fingerprint"] = "host-0"
    projects.write(work / TABLE, made)
    measured = counted(monkeypatch, measure, "_with_operators")
    assert program.main(["mixed", f"--workdir={work}", *MIXED]) == 0
    assert len(measured) == 2


def test_the_table_knows_what_it_is_of(whole):
    made = projects.read(whole / TABLE)
    assert [row["kept"] for row in made["files"]] == [None, 0, 1]
    assert made["model_sha256"] == stage.files.sha256(whole / "models/main/searched-scratch.keras")
    assert made["device"]["fingerprint"] and made["versions"]["ai-edge-litert"]
    assert made["chosen"] in (0, 1) and "tfmeta mixed" in made["command"]


def test_the_chosen_file_comes_with_all_that_an_export_has(whole, capsys):
    names = {name.removeprefix(f"{BUNDLE}/") for name in projects.contents(whole) if name.startswith(BUNDLE + "/")}
    expected = {"searched-mixed_float.tflite", "labels.txt", "preprocessing.json", "MODEL_CARD.md", "manifest.json"}
    assert names == expected | {"tried.json", "snippets/searched_mixed_float.py", "snippets/SearchedMixedFloat.kt"}
    manifest = projects.read(whole / BUNDLE / "manifest.json")
    (entry,) = manifest["files"]
    assert (entry["scheme"], entry["latency"]["measurement"]["num_runs"] > 0) == ("mixed_float", True)
    assert entry["test_accuracy"] > 0.5 and entry["float_agreement"] == entry["agreement"]
    assert "tfmeta mixed" in manifest["command"]
    contents = flatbuffer.read(whole / FILE)
    assert all(one.version >= version_by_types(one) for one in contents.operators)
    assert contents.declared_runtime == minimum_runtime(contents).version == entry["minimum_runtime"]["version"]
    assert program.main(["check", str(whole / FILE)]) == 0
    told = capsys.readouterr().out
    assert "claims" not in told and "does not say" not in told


def test_the_same_command_again_does_no_work(work, monkeypatch, capsys):
    before = projects.contents(work)
    monkeypatch.setattr(stage, "load_model", None)
    assert program.main(["mixed", f"--workdir={work}", *MIXED]) == 0
    out = capsys.readouterr().out
    assert "  ← written" in out and out.splitlines()[-1] == f"Manifest: {work / BUNDLE}/manifest.json"
    assert projects.contents(work) == before
    assert program.main(["mixed", f"--workdir={work}", *MIXED[1:]]) == 1
    assert "begun with other options of 'mixed main scratch searched-float': max_kept was 1" in capsys.readouterr().err


def written(work):
    """Whether the chosen file is there, for a report."""
    with Workdir(work) as workdir:
        (made,) = stage.tried(Project(workdir), "main", "scratch")
    return made["written"]


def test_a_bundle_whose_file_is_gone_or_changed_is_written_again(work, monkeypatch, capsys):
    before = projects.contents(work, but=("manifest", "MODEL_CARD"))  # which name this folder in the command
    monkeypatch.setattr(mixed_trial, "measure_files", None)  # what was tried is kept
    (work / BUNDLE / "labels.txt").unlink()
    assert written(work)
    for spoil, told in (
        (lambda: None, "labels.txt is gone"),
        (lambda: (work / FILE).write_bytes(b"other"), "searched-mixed_float.tflite was changed"),
    ):
        spoil()
        capsys.readouterr()
        assert program.main(["mixed", f"--workdir={work}", *MIXED]) == 0
        assert f"{work / BUNDLE}: {told}. The bundle is written again.\n" in capsys.readouterr().err
        after = projects.contents(work)
        assert written(work) and {name: after[name] for name in before} == before
    (work / FILE).unlink()
    assert not written(work)


def test_a_network_that_was_trained_anew_is_tried_anew(work):
    path = work / "models/main/searched-scratch.keras"
    model = keras.models.load_model(path)
    model.get_layer("logits").bias.assign_add([0.01] * projects.CLASSES)
    model.save(path)
    assert program.main(["report", f"--workdir={work}"]) == 0
    text = (work / "report.md").read_text()
    assert "## Mixed precision" not in text and "No mixed precision of searched" in text
    old = projects.read(work / TABLE)["model_sha256"]
    assert program.main(["mixed", f"--workdir={work}", "--max_kept=0", *MIXED[1:]]) == 0
    new = projects.read(work / TABLE)
    assert new["model_sha256"] != old and len(new["files"]) == 2
    assert projects.read(work / BUNDLE / "manifest.json")["files"][0]["model_sha256"] == new["model_sha256"]


def _choose_anew(work):
    shutil.rmtree(work / BUNDLE)
    made = projects.read(work / TABLE)
    made["files"][0]["search_accuracy"], made["files"][1]["search_accuracy"] = 1.0, 0.75
    made["files"][2]["search_accuracy"] = 0.7
    projects.write(work / TABLE, made)


def test_no_file_that_loses_as_little_as_asked(work, monkeypatch, capsys):
    _choose_anew(work)
    command = ["mixed", f"--workdir={work}", *MIXED]
    assert program.main(command) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "loses at most 10 points of accuracy" in told
    assert "Received: 25.00 points with 0 layers in float, the best of up to 1." in told
    assert f"{work / TABLE} has all that were tried" in told
    assert not (work / BUNDLE).exists() and projects.read(work / TABLE)["chosen"] is None
    assert program.main(["report", f"--workdir={work}"]) == 0  # the table is not lost
    assert "1 in float" in (work / "report.md").read_text()
    # Another demand needs no new measurement.
    monkeypatch.setattr(mixed_trial, "measure_files", None)
    monkeypatch.setattr(mixed_trial, "one_by_one", None)
    assert program.main([*command, "--max_loss=0.25"]) == 0
    assert (work / FILE).exists() and projects.read(work / TABLE)["chosen"] == 0


def test_a_chosen_file_that_fails_its_verification_leaves_the_table(work, monkeypatch, capsys):
    shutil.rmtree(work / BUNDLE)
    tried = projects.read(work / TABLE)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "Tolerance", lambda least: Tolerance(least, 1e-9))
        assert program.main(["mixed", f"--workdir={work}", *MIXED]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "The mixed_float file does not compute what its Keras model computes, and was not written" in told
    assert "Most of the error comes from layer" in told
    assert 'Try a smaller --max_loss, which keeps more layers, scheme="int16x8" or scheme="fp16"' in told
    assert not (work / BUNDLE).exists() and projects.read(work / TABLE) == tried
    assert program.main(["mixed", f"--workdir={work}", *MIXED]) == 0
    assert (work / FILE).exists()


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--max_loss=-1", "Expected max_loss between 0 and 1, received -1.0"),
        ("--max_loss=1.5", "Expected max_loss between 0 and 1, received 1.5"),
        ("--min_class_agreement=90", "Expected an agreement of classes between 0 and 1. Received: 90.0"),
    ],
)
def test_demands_out_of_range(flag, text, tmp_path, capsys):
    assert program.main(["mixed", f"--workdir={tmp_path}", flag]) == 1
    assert text in " ".join(capsys.readouterr().err.split())
