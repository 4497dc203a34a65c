"""Every mistake ends with one or two lines that say what to do, the right exit code, and nothing half-written."""

import os
import resource
import shutil
import signal
import subprocess

import numpy as np
import pytest

from tests import projects
from tfmeta import __main__ as program
from tfmeta.lazy import keras
from tfmeta.workdir import Workdir

TRAIN = ("--dataset=digits", "--epochs=1", "--batch_size=64", "--noaugment")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    projects.saved_model(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return f"--model={folder}/model.keras"


@pytest.fixture(scope="module")
def trained(folder, model):
    """A project after its first stage; tests copy it."""
    assert program.main(["train", f"--workdir={folder}/trained", model, *TRAIN]) == 0
    return folder / "trained"


@pytest.fixture(scope="module")
def searched(folder, trained):
    """The same after its second stage."""
    shutil.copytree(trained, folder / "searched")
    assert program.main(["search", f"--workdir={folder}/searched", *projects.SEARCH]) == 0
    return folder / "searched"


@pytest.fixture
def work(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "work")


@pytest.fixture
def found(searched, tmp_path):
    return shutil.copytree(searched, tmp_path / "work")


@pytest.fixture
def mistake(capsys):
    """Runs a verb that must fail, and returns what it told."""

    def run(*arguments, status=1):
        capsys.readouterr()
        assert program.main([str(argument) for argument in arguments]) == status
        told = capsys.readouterr()
        lines = [line for line in told.err.replace("\r", "\n").splitlines() if line.strip() and "%|" not in line]
        assert lines[0].startswith(f"tfmeta {arguments[0]}: "), lines
        assert len(lines) <= 2
        assert told.out == ""
        return " ".join(lines)

    return run


def assert_nothing_written(workdir):
    assert set(projects.contents(workdir)) <= {".lock"}


# The model


def subclassed(path):
    class Own(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = keras.layers.Dense(10)

        def call(self, images):
            return self.dense(keras.ops.mean(images, (1, 2)))

    network = Own()
    network(np.zeros((1, *projects.IMAGE), "float32"))
    network.save(path)


def with_own_layer(path):
    class Doubled(keras.layers.Layer):
        def call(self, x):
            return x * 2

    functional(path, Doubled())


def functional(path, layer=None, shape=projects.IMAGE, classes=projects.CLASSES):
    image = keras.Input(shape)
    x = keras.layers.Conv2D(16, 3, name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D()(layer(x) if layer is not None else x)
    keras.Model(image, keras.layers.Dense(classes)(x)).save(path)


def unbuilt(path):
    layers = keras.layers
    with pytest.warns(UserWarning, match="not yet been built"):
        keras.Sequential([layers.Conv2D(16, 3), layers.Flatten(), layers.Dense(10)]).save(path)


def truncated(path):
    whole = projects.saved_model(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def flipped(path):
    projects.saved_model(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2000] + bytes(255 - byte for byte in whole[-2000:-1500]) + whole[-1500:])


def spectral():
    return keras.layers.SpectralNormalization(keras.layers.Conv2D(8, 3))


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (subclassed, "it needs 'Own', which is no part of Keras"),
        (with_own_layer, "its layer 'doubled' needs 'Doubled', which is no part of Keras"),
        (unbuilt, "is not built. Add keras.Input(shape) as its first layer"),
        (lambda path: functional(path, shape=(None, None, 1)), "has the input shape (None, None, 1). Expected fixed"),
        (lambda path: functional(path, shape=(32, 32, 3)), "images (16, 16, 1) and 10 classes. Set --image_size"),
        (lambda path: functional(path, classes=7), "maps (16, 16, 1) to (7,), but data set 'digits' has images"),
        (lambda path: functional(path, spectral()), "is a SpectralNormalization, for which no rule"),
        (truncated, "cannot be loaded as a Keras model (it is damaged, or of another format)"),
        (flipped, "cannot be loaded as a Keras model (Bad CRC-32"),
        (lambda path: None, "There is no model file at"),
    ],
)
def test_a_model_that_cannot_be_pruned(write, text, tmp_path, mistake):
    write(tmp_path / "model.keras")
    told = mistake("train", f"--workdir={tmp_path}/work", f"--model={tmp_path}/model.keras", *TRAIN)
    assert text in told
    assert_nothing_written(tmp_path / "work")


def test_a_model_without_a_choice(tmp_path, model, mistake):
    told = mistake("train", f"--workdir={tmp_path}", model, *TRAIN, "--multiple_of=64")
    assert "has no channels to choose" in told
    assert_nothing_written(tmp_path)


def test_a_model_of_unknown_size_has_no_cost(tmp_path, capsys):
    functional(tmp_path / "model.keras", shape=(None, None, 1))
    assert program.main(["describe", f"--model={tmp_path}/model.keras"]) == 1
    assert "its cost needs fixed height and width" in capsys.readouterr().err


# The data


def pictures(folder, names):
    for label, count in names.items():
        (folder / label).mkdir(parents=True)
        for index in range(count):
            keras.utils.save_img(folder / label / f"{index}.png", np.full((16, 16, 3), 16.0 * index))
    return folder


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({}, "no pictures in"),
        ({"cat": 1, "dog": 9}, "Every class needs at least 3 images, one for each of the splits train, search, test"),
    ],
)
def test_an_image_folder_that_cannot_be_split(names, text, tmp_path, mistake):
    (tmp_path / "images").mkdir()
    pictures(tmp_path / "images", names)
    told = mistake("train", f"--workdir={tmp_path}/work", "--model=vgg", f"--dataset=image_folder:{tmp_path}/images")
    assert text in told
    assert_nothing_written(tmp_path / "work")


