"""`tfmeta prune` on a saved model: files, numbers, and what cannot be asked together."""

import json

import numpy as np
import pytest

from tests import nets
from tests.staircases import written
from tfmeta.__main__ import main
from tfmeta.errors import ExportError
from tfmeta.lazy import keras


@pytest.fixture
def saved(tmp_path):
    image = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", name="first")(keras.layers.Rescaling(1 / 255, name="scale")(image))
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="bn")(x))
    x = keras.layers.Conv2D(24, 3, activation="relu", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(10, name="logits")(x))
    nets.randomise(model, np.random.default_rng(0)).save(tmp_path / "model.keras")
    return tmp_path


@pytest.mark.parametrize(
    "how", [("--criterion=taylor", "--ratio=0.5"), ("--criterion=l2", "--macs=0.4x", "--ranking=global", "--finetune")]
)
def test_a_saved_model_is_pruned(saved, how, capsys):
    common = [f"--model={saved}/model.keras", "--dataset=digits", f"--output={saved}/out", "--calibration_images=100"]
    assert main(["prune", *common, *how, "--scheme=fp32", "--finetune_epochs=1"]) == 0
    told = json.loads((saved / "out" / "pruned.json").read_text())
    assert (saved / "out" / "pruned-fp32.tflite").stat().st_size == told["files"][0]["size_bytes"]
    assert told["macs"][1] < (0.5 if len(how) == 2 else 0.4) * told["macs"][0]
    small = keras.models.load_model(saved / "out" / "pruned.keras")
    assert small.count_params() == told["params"][1]
    assert small.get_layer("first").filters == told["widths"]["first"]
    assert "test accuracy" in capsys.readouterr().out


def test_a_limit_on_latency_is_measured(saved, capsys):
    quick = ["--num_runs=10", "--min_secs=0", "--warmup_secs=0", "--rounds=2", "--retries=0"]
    common = [f"--model={saved}/model.keras", "--dataset=digits", f"--output={saved}/out", "--calibration_images=100"]
    # Whatever this machine does meanwhile, a third of the work does not take a thousand times as long.
    assert main(["prune", *common, *quick, "--latency_ms=1000x", "--macs=0.3x", "--scheme=int8"]) == 0
    told = json.loads((saved / "out" / "pruned.json").read_text())
    assert told["macs"][1] < 0.3 * told["macs"][0]
    found = told["latency"]
    assert (found["file"], found["unit"], found["device"]) == ("pruned-int8.tflite", "ms", "host")
    assert found["latency_ms"] == pytest.approx(found["ratio"] * found["full_ms"])
    assert found["limit_ms"] == 1000 * found["full_ms"]
    assert found["within"] and found["verdict"] and found["num_runs"] >= 10
    assert list(told["widths"].values()) in [one["widths"] for one in found["search"]]
    assert f"within the limit of {found['limit_ms']:.3f} ms: pruned-int8.tflite on host" in capsys.readouterr().out


def test_a_limit_on_another_device_than_the_one_of_the_staircase_is_refused(saved, capsys):
    written(saved / "phone.json", {"conv float32": 8})
    common = [f"--model={saved}/model.keras", "--dataset=digits", f"--output={saved}/out", "--scheme=fp32"]
    assert main(["prune", *common, f"--staircase={saved}/phone.json", "--latency_ms=0.5x"]) == 1
    assert "of another device. Expected: fake-" in capsys.readouterr().err
    assert not (saved / "out").exists()


def _prune(folder, *how, model="model.keras"):
    quick = ["--calibration_images=100", "--images=50", "--scheme=fp32"]
    return main(["prune", f"--model={folder}/{model}", "--dataset=digits", f"--output={folder}/out", *quick, *how])


def _save(path, features, classes=10):
    image = keras.Input((16, 16, 1), name="image")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features(image))
    keras.Model(image, keras.layers.Dense(classes, name="logits")(x)).save(path)


def test_less_than_was_asked_for_is_told(saved, capsys):
    assert _prune(saved, "--ratio=0.05") == 0
    told = capsys.readouterr().out
    assert "channels" in told and "40 → 16 (40.0 %)" in told
    assert "40.0 % of the channels stay, not 5.0 %: widths are multiples of 8, from 0.1 of the full width up." in told
    assert _prune(saved, "--ratio=0.4") == 0
    assert "of the channels stay" not in capsys.readouterr().out


