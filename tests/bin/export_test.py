"""`tfmeta export`: schemes that train, files that are refused, and the front of a search."""

import dataclasses
import itertools
import shutil

import pytest

from tests import projects
from tests.report import making
from tfmeta import __main__ as program
from tfmeta import data, training
from tfmeta.bin import run as run_verb
from tfmeta.errors import ExportError
from tfmeta.export.legacy import kernels
from tfmeta.export.schemes import fp16, sparse
from tfmeta.report.data import ReportData
from tfmeta.stages import kept

# A network that learned little answers with near ties.
EXPORT = (*projects.EXPORT, "--min_secs=0.01", "--min_class_agreement=0.5")


@pytest.fixture(scope="module")
def retrained(tmp_path_factory):
    """A project after its third stage; tests copy it."""
    folder = tmp_path_factory.mktemp("export")
    projects.saved_model(folder / "model.keras")
    work = f"--workdir={folder}/work"
    for command in (
        ("train", work, f"--model={folder}/model.keras", *projects.TRAIN),
        ("search", work, *projects.SEARCH),
        ("retrain", work, "--rows=searched,full", *projects.RETRAIN),
    ):
        assert program.main(list(command)) == 0
    return folder / "work"


@pytest.fixture
def work(retrained, tmp_path):
    return shutil.copytree(retrained, tmp_path / "work")


@pytest.fixture
def run(work, capsys):
    """Runs a verb in the project and returns (exit code, standard output, the last line of standard error)."""

    def run(verb, *arguments):
        capsys.readouterr()
        status = program.main([verb, f"--workdir={work}", *arguments])
        told = capsys.readouterr()
        return status, told.out, told.err.splitlines()[-1] if told.err else ""

    return run


def exported(folder):
    return {path.name for path in folder.glob("*.tflite")}


def without_fp16(monkeypatch, *networks):
    """Makes the scheme fp16 refuse networks, by number of their parameters."""

    def convert(model, calibration):
        if model.count_params() in networks:
            raise ExportError("There is no such kernel.")
        return fp16_convert(model, calibration)

    fp16_convert = fp16.SCHEME.convert
    monkeypatch.setattr(fp16, "SCHEME", dataclasses.replace(fp16.SCHEME, convert=convert))


def params(work, row):
    return training.keras.models.load_model(work / f"models/main/{row}-scratch.keras", compile=False).count_params()


def test_a_refused_scheme_leaves_the_other_files(run, work, monkeypatch):
    command = ("--scheme=fp32", "--scheme=fp16", *EXPORT)
    with monkeypatch.context() as patched:
        without_fp16(patched, params(work, "searched"))
        status, out, err = run("export", *command)
    assert status == 1
    assert err == (
        "tfmeta export: Not written: searched-fp16.tflite. The other files are in the bundle. fp16 of searched: There "
        "is no such kernel."
    )
    assert "searched-fp16: not written. There is no such kernel." in out.splitlines()
    others = {"searched-fp32.tflite", "full-fp32.tflite", "full-fp16.tflite"}
    assert exported(work / "export/main") == others
    manifest = projects.read(work / "export/main/manifest.json")
    assert [(one["model"], one["scheme"]) for one in manifest["refused"]] == [("searched", "fp16")]
    assert "No fp16 file of searched: There is no such kernel." in (work / "export/main/MODEL_CARD.md").read_text()
    # What was refused is tried again.
    assert run("export", *command)[0] == 0
    assert exported(work / "export/main") == {*others, "searched-fp16.tflite"}


def test_after_a_refusal_other_options_may_be_tried(run, work, monkeypatch):
    without_fp16(monkeypatch, params(work, "searched"))
    assert run("export", "--scheme=fp32", "--scheme=fp16", *EXPORT)[0] == 1
    assert run("export", "--scheme=fp32", *EXPORT)[0] == 0
    status, _, err = run("export", "--scheme=dynamic_int8", *EXPORT)
    assert status == 1 and "begun with other options of 'export main scratch': schemes.0 was" in err


def test_a_refused_control_is_told_and_no_failure(run, work, monkeypatch):
    without_fp16(monkeypatch, params(work, "full"))
    status, out, _ = run("export", "--scheme=fp16", *EXPORT)
    assert status == 0 and "full-fp16: not written. There is no such kernel." in out
    assert exported(work / "export/main") == {"searched-fp16.tflite"}


def test_where_everything_is_refused_there_is_no_bundle(run, work, monkeypatch):
    without_fp16(monkeypatch, params(work, "searched"), params(work, "full"))
    status, out, err = run("export", "--scheme=fp16", *EXPORT)
    assert (status, out) == (1, "")
    assert err == ("tfmeta export: No file was written. fp16 of searched: There is no such kernel. (And 1 more.)")
    assert not list((work / "export").iterdir())


