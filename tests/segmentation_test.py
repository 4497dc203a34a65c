"""The whole pipeline where every pixel has a class: a U-Net on canvases, from the command line."""

import contextlib
import io
import re

import pytest

from tests import projects
from tests.data import making
from tfmeta import __main__ as program

ROWS = ("searched", "full")
SEARCH = ("--generations=1", "--population=3", "--calibration_images=20", "--max_macs=0.6x", "--num_runs=10")
# No latency is looked at here.
EXPORT = ("--scheme=int8", "--num_runs=10", "--retries=0", "--min_secs=0.01", "--warmup_secs=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return making.mnist_folder(tmp_path_factory.mktemp("fashion"), train=200, test=60)


def _data(folder):
    return ("--dataset=fashion_canvas:2", f"--data_dir={folder}", "--nodownload", "--image_size=32")


@pytest.fixture(scope="module")
def told(folder):
    """Verb to what it said: the stages of a project, one after the other."""
    training = ("--epochs=1", "--batch_size=16")
    verbs = {
        "train": ("--model=unet?levels=1&width=0.5", "--multiple_of=2", *training, *_data(folder)),
        "search": SEARCH,
        "retrain": ("--distill", f"--rows={','.join(ROWS)}", *training),
        "export": EXPORT,
        "report": (),
    }
    said = {}
    for verb, options in verbs.items():
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert program.main([verb, f"--workdir={folder}/work", *options]) == 0
        said[verb] = out.getvalue()
    return said


@pytest.fixture(scope="module")
def work(folder, told):
    return folder / "work"


def test_every_verb_says_mean_iou(told):
    assert [told[verb].count("mean IoU on the search split") for verb in ("train", "search")] == [3, 4]
    assert told["export"].count("test mean IoU") == len(ROWS)
    assert told["report"].split("\n\n")[1].startswith("Network   Mean IoU, test split")


def test_no_word_of_classification_is_left(told, work):
    page = re.sub(
        r"<script.*?</script>|<style.*?</style>|<[^>]*>", "", (work / "report.html").read_text(), flags=re.DOTALL
    )
    assert "Mean IoU" in page
    texts = [*told.values(), page, (work / "report.md").read_text()]
    texts += [path.read_text() for path in (work / "export/main").rglob("*") if path.suffix in (".md", ".py", ".kt")]
    for text in texts:
        assert not re.search(r"accurac|top-?1|classifi", text, re.IGNORECASE), text


def test_the_files_answer_for_each_pixel(work):
    manifest = projects.read(work / "export/main/manifest.json")
    assert manifest["metric"] == "mean IoU" and len(manifest["files"]) == len(ROWS)
    for entry in manifest["files"]:
        assert entry["outputs"]["output"]["shape"] == [1, 32, 32, 11]
        assert 0 < entry["test_accuracy"] < 1 and entry["agreement"]["class_agreement"] > 0.9


def test_a_network_that_classifies_is_told(folder, capsys):
    model = "--model=mobilenet_v1?width=0.25&blocks=8"
    assert program.main(["train", f"--workdir={folder}/other", model, *_data(folder)]) == 1
    error = capsys.readouterr().err
    assert "to (11,), but data set 'fashion_canvas:2' has images (32, 32, 1) and 11 classes for each pixel" in error


def test_a_network_that_sums_the_scores_of_all_scales(folder, capsys):
    training = [f"--{stage}_{option}" for stage in ("train", "retrain") for option in ("epochs=1", "batch_size=16")]
    model = ["--model=fcn?width=0.5&stages=2", "--multiple_of=2"]
    command = ["run", f"--workdir={folder}/fcn", *model, *training, *SEARCH, *EXPORT[:1], *EXPORT[2:], *_data(folder)]
    assert program.main(command) == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    assert table.startswith("Network   Mean IoU, test split")
    manifest = projects.read(folder / "fcn/export/main/manifest.json")
    found = {entry["model"]: entry["outputs"]["output"]["shape"] for entry in manifest["files"]}
    assert found == {row: [1, 32, 32, 11] for row in ("searched", "random", "uniform", "full")}
