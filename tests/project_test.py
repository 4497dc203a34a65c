"""A project: what it is about never changes within a work directory."""

import dataclasses

import numpy as np
import pytest

from tests import projects, staircases
from tfmeta.data.options import DataOptions
from tfmeta.errors import UserError, WorkdirError
from tfmeta.latency.staircase import read_staircase
from tfmeta.project import Project, ProjectOptions
from tfmeta.stages.staircase_told import how_staircase, staircase_of
from tfmeta.workdir import Workdir


@pytest.fixture
def workdir(tmp_path):
    with Workdir(tmp_path / "work") as workdir:
        yield workdir


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return ProjectOptions(model=str(projects.saved_model(tmp_path_factory.mktemp("model") / "model.keras")))


def test_options_come_back_from_the_work_directory(workdir, options):
    other = dataclasses.replace(options, data=DataOptions(seed=3, image_size=16), seed=3, min_ratio=0.2)
    first = Project(workdir, other)
    assert first.space.num_genes == 3
    assert Project(workdir).options == other
    found = projects.read(workdir.path / "space.json")
    assert found["graph"]["fingerprint"] == first.graph.fingerprint
    assert found["space"]["sizes"] == [16, 24, 32]


def test_a_new_work_directory_needs_options(workdir):
    with pytest.raises(WorkdirError, match="has no 'project' yet"):
        Project(workdir)


def test_the_sweep_of_a_device_is_kept(workdir, options, tmp_path):
    path = staircases.written(tmp_path / "steps.json", {"conv float32": 8, "dense int8": 16})
    step = read_staircase(path)
    stepped = dataclasses.replace(options, multiple_of=step.multiple_of, step_device=step.device)
    assert Project(workdir, stepped, path).space.num_genes == 2
    assert read_staircase(workdir.staircase) == staircase_of(Project(workdir)) == step
    assert how_staircase(step) == (
        (
            "Widths",
            "multiples of 16, the largest step of single layers on Paper, 1 thread (fingerprint "
            f"{step.device}): conv float32 8, dense int8 16; 1,700 inferences by tflite-bench staircase",
        ),
    )
    # What was begun keeps it; what was not begun may become another project.
    (workdir.path / "checkpoints").mkdir()
    workdir.checkpoint("train").write_text("trained")
    staircases.written(path, {"dense int8": 16})
    assert Project(workdir, stepped, path).space.num_genes == 2
    assert staircase_of(Project(workdir)) == step
    workdir.checkpoint("train").unlink()
    assert Project(workdir, options).space.num_genes == 3
    assert staircase_of(Project(workdir)) is None and how_staircase(None) == ()


def test_nothing_binds_before_something_is_trained(workdir, options):
    assert Project(workdir, options).space.num_genes == 3
    other = dataclasses.replace(options, multiple_of=16)
    assert Project(workdir, other).space.num_genes == 2  # the 16 channels of the first layer can only stay
    (workdir.path / "checkpoints").mkdir()
    workdir.checkpoint("train").write_text("trained")
    with pytest.raises(WorkdirError, match="multiple_of was 16, is 8"):
        Project(workdir, options)


def test_the_same_options_give_the_same_network(workdir, options):
    first, second = (Project(workdir, options).new_net() for _ in range(2))
    for one, other in zip(first.weights, second.weights, strict=True):
        assert (one.numpy() == other.numpy()).all()


def test_a_warm_start_begins_with_the_models_own_weights(workdir, options):
    project = Project(workdir, dataclasses.replace(options, warm_start="l1"))
    images = project.splits.train.sample(64, seed=0)[0]
    expected = project.built.model(images, training=True)
    np.testing.assert_allclose(project.first_net()(images), expected, atol=1e-5)


@pytest.mark.parametrize("model", ["mobilenet_v1?width=0.25&blocks=8", "keras.applications:MobileNet?alpha=0.25"])
def test_a_warm_start_needs_weights(workdir, options, model):
    data = DataOptions(image_size=32)
    project = Project(workdir, dataclasses.replace(options, model=model, data=data, warm_start="l1"))
    with pytest.raises(UserError, match="Expected a model that brings trained weights"):
        project.first_net()


def test_an_untrained_net_names_the_stage(workdir, options):
    with pytest.raises(WorkdirError, match=r"The PruningNet is not trained\. Run first: tfmeta train"):
        _ = Project(workdir, options).net


def test_a_model_for_other_images_is_told(workdir, options):
    larger = dataclasses.replace(options, data=DataOptions(image_size=20))
    with pytest.raises(UserError, match=r"maps \(16, 16, 1\) to \(10,\), but .* images \(20, 20, 1\) and 10 classes"):
        _ = Project(workdir, larger).graph


def test_a_preset_brings_its_own_space(workdir):
    preset = ProjectOptions(model="metapruning:mobilenet_v1", data=DataOptions(image_size=32))
    project = Project(workdir, preset)
    assert project.space.num_genes == 13  # the paper searches 13 widths and pins the last one