def test_guesses_are_told(saved, capsys):
    assert _prune(saved, "--ratio=0.5", "--input_range=0..1") == 0
    told = capsys.readouterr().out
    assert "hardly beats guessing (10.0 %) before anything is pruned." in told and "--input_range=0..1?" in told


def test_nothing_to_choose_is_refused(saved, capsys):
    _save(saved / "narrow.keras", keras.layers.Conv2D(6, 3))
    assert _prune(saved, "--ratio=0.5", model="narrow.keras") == 1
    assert "has no channels to choose" in capsys.readouterr().err
    assert not (saved / "out").exists()


def test_several_outputs_are_refused(saved, capsys):
    image = keras.Input((16, 16, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(32, 3)(image))
    keras.Model(image, [keras.layers.Dense(10)(x), keras.layers.Dense(2)(x)]).save(saved / "two.keras")
    assert _prune(saved, "--ratio=0.5", model="two.keras") == 1
    assert "has 1 inputs and 2 outputs. Expected one of each" in capsys.readouterr().err


@pytest.mark.parametrize("option", [{"kernel_constraint": "max_norm"}, {"activity_regularizer": "l2"}])
@pytest.mark.parametrize("normalised", [False, True])
def test_what_only_training_cannot_follow_does_not_matter(saved, option, normalised, capsys):
    def features(image):
        x = keras.layers.Conv2D(32, 3, name="conv", **option)(image)
        return keras.layers.BatchNormalization()(x) if normalised else x

    _save(saved / "strict.keras", features)
    assert _prune(saved, "--ratio=0.5", model="strict.keras") == 0
    assert _prune(saved, "--ratio=0.5", "--finetune", model="strict.keras") == 1
    assert f"'conv' (Conv2D) has the option {next(iter(option))}, which training" in capsys.readouterr().err


def test_a_model_in_half_precision_becomes_a_file(saved):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        _save(saved / "mixed.keras", lambda x: keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3)(x)))
    finally:
        keras.config.set_dtype_policy("float32")
    assert _prune(saved, "--ratio=0.5", "--criterion=taylor", model="mixed.keras") == 0
    assert (saved / "out" / "pruned-fp32.tflite").exists()
    assert keras.models.load_model(saved / "out" / "pruned.keras").layers[1].compute_dtype == "float32"


def test_a_failure_leaves_the_folder_as_it_was(saved, monkeypatch, capsys):
    (saved / "out").mkdir()
    for name in ("pruned.keras", "notes.txt"):
        (saved / "out" / name).write_text("mine")

    def failing(*_, **__):
        raise ExportError("no file")

    with monkeypatch.context() as patch:
        patch.setattr("tfmeta.export.tflite.export_tflite", failing)
        assert _prune(saved, "--ratio=0.5") == 1
    assert "no file" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in (saved / "out").iterdir()} == {
        "pruned.keras": "mine",
        "notes.txt": "mine",
    }
    assert _prune(saved, "--ratio=0.5") == 0
    names = {"pruned.keras", "pruned-fp32.tflite", "pruned.json", "notes.txt"}
    assert {path.name for path in (saved / "out").iterdir()} == names
    assert (saved / "out" / "notes.txt").read_text() == "mine"


def test_a_model_for_other_images_is_refused(saved, capsys):
    common = [f"--model={saved}/model.keras", "--dataset=fashion_mnist", f"--output={saved}/out", "--ratio=0.5"]
    assert main(["prune", *common, "--dataset=digits", "--image_size=8"]) == 1
    assert "maps (16, 16, 1) to (10,), but the data set has images (8, 8, 1)" in capsys.readouterr().err


def test_a_ratio_or_a_limit(saved, capsys):
    common = [f"--model={saved}/model.keras", "--dataset=digits", f"--output={saved}/out"]
    assert main(["prune", *common]) == 1
    assert "Expected a ratio of channels to keep, or a limit" in capsys.readouterr().err