def test_a_scheme_that_trains_does_so_as_the_network_was_retrained(run, work, monkeypatch):
    asked = []

    def train(model, splits, options, folder):
        asked.append((options, folder))
        return sparse_train(model, splits, options, folder)

    sparse_train = sparse.SCHEME.train
    monkeypatch.setattr(sparse, "SCHEME", dataclasses.replace(sparse.SCHEME, train=train))
    command = ("--scheme=sparse", "--tune_epochs=2", "--tune_learning_rate=0.02", "--sparsity=0.6", *EXPORT)
    status, _, err = run("export", *command)
    assert status == 0, err
    assert exported(work / "export/main") == {"searched-sparse.tflite", "full-sparse.tflite"}
    retrained = projects.read(work / "config.json")["retrain main scratch"]["train"]
    for options, _ in asked:
        expected = {**retrained, "augmentation": (), "epochs": 2, "learning_rate": 0.02}
        assert dataclasses.asdict(options.train) == expected
        assert (options.train.batch_size, options.train.augment, options.sparsity) == (32, False, 0.6)
    (_, ours), (_, theirs) = asked
    assert ours != theirs and {ours, theirs} == set((work / "checkpoints").glob("tuned-*"))
    manifest = projects.read(work / "export/main/manifest.json")
    for file in manifest["files"]:
        assert file["training"]["sparsity"] == pytest.approx(0.6, abs=0.02)
    assert "tensorflow-model-optimization" in manifest["versions"]
    # A second time, what was trained is found.
    (work / "export/main/manifest.json").unlink()
    monkeypatch.setattr(kernels, "fit", None)
    assert run("export", *command)[0] == 0
    again = projects.read(work / "export/main/manifest.json")["files"]
    assert [file["test_accuracy"] for file in again] == [file["test_accuracy"] for file in manifest["files"]]


def test_the_front_is_trained_as_the_networks_were_retrained(run, work, monkeypatch):
    trained = []

    def train_plain(model, splits, options, **places):
        trained.append(options)
        return original(model, splits, options, **places)

    original = training.train_plain
    monkeypatch.setattr(training, "train_plain", train_plain)
    front = ("--pareto", "--pareto_count=1", *EXPORT)
    status, _, err = run("export", *front, "--pareto_epochs=2", "--scheme=fp32")
    assert status == 0, err
    retrained = projects.read(work / "config.json")["retrain main scratch"]["train"]
    (options,) = trained
    assert dataclasses.asdict(options) == {**retrained, "augmentation": (), "epochs": 2}
    assert (options.batch_size, options.augment) == (32, False)
    manifest = projects.read(work / "export/main+pareto/manifest.json")
    assert manifest["origin"]["search"]["epochs"] == 2 and len(manifest["files"]) == 1
    assert not list((work / "checkpoints").glob("*-pareto*"))

    # Other files of the same networks need a new bundle, and no new networks.
    models = projects.contents(work / "models")
    other = ("export", *front, "--pareto_epochs=2", "--scheme=dynamic_int8")
    status, _, err = run(*other)
    assert status == 1 and "begun with other options of 'export main pareto': schemes.0 was" in err
    assert err.endswith(f"delete {work}/export/main+pareto/manifest.json to export anew.")
    (work / "export/main+pareto/manifest.json").unlink()
    assert run(*other)[0] == 0
    assert exported(work / "export/main+pareto") == {"front00-dynamic_int8.tflite"}
    assert projects.contents(work / "models") == models and len(trained) == 1

    # Other networks need both.
    status, _, err = run("export", *front, "--pareto_epochs=1", "--scheme=dynamic_int8")
    assert status == 1 and "other options of 'pareto main': epochs was 2, is 1" in err
    assert err.endswith(f"delete {work}/models/main/front00-pareto.keras to make the networks anew.")

    # A report without any other export tells where the front was timed.
    assert run("report")[0] == 0
    page = (work / "report.html").read_text("utf-8")
    assert "latency p50, ms (host, 1 thread)" in page and "Latency p50 (not measured)" in page


def test_a_run_of_all_stages_tells_in_the_end_what_was_refused(monkeypatch, capsys, tmp_path):
    refused = {"model": "searched", "scheme": "int8", "reason": "There is no such kernel."}
    manifest = {"files": [{"model": "searched", "scheme": "fp32"}], "refused": [refused]}
    told = ReportData("net", "digits", "none", (making.row("searched", 10, 10, 0.5, 0.5, widths=(8,)),))
    monkeypatch.setattr(run_verb, "run", lambda *_: (told, (tmp_path / "report.html",), manifest))
    assert program.main(["run", f"--workdir={tmp_path}"]) == 1
    out, err = capsys.readouterr()
    assert "report.html" in out and err.startswith("tfmeta run: Not written: searched-int8.tflite.")