def test_an_image_folder_with_a_broken_picture(tmp_path, mistake):
    images = pictures(tmp_path / "images", {"cat": 9, "dog": 9})
    (images / "dog/3.png").write_bytes(b"\x89PNG, but no more")
    told = mistake("train", f"--workdir={tmp_path}/work", "--model=vgg", f"--dataset=image_folder:{images}")
    assert f"1 picture(s) are broken. {images}/dog/3.png is not a picture that can be decoded" in told
    assert_nothing_written(tmp_path / "work")


# Flags that only the work tells to be wrong


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--model=mobilnet", "Unknown network 'mobilnet'. Expected one of: fcn, mobilenet_v1"),
        ("--model=mobilenet_v1?widht=1", "has no argument 'widht'. Expected one of: width"),
        ("--dataset=digit", "Unknown data set 'digit'. Expected one of: digits"),
        ("--epochs=0", "Expected epochs above 0, received 0."),
        ("--search_fraction=2", "Expected search_fraction between 0 and 1"),
        ("--hidden=0", "Expected at least 1 hidden unit, received hidden=0."),
    ],
)
def test_a_wrong_flag_does_not_bind_the_work_directory(flag, text, tmp_path, model, mistake):
    assert text in mistake("train", f"--workdir={tmp_path}", model, *TRAIN, flag)
    with Workdir(tmp_path) as workdir:
        assert not workdir.begun


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--max_macs=0.5y"], "Expected an amount like 41M, 1.5k, 250000 or 0.5x for macs, received '0.5y'."),
        (["--max_macs="], "for macs, received ''."),
        (["--max_macs=10"], "is below the smallest structure, which has"),
        (["--min_macs=2x"], "is above the largest structure, which has"),
        (["--min_macs=0.9x", "--max_macs=0.5x"], "Expected finite limits with lower <= upper for 'macs'"),
        (["--population=0"], "Expected population >= 1"),
        (["--generations=0"], "Expected generations >= 1, received 0."),
        (["--name=../elsewhere"], "Expected a --name of letters, digits, '.', '_' and '-', received '../elsewhere'."),
    ],
)
def test_a_budget_that_cannot_be_met_leaves_no_trace(flags, text, trained, mistake):
    assert text in mistake("search", f"--workdir={trained}", *flags)
    assert not (trained / "searches").exists()
    assert projects.trials(trained) == 0


@pytest.mark.parametrize("verb", ["describe", "train", "prune", "run"])
def test_a_device_is_no_multiple(verb, tmp_path, mistake):
    told = mistake(
        verb, "--multiple_of=device", *([] if verb in ("describe", "prune") else [f"--workdir={tmp_path}"]), status=2
    )
    assert "flag --multiple_of=device: Expected an integer. The step of a device is measured: run tflite-bench" in told


def test_an_unknown_device_is_a_bad_flag(work, mistake):
    told = mistake("search", f"--workdir={work}", "--max_latency_ms=5", "--device=toaster", status=2)
    assert "Received: 'toaster'." in told


# A work directory of something else


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--model=vgg", "other options of 'project': model was"),
        ("--dataset=mnist", 'other options of \'project\': dataset was "digits", is "mnist". Repeat those, or give'),
        ("--epochs=2", "other options of 'train': epochs was 1, is 2. Repeat those, or give another --workdir."),
    ],
)
def test_a_work_directory_of_another_project(flag, text, work, model, mistake):
    before = projects.contents(work)
    assert text in mistake("train", f"--workdir={work}", model, *TRAIN, flag)
    assert projects.contents(work) == before


def test_a_work_directory_whose_model_was_replaced(work, folder, tmp_path, mistake):
    config = projects.read(work / "config.json")
    config["project"]["model"] = str(tmp_path / "other.keras")
    (work / "config.json").write_text(projects.json.dumps(config))
    functional(tmp_path / "other.keras")
    assert "other options of 'graph': fingerprint was" in mistake("search", f"--workdir={work}", *projects.SEARCH)


def test_another_budget_needs_another_name(found, mistake):
    told = mistake("search", f"--workdir={found}", *projects.SEARCH, "--max_macs=0.7x")
    assert '\'search main\': limits.0.upper was "0.6x", is "0.7x". Repeat those, or give another --name' in told


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("retrain", "Run first: tfmeta search"),
        ("export", "Run first: tfmeta search"),
        ("report", "Run first: tfmeta se"),
    ],
)
def test_a_missing_search_is_named(verb, text, work, mistake):
    assert text in mistake(verb, f"--workdir={work}")


