"""The whole pipeline through the command line, from a Keras model to checked TFLite files and a report."""

import hashlib
import json
import re
import subprocess
import sys
from urllib.parse import unquote

import numpy as np
import pytest

from tests import projects, staircases
from tfmeta import __main__ as program
from tfmeta import load_data
from tfmeta.store import Store

RUN = (
    "--dataset=digits",
    "--train_epochs=3",
    "--train_batch_size=32",
    "--notrain_augment",
    "--retrain_epochs=3",
    "--retrain_batch_size=32",
    "--noretrain_augment",
    *projects.SEARCH,
    *projects.EXPORT,
)
ROWS = ("searched", "random", "uniform", "full")
REPORT = ("report.", "widths.", "pareto.")  # made anew by every run


# That the machine is busy is told, and no mistake of the program's.
_TOLD_OF_LATENCY = re.compile(r"\S+: (NOISY|THROTTLED)\b")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    projects.saved_model(folder / "model.keras")
    staircases.written(folder / "steps.json", {"conv int8": 8})
    return folder


@pytest.fixture(scope="module")
def command(project):
    return (
        "run",
        f"--workdir={project}/work",
        f"--model={project}/model.keras",
        f"--staircase={project}/steps.json",
        *RUN,
    )


@pytest.fixture(scope="module")
def done(command):
    done = projects.finished(projects.start(*command))
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def work(project, done):
    return project / "work"


def test_the_table_names_the_searched_network_and_its_controls(done):
    table = done.stdout.split("\n\n")[1]
    assert [line.split()[0] for line in table.splitlines()] == ["Network", *ROWS]
    accuracies = [float(line.split()[1]) for line in table.splitlines()[1:]]
    assert min(accuracies) > 50, "ten classes: a network that learned nothing has 10 %"


def test_only_progress_is_told_on_standard_error(done):
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()]
    others = [line for line in lines if "%|" not in line and not _TOLD_OF_LATENCY.match(line)]
    assert not others
    assert any(line.startswith("Training PruningNet: 100%") for line in lines)


def test_every_file_of_the_project_is_there(work):
    names = set(projects.contents(work))
    expected = {"config.json", "space.json", "store.sqlite", "searches/main.json", "report.html", "report.md"}
    expected |= {"staircase.json", "staircase.png"}
    expected |= {f"models/main/{row}-scratch.keras" for row in ROWS}
    expected |= {f"export/main/{row}-{scheme}.tflite" for row in ROWS for scheme in ("fp32", "int8")}
    expected |= {f"export/main/{name}" for name in ("labels.txt", "preprocessing.json", "MODEL_CARD.md")}
    expected |= {"export/main/snippets/searched_int8.py", "export/main/snippets/SearchedInt8.kt"}
    expected |= {"export/main/manifest.json", "checkpoints/pruning_net.weights.h5"}
    assert expected <= names
    assert any(name.startswith("logs/train/") for name in names)
    assert not [name for name in names if ".partial" in name or name.startswith("checkpoints/main")]


def test_the_found_structure_is_within_the_budget(work):
    found = projects.read(work / "searches/main.json")["structures"]
    for row in ("searched", "random", "uniform"):
        assert found[row]["values"]["macs"] <= 0.6 * found["full"]["values"]["macs"]


