"""Files that answer for each pixel: what goes with them says so, and runs."""

import dataclasses
import importlib.util
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta import files
from tfmeta.data import Augmentation, Split, Splits
from tfmeta.data.sources import ArraySource
from tfmeta.errors import ExportError
from tfmeta.export import bundle, verify
from tfmeta.export.bundle import Origin, Shipped
from tfmeta.export.mixed.sensitivity import judged
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.tflite import export_tflite

SIZE, LABELS = 12, ("background", "bright", "dark $")
SCHEMES = ("fp32", "int8_io")
ORIGIN = Origin("net", "tiny", "stripes", "half of the MACs", {})


def _data(count=100):
    """Pictures of stripes of two brightnesses on black, and which pixel is of which."""
    rng = np.random.default_rng(0)
    maps = np.repeat(rng.integers(0, 3, (count, SIZE // 3, 1)), 3, axis=1) * np.ones((1, 1, SIZE), int)
    return (np.array([0, 240, 100])[maps] + rng.integers(0, 12, maps.shape)).astype(np.uint8)[..., None], maps


@pytest.fixture(scope="module")
def model():
    """Tells the three apart by their brightness: scores that are highest at 0, 240 and 100."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = keras.layers.Conv2D(2, 1, activation="relu", name="shift")(image)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="logits")(x), name="stripes")
    # max(x - 60, 0) and max(x - 160, 0): 40 and 0 at 100, 180 and 80 at 240.
    model.get_layer("shift").set_weights([np.ones((1, 1, 1, 2)), np.array([-60.0, -160.0])])
    kernel = np.array([[-0.1, 0.0, 0.1], [0.0, 0.2, -0.2]])[None, None]
    model.get_layer("logits").set_weights([kernel, np.array([2.0, 0.0, 0.0])])
    return model


@pytest.fixture(scope="module")
def splits():
    images, maps = _data()
    part = Split(ArraySource(images, maps.astype(np.uint8)))
    return Splits("stripes", part, part, part, LABELS, (SIZE, SIZE, 1), Augmentation(), "pad")


@pytest.fixture(scope="module")
def made(model, splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "main"
    images, _ = _data()
    with files.replacing_folder(folder) as new:
        shipped = []
        for scheme in SCHEMES:
            path, floats = new / f"searched-{scheme}.tflite", images.astype(np.float32)
            result = export_tflite(model, path, scheme, floats, preprocessing=Preprocessing.of(splits))
            shipped.append(Shipped("searched", result, verify.split_accuracy(path, splits.test), 100))
        bundle.write_bundle(new, shipped, [], preprocessing=Preprocessing.of(splits), origin=ORIGIN, command="")
    return folder


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_manifest_has_the_mean_iou_and_the_agreement_of_pixels(made, model):
    manifest = bundle.read_manifest(made / "manifest.json")
    assert (manifest["task"], manifest["metric"]) == ("segmentation", "mean IoU")
    images, maps = _data()
    reference = keras.metrics.MeanIoU(3, sparse_y_pred=False)
    reference.update_state(maps, model(images.astype(np.float32)))
    for entry in manifest["files"]:
        answers = verify.outputs(made / entry["file"], images.astype(np.float32)).argmax(-1)
        same = np.mean(answers == model(images.astype(np.float32)).numpy().argmax(-1))
        assert entry["agreement"]["class_agreement"] == pytest.approx(same, abs=1e-9) and same > 0.95
        assert entry["outputs"]["output"]["shape"] == [1, SIZE, SIZE, 3]
    assert manifest["files"][0]["test_accuracy"] == pytest.approx(float(reference.result()), abs=1e-6)
    assert 0.5 < manifest["files"][1]["test_accuracy"] <= 1.0


def test_the_sidecar_and_the_metadata_describe_the_answer(made):
    sidecar = json.loads((made / "preprocessing.json").read_text())
    assert sidecar["task"] == "segmentation"
    assert sidecar["output"] == {"shape": [1, SIZE, SIZE, 3], "answer": "argmax of the last axis"}
    data = (made / "searched-int8_io.tflite").read_bytes()
    assert b"Logits of the classes, for each pixel" in data and b'"task": "segmentation"' in data


def test_the_card_says_mean_iou_and_nothing_of_images_that_are_classified(made):
    card = (made / "MODEL_CARD.md").read_text()
    assert "pipeline_tag: image-segmentation" in card and "metrics: [mean_iou]" in card
    assert "An image segmenter of 3 classes" in card and "| test mean IoU |" in card
    assert "of the pixels" in card and "For each pixel of the image" in card
    assert not {"accuracy", "classifier", "top-1", "±"} & set(card.lower().replace("*", " ").split())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_python_snippet_finds_the_class_of_each_pixel(made, scheme, tmp_path):
    module = _load(made / "snippets" / f"searched_{scheme}.py")
    images, _ = _data()
    network = module.Segmenter()
    expected = verify.outputs(made / f"searched-{scheme}.tflite", images[:3].astype(np.float32))
    for image, answer in zip(images[:3], expected, strict=True):
        np.testing.assert_array_equal(network.segment(image), answer.argmax(-1))
        probabilities = network.probabilities(image)
        np.testing.assert_allclose(probabilities, tf.nn.softmax(answer), atol=1e-5)


def test_the_python_snippet_runs_as_a_program(made, tmp_path):
    images, _ = _data()
    (tmp_path / "picture.png").write_bytes(tf.io.encode_png(images[0]).numpy())
    command = [sys.executable, str(made / "snippets" / "searched_fp32.py"), str(tmp_path / "picture.png")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = verify.outputs(made / "searched-fp32.tflite", images[:1].astype(np.float32)).argmax(-1)
    shares = [(np.mean(answers == i), label) for i, label in enumerate(LABELS) if np.any(answers == i)]
    told = done.stdout.strip().removeprefix(f"{tmp_path / 'picture.png'}: ").split(", ")
    assert sorted(told) == sorted(f"{label} {share:.1%}" for share, label in shares)


def test_the_kotlin_snippet_finds_the_class_of_each_pixel(made):
    text = (made / "snippets" / "SearchedInt8Io.kt").read_text()
    assert "fun segment(bitmap: Bitmap): IntArray" in text and "fun classify" not in text and "softmax" not in text
    assert "private val output = buffer(HEIGHT * WIDTH * LABELS.size * 1)" in text
    assert "* LABELS.size * 4)" in (made / "snippets" / "SearchedFp32.kt").read_text()
    assert "val score = (output.get() - (" in text and '"dark \\$",' in text
    assert all(text.count(left) == text.count(right) for left, right in ("{}", "()", "[]"))


def test_the_loss_that_layers_are_judged_by_is_the_mean_over_pixels(made, model):
    images, maps = _data(8)
    loss, score = judged((made / "searched-fp32.tflite").read_bytes(), images.astype(np.float32), maps)
    expected = keras.losses.sparse_categorical_crossentropy(maps, model(images.astype(np.float32)), from_logits=True)
    assert loss == pytest.approx(float(np.mean(expected)), rel=1e-4)
    assert score == verify.accuracy(made / "searched-fp32.tflite", images.astype(np.float32), maps)


def test_a_network_for_maps_of_another_size(model, splits, tmp_path):
    preprocessing = dataclasses.replace(Preprocessing.of(splits), label_shape=(6, 6))
    with pytest.raises(ExportError, match=r"answers \[12, 12, 3\]\. Received: 3 labels .* for each of \[6, 6\] pixels"):
        export_tflite(model, tmp_path / "m.tflite", "fp32", _data()[0].astype(np.float32), preprocessing=preprocessing)


def test_a_map_of_no_classes_is_compared_by_its_error(model, tmp_path):
    result = export_tflite(model, tmp_path / "m.tflite", "fp32", _data()[0].astype(np.float32))
    assert result.agreement.class_agreement is None
