"""Training and search are killed in the middle, started again, and end as if nothing had happened."""

import shutil
import signal

import numpy as np
import pytest

from tests import projects
from tfmeta import __main__ as program

EPOCHS = ("--epochs=8", "--batch_size=32", "--noaugment", "--dataset=digits")
SEARCH = ("--generations=3", "--population=8", "--calibration_images=100", "--max_macs=0.6x")


def weights(path):
    import h5py

    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    projects.saved_model(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """A work directory whose training nothing interrupted."""
    assert program.main(["train", f"--workdir={folder}/whole", f"--model={folder}/model.keras", *EPOCHS]) == 0
    return folder / "whole"


def files(work):
    return [work / "checkpoints" / f"{name}.weights.h5" for name in ("train", "pruning_net")]


def test_a_training_that_was_killed_goes_on(folder, trained):
    work = folder / "killed"
    command = ["train", f"--workdir={work}", f"--model={folder}/model.keras", *EPOCHS]
    checkpoint, final = files(work)
    process = projects.start(*command)
    projects.signal_when(process, checkpoint.exists)  # in the second epoch
    assert projects.finished(process).returncode == -signal.SIGKILL
    assert checkpoint.exists()
    assert not final.exists()

    assert program.main(command) == 0
    expected, found = weights(files(trained)[1]), weights(final)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert [path.name for path in final.parent.iterdir()] == [final.name]


def test_control_c_ends_with_one_line(folder):
    work = folder / "stopped"
    process = projects.start("train", f"--workdir={work}", f"--model={folder}/model.keras", *EPOCHS)
    projects.signal_when(process, files(work)[0].exists, signal.SIGINT)
    stopped = projects.finished(process)
    assert stopped.returncode == 130
    assert stopped.stderr.splitlines()[-1] == "tfmeta train: Stopped. Run the same command again to go on."
    assert "Traceback" not in stopped.stderr
    assert files(work)[0].exists(), "the epoch before is kept"


def test_a_search_that_was_killed_goes_on(folder, trained):
    whole, work = folder / "whole_search", folder / "killed_search"
    for place in (whole, work):
        shutil.copytree(trained, place)
    process = projects.start("search", f"--workdir={work}", *SEARCH)
    projects.signal_when(process, lambda: projects.trials(work) >= 11)  # in the second generation of 8
    assert projects.finished(process).returncode == -signal.SIGKILL
    assert not (work / "searches").exists()
    kept = projects.trials(work)
    assert kept >= 11

    assert program.main(["search", f"--workdir={work}", *SEARCH]) == 0
    assert program.main(["search", f"--workdir={whole}", *SEARCH]) == 0
    found, expected = (projects.read(place / "searches/main.json") for place in (work, whole))
    assert found == expected
    assert projects.trials(work) == projects.trials(whole) > kept