def _answers(path, images):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (inputs["dtype"], outputs["dtype"]) == (np.float32, np.float32)
    answers = []
    for image in images:
        interpreter.set_tensor(inputs["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(outputs["index"])[0])
    return np.array(answers)


def test_the_files_are_what_the_manifest_says(work):
    files = projects.read(work / "export/main/manifest.json")["files"]
    assert len(files) == 8
    batches = [(images.numpy(), labels.numpy()) for images, labels in load_data("digits").test.batches(500)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    for entry in files:
        path = work / "export/main" / entry["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        assert path.stat().st_size == entry["size_bytes"]
        right = np.mean(_answers(path, images).argmax(-1) == labels)
        # The kernels of another number of threads may round a tie the other way.
        assert right == pytest.approx(entry["test_accuracy"], abs=1.5 / len(labels))
        assert entry["latency"]["median_ms"] > 0


def test_the_page_holds_what_the_store_holds_and_leads_to_the_files(work):
    page = (work / "report.html").read_text("utf-8")
    found = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    with Store(work / "store.sqlite", must_exist=True) as store:
        trials = [trial for run in ("main", "main:random") for trial in store.trials(run) if trial.generation >= 0]
    assert found["widths"] == [list(trial.structure.widths) for trial in trials]
    for name in ("accuracy", "macs", "params", "size"):
        assert found["values"][name] == pytest.approx([trial.values[name] for trial in trials], rel=1e-5)
    links = [unquote(link) for link in re.findall('href="([^"]+)"', page)]
    assert {work / link for link in links} == set((work / "export/main").glob("*.tflite"))


def test_the_same_command_again_does_no_work(work, command, done, capsys):
    before = projects.contents(work, but=REPORT)
    assert program.main(command) == 0
    told = capsys.readouterr()
    assert told.out == done.stdout
    lines = [line for line in told.err.replace("\r", "\n").splitlines() if line.strip()]
    assert all(line.startswith("Testing ") for line in lines), lines  # of the report, which is made anew
    assert projects.contents(work, but=REPORT) == before


def test_models_load_where_tfmeta_is_not_installed(work, tmp_path):
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tfmeta', 'tflite_bench'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import keras, numpy\n"
        "for path in sys.argv[1:]:\n"
        "    model = keras.models.load_model(path)\n"
        "    print(model(numpy.zeros((2, 16, 16, 1), 'float32')).shape)\n"
    )
    paths = [str(work / f"models/main/{row}-scratch.keras") for row in ROWS]
    done = subprocess.run([sys.executable, "-c", code, *paths], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(2, 10)"] * 4, done.stderr


def test_generated_weights_and_a_teacher_reuse_the_search(work, capsys):
    kept = projects.contents(work, but=("config", ".lock"))
    workdir = f"--workdir={work}"
    options = ("--init=generated", "--distill", "--rows=searched,full", "--epochs=1", "--batch_size=32")
    assert program.main(["retrain", workdir, *options]) == 0
    assert program.main(["export", workdir, "--init=generated", "--scheme=fp32", *projects.EXPORT]) == 0
    assert program.main(["report", workdir, "--init=generated"]) == 0
    out = capsys.readouterr().out
    assert f"Report: {work}/reports/main+generated/" in out
    page = (work / "reports/main+generated/report.md").read_text()
    assert "init generated" in page
    assert "taught by the full network" in page
    now = projects.contents(work)
    assert {name: data for name, data in now.items() if name in kept} == kept, "what was there is left alone"
    files = {name for name in now if name.startswith("export/main+generated/") and name.endswith(".tflite")}
    assert files == {f"export/main+generated/{row}-fp32.tflite" for row in ("full", "searched")}
    assert "export/main+generated/manifest.json" in now


def test_the_front_of_the_search_as_files(work, capsys):
    kept = projects.contents(work, but=("config", ".lock", *REPORT))
    command = ["export", f"--workdir={work}", "--pareto", "--pareto_count=2", "--scheme=fp32", *projects.EXPORT]
    command.append("--min_class_agreement=0.5")  # generated weights answer with near ties
    assert program.main(command) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"Manifest: {work}/export/main+pareto/manifest.json"
    manifest = projects.read(work / "export/main+pareto/manifest.json")
    front = {tuple(entry["widths"]) for entry in projects.read(work / "searches/main.json")["pareto"]}
    found = [tuple(entry["widths"]) for entry in manifest["files"]]
    assert 1 <= len(found) <= 2 and set(found) <= front
    sizes = [entry["size_bytes"] for entry in manifest["files"]]
    assert sizes == sorted(sizes), "from the smallest network to the largest"
    assert all(entry["test_accuracy"] > 0.1 and entry["latency"]["median_ms"] > 0 for entry in manifest["files"])
    assert program.main(command) == 0  # nothing is left to do
    assert capsys.readouterr().out == out
    assert program.main(["export", f"--workdir={work}", "--pareto", "--pareto_count=1", *projects.EXPORT]) == 1
    assert "begun with other options of 'pareto main': count was 2, is 1" in capsys.readouterr().err
    assert program.main(["report", f"--workdir={work}"]) == 0
    assert "## Files of the front" in (work / "report.md").read_text()
    assert (work / "files.png").stat().st_size > 5000
    now = projects.contents(work)
    assert {name: data for name, data in now.items() if name in kept} == kept, "what was there is left alone"