@pytest.fixture
def tested(monkeypatch):
    """The files and networks that are tested, by name."""
    found = []

    def split_accuracy(path, split):
        found.append(path.name)
        return of_file(path, split)

    def evaluate(model, split, description):
        found.append(description)
        return of_network(model, split, description=description)

    of_file, of_network = kept.split_accuracy, kept.evaluate
    monkeypatch.setattr(kept, "split_accuracy", split_accuracy)
    monkeypatch.setattr(kept, "evaluate", evaluate)
    return found


def stopped_at(monkeypatch, number):
    """Stops the process when the file of this number is to be tested."""

    def split_accuracy(path, split):
        if next(count) == number:
            raise KeyboardInterrupt
        return original(path, split)

    count, original = itertools.count(1), kept.split_accuracy
    monkeypatch.setattr(kept, "split_accuracy", split_accuracy)


@pytest.mark.parametrize(
    ("flags", "bundle", "names"),
    [
        (("--scheme=fp32",), "main", ["searched-fp32.tflite", "full-fp32.tflite"]),
        (
            ("--scheme=fp32", "--scheme=fp16", "--pareto", "--pareto_count=1"),
            "main+pareto",
            ["front00-fp32.tflite", "front00-fp16.tflite"],
        ),
    ],
)
def test_a_stopped_export_tests_only_the_rest(flags, bundle, names, run, work, tested, monkeypatch):
    command = ("export", *flags, *EXPORT)
    with monkeypatch.context() as patch:
        stopped_at(patch, len(names))
        assert run(*command)[0] == 130
    assert not (work / "export" / bundle).exists()
    assert sorted(tested) == sorted(names[:-1])
    assert run(*command)[0] == 0
    assert sorted(tested) == sorted(names) and exported(work / "export" / bundle) == set(names)
    manifest = projects.read(work / "export" / bundle / "manifest.json")
    for file in manifest["files"]:
        path = work / "export" / bundle / file["file"]
        assert file["test_accuracy"] == kept.split_accuracy(path, data.load("digits", data.DataOptions()).test)


@pytest.mark.parametrize(
    ("flags", "bundle", "name"),
    [((), "main", "searched-fp32.tflite"), (("--pareto", "--pareto_count=1"), "main+pareto", "front00-fp32.tflite")],
)
def test_a_bundle_whose_files_are_gone_or_changed_is_written_again(flags, bundle, name, run, work, tested):
    command, folder = ("export", *flags, "--scheme=fp32", *EXPORT), work / "export" / bundle
    assert run(*command)[0] == 0
    before, once, counted = projects.contents(folder), run(*command), len(tested)
    assert once[2] == ""
    (folder / name).unlink()
    with open(folder / "labels.txt", "a") as labels:
        labels.write("eleven")
    assert run(*command)[:2] == once[:2] and projects.contents(folder) == before
    assert len(tested) == counted, "what was found of the same files is kept"
    assert run(*command) == once


def test_a_report_tests_a_network_once(run, work, tested):
    assert run("report")[0] == 0
    table = (work / "report.md").read_text().partition("## ")[0]
    assert tested == ["Testing searched", "Testing full"]
    assert run("report")[0] == 0
    assert len(tested) == 2 and (work / "report.md").read_text().partition("## ")[0] == table
    # A damaged entry is found anew, and so is what is said of another network.
    (one, _) = sorted((work / "kept").iterdir())
    one.write_text("{")
    assert run("report")[0] == 0 and len(tested) == 3
    path = work / "models/main/searched-scratch.keras"
    model = training.keras.models.load_model(path)
    model.get_layer("logits").bias.assign_add([0.01] * projects.CLASSES)
    model.save(path)
    assert run("report")[0] == 0 and tested[3:] == ["Testing searched"]


@pytest.mark.parametrize(
    "flags", [("--pareto_count=2",), ("--pareto_count=2", "--pareto_epochs=1"), ("--pareto_epochs=0",)]
)
def test_flags_of_the_front_need_the_front(flags, run, work):
    status, out, err = run("export", *flags, "--nopareto")
    assert (status, out) == (1, "")
    names = " and ".join(flag.partition("=")[0] for flag in flags)
    assert err == f"tfmeta export: Expected --pareto with {names}. Received: no --pareto. Add it."
    assert not (work / "export").exists()