def test_missing_stages_are_named(found, tmp_path, mistake):
    assert "Run first: tfmeta retrain" in mistake("export", f"--workdir={found}")
    assert "Run first: tfmeta train" in mistake("search", f"--workdir={tmp_path}/new")
    assert "searches/small.json is missing" in mistake("retrain", f"--workdir={found}", "--name=small")


# Damage


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"project": 5}', b'{"project": {}}'])
def test_a_damaged_configuration(damage, work, mistake):
    (work / "config.json").write_bytes(damage)
    assert "config.json" in mistake("search", f"--workdir={work}", *projects.SEARCH)
    assert (work / "config.json").read_bytes() == damage


def test_a_damaged_store(found, mistake):
    pages = bytearray((found / "store.sqlite").read_bytes())
    pages[5000:9000] = bytes(4000)
    (found / "store.sqlite").write_bytes(pages)
    told = mistake("search", f"--workdir={found}", *projects.SEARCH, "--name=again")
    assert "store.sqlite is damaged" in told
    assert (found / "store.sqlite").read_bytes() == pages


def test_a_damaged_search_result(found, mistake):
    (found / "searches/main.json").write_text("{}")
    told = mistake("report", f"--workdir={found}")
    assert "main.json is damaged (expected an object with metric" in told
    assert "Delete it and run tfmeta search again." in told


@pytest.mark.parametrize("keep", [0, 0.5, 0.999])
def test_a_damaged_checkpoint(keep, work, model, mistake):
    checkpoint = work / "checkpoints/pruning_net.weights.h5"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: int(keep * len(whole))])
    told = mistake("search", f"--workdir={work}", *projects.SEARCH)
    assert f"Checkpoint {checkpoint} is damaged or belongs to another network" in told
    middle = checkpoint.rename(checkpoint.with_name("train.weights.h5"))
    told = mistake("train", f"--workdir={work}", model, *TRAIN)
    assert f"Checkpoint {middle} is damaged or belongs to another network" in told


def test_a_damaged_model(found, mistake):
    path = found / "models/main/full-scratch.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no zip file")
    assert f"{path} cannot be loaded as a Keras model" in mistake("report", f"--workdir={found}")


# Trouble on the way


def test_a_loss_that_is_not_a_number_does_not_bind(tmp_path, model, mistake):
    told = mistake("train", f"--workdir={tmp_path}", model, *TRAIN, "--learning_rate=1e30")
    assert "The loss is nan" in told
    assert "Lower the learning rate" in told
    assert not list(tmp_path.glob("checkpoints/*"))
    assert program.main(["train", f"--workdir={tmp_path}", model, *TRAIN]) == 0


def test_a_second_process_is_refused(work, mistake):
    with Workdir(work):
        told = mistake("search", f"--workdir={work}", *projects.SEARCH)
    assert told == f"tfmeta search: Another process works in {work}. Wait for it, or give another --workdir."


def test_a_work_directory_that_is_a_file(tmp_path, model, mistake):
    (tmp_path / "file").write_text("mine")
    told = mistake("train", f"--workdir={tmp_path}/file", model)
    assert "Cannot write to the work directory" in told
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_work_directory_that_cannot_be_written(tmp_path, model, mistake):
    tmp_path.chmod(0o500)
    assert "(permission denied). Give a --workdir" in mistake("train", f"--workdir={tmp_path}/new", model)


def _files_stay_small():
    # No file beyond 100 kB: a full disk, as far as a process without special rights can have one. Python ignores
    # the signal, so that writing fails with EFBIG.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_ends_a_training_and_keeps_what_was(work, model):
    # Half a training: the next epoch cannot be stored.
    final = work / "checkpoints/pruning_net.weights.h5"
    final.unlink()
    before = projects.contents(work, but=("events.", "config"))
    command = ("train", f"--workdir={work}", model, *TRAIN)
    full = projects.finished(projects.start(*command, preexec_fn=_files_stay_small))
    assert full.returncode == 1, full.stderr
    checkpoint = work / "checkpoints/train.weights.h5"
    assert full.stderr.splitlines()[-2:] == [
        f"tfmeta train: {checkpoint}: File too large.",
        "Free some space and run the same command again.",
    ]
    assert projects.contents(work, but=("events.", "config")) == before
    assert program.main(command) == 0
    assert final.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount")
def test_a_disk_without_space_ends_a_training(tmp_path, model):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        full = projects.finished(projects.start("train", f"--workdir={tmp_path}/work", model, *TRAIN))
        assert full.returncode == 1, full.stderr  # HDF5 itself would end in a segmentation fault
        assert full.returncode != -signal.SIGSEGV
        assert "train.weights.h5: No space left on device." in full.stderr
        assert not list((tmp_path / "work/checkpoints").iterdir())
    finally:
        subprocess.run(["umount", tmp_path], check=True)
