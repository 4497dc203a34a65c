"""`tfmeta describe`: what it says of a model, and what its flags change."""

import pytest

from tests.hazards import HAZARDS
from tfmeta.__main__ import main
from tfmeta.lazy import keras


@pytest.fixture
def grouped(tmp_path):
    """A saved network whose 64 channels are 2 choices of 32, beside 8 that have one width only."""
    layers, image = keras.layers, keras.Input((8, 8, 3), name="image")
    x = layers.GroupNormalization(32, name="norm")(layers.Conv2D(64, 3, name="wide")(image))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(8, 3, name="narrow")(x))
    keras.Model(image, layers.Dense(4, name="logits")(x)).save(tmp_path / "model.keras")
    return f"--model={tmp_path}/model.keras"


def test_groups_with_one_width_are_told(grouped, capsys):
    assert main(["describe", grouped]) == 0
    told = capsys.readouterr().out
    assert "wide      2 x 32  wide → narrow" in told
    assert "Search space: 1 free choices, 10^0.3 structures" in told
    assert "Groups with one width only, as these options are: narrow" in told


def test_the_options_of_the_space_and_the_generators_count(grouped, capsys):
    assert main(["describe", grouped, "--multiple_of=2", "--min_ratio=0.5", "--hidden=1"]) == 0
    told = capsys.readouterr().out
    # 1 or 2 times 32, and 4, 6 or 8.
    assert "Search space: 2 free choices, 10^0.8 structures" in told
    assert "Groups with one width only" not in told
    # One hidden unit reads one width for 3·3·3·64 weights, and two for 3·3·64·8.
    assert f"PruningNet: {(2 + 2 * 1728) + (3 + 2 * 4608):,} weights of generators (1 hidden units)" in told


def test_a_model_that_no_pruning_net_is_made_of_is_told(tmp_path, capsys):
    HAZARDS["several_inputs_and_outputs"].build().save(tmp_path / "model.keras")
    assert main(["describe", f"--model={tmp_path}/model.keras"]) == 0
    told = capsys.readouterr().out
    assert "No PruningNet: Model 'several_inputs_and_outputs' has 2 inputs and 2 outputs. Expected one of each" in told
    assert "hidden units" not in told


def test_options_of_the_space_do_not_go_with_the_papers(capsys):
    assert main(["describe", "--model=metapruning:mobilenet_v1", "--min_ratio=0.5"]) == 1
    assert "comes with the paper's 31 ratios, so --multiple_of and --min_ratio do not apply." in capsys.readouterr().err
