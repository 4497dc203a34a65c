"""Models with layers of one's own: every verb loads them from the modules that were named, and from no other."""

import numpy as np
import pytest

from tests import nets, own_layers, projects
from tfmeta.__main__ import main
from tfmeta.lazy import keras
from tfmeta.networks import spec

QUICK = ("--num_runs=10", "--min_secs=0", "--warmup_secs=0", "--rounds=2", "--retries=0")
ALLOWED = "--allow_custom_objects=tests.own_layers"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "model.keras"
    own_layers.gained(projects.IMAGE, projects.CLASSES).save(path)
    return f"--model={path}"


@pytest.mark.parametrize(
    "verb", [["describe"], ["train", "--workdir={}/work"], ["prune", "--output={}/out", "--ratio=0.5"]]
)
def test_without_the_flag_the_layer_is_named(verb, model, tmp_path, capsys):
    assert main([*(part.format(tmp_path) for part in verb), model]) == 1
    told = capsys.readouterr().err
    assert "its layer 'loudness' needs 'Gain', which is no part of Keras" in told
    assert "name the module that defines its own layers with --allow_custom_objects=MODULE." in told
    assert len(told.splitlines()) == 1


def test_another_module_does_not_do(model, capsys):
    assert main(["describe", model, "--allow_custom_objects=tests.projects"]) == 1
    assert "--allow_custom_objects=MODULE (received: tests.projects)." in capsys.readouterr().err


def test_every_verb_loads_what_the_project_allows(model, tmp_path, capsys):
    assert main(["describe", model, ALLOWED]) == 0
    told = capsys.readouterr().out
    assert "2 searchable groups (32 channels)" in told
    # Generators of 8 hidden units that read one width for 3·3·1·16 weights, and two for 3·3·16·16.
    generators = (8 * 2 + 9 * 144) + (8 * 3 + 9 * 2304)
    assert f"PruningNet: {generators:,} weights of generators (8 hidden units), 0.0 GiB in training; up to " in told
    project = ["--dataset=digits", "--train_size=200", "--test_size=50"]
    assert main(["train", f"--workdir={tmp_path}", model, ALLOWED, *project, "--epochs=1", "--noaugment"]) == 0
    assert projects.read(tmp_path / "config.json")["project"]["allow_custom_objects"] == ["tests.own_layers"]
    small = ["--generations=1", "--population=2", "--calibration_images=50"]
    assert main(["search", f"--workdir={tmp_path}", "--max_macs=0.6x", *small]) == 0
    # The teacher is a saved model, too.
    assert main(["retrain", f"--workdir={tmp_path}", "--epochs=1", "--rows=searched,full", "--distill"]) == 0
    assert main(["export", f"--workdir={tmp_path}", "--scheme=fp32", *QUICK]) == 0
    capsys.readouterr()
    assert main(["report", f"--workdir={tmp_path}"]) == 0
    assert "searched" in capsys.readouterr().out
    assert main(["train", f"--workdir={tmp_path}", model, *project, "--epochs=1", "--noaugment"]) == 1
    assert 'allow_custom_objects was ["tests.own_layers"], is []' in capsys.readouterr().err


@pytest.mark.parametrize("by", ["file", "function"])
def test_functions_of_ones_own_that_keras_does_not_know_by_name(by, tmp_path, capsys):
    path = tmp_path / "model.keras"
    nets.randomise(own_layers.with_functions(projects.IMAGE, projects.CLASSES), np.random.default_rng(0)).save(path)
    spec = [f"--model={path}", ALLOWED] if by == "file" else ["--model=tests.own_layers:with_functions"]
    data = ["--dataset=digits", "--train_size=200", "--test_size=50"]
    assert main(["train", f"--workdir={tmp_path}/work", *spec, *data, "--epochs=1", "--noaugment"]) == 0
    how = ["--criterion=taylor", "--ratio=0.5", "--scheme=fp32", "--calibration_images=50"]
    assert main(["prune", f"--output={tmp_path}/out", *spec, *data, *how]) == 0
    small = keras.models.load_model(tmp_path / "out" / "pruned.keras", {"bent": own_layers.bent})
    assert [small.get_layer(name).filters for name in ("first", "second")] == [8, 8]
    assert small.get_layer("first").activation is own_layers.bent


def test_only_what_a_module_defines_may_be_in_a_file():
    assert set(spec.custom_objects("model.keras", ["tests.own_layers"])) == {"Gain", "bent", "gained", "with_functions"}
    assert set(spec.custom_objects("tests.own_layers:gained?depth=3")) == {"Gain", "bent", "gained", "with_functions"}
    for built_in in ("vgg", "metapruning:mobilenet_v1", "keras.applications:VGG16", "nowhere/model.keras"):
        assert spec.custom_objects(built_in) == {}
