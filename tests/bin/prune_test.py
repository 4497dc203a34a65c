"""`tfmeta prune` on a saved model: files, numbers, and what cannot be asked together."""

import json

import numpy as np
import pytest

from tests import nets
from tfmeta.__main__ import main
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
    phone = {"step": 8, "device": {"fingerprint": "adb-1234"}}
    (saved / "phone.json").write_text(json.dumps(phone))
    common = [f"--model={saved}/model.keras", "--dataset=digits", f"--output={saved}/out", "--scheme=fp32"]
    assert main(["prune", *common, f"--staircase={saved}/phone.json", "--latency_ms=0.5x"]) == 1
    assert "of another device. Expected: adb-1234. Received: host-" in capsys.readouterr().err
    assert not (saved / "out").exists()


def test_a_model_for_other_images_is_refused(saved, capsys):
    common = [f"--model={saved}/model.keras", "--dataset=fashion_mnist", f"--output={saved}/out", "--ratio=0.5"]
    assert main(["prune", *common, "--dataset=digits", "--image_size=8"]) == 1
    assert "maps (16, 16, 1) to (10,), but the data set has images (8, 8, 1)" in capsys.readouterr().err


def test_a_ratio_or_a_limit(saved, capsys):
    common = [f"--model={saved}/model.keras", "--dataset=digits", f"--output={saved}/out"]
    assert main(["prune", *common]) == 1
    assert "Expected a ratio of channels to keep, or a limit" in capsys.readouterr().err
