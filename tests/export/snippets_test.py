"""Programs for apps: they answer as the network does, and prepare pictures as training did."""

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmeta.data.fitting import fit_array
from tfmeta.export import bundle
from tfmeta.export.kotlin_snippet import kotlin_snippet
from tfmeta.export.model_metadata import OWN
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.python_snippet import python_snippet
from tfmeta.export.tflite import export_tflite

LABELS = ("a", "b", "c", "d")
PREPROCESSING = Preprocessing(6, 6, 1, "resize", (1 / 255, 0.0), LABELS)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1)).astype(np.uint8)


def network(*head, channels=1):
    """A network with random weights for images of 6 by 6, which ends with ``head``."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6, 6, channels)), layers.Conv2D(8, 3, strides=2, padding="same"), *head])


def exported(model, path, preprocessing, scheme="fp32"):
    """The file of a network at ``path``; its weights are random, so it need not find the same classes."""
    images = np.concatenate([IMAGES] * 5).astype(np.float32).repeat(preprocessing.channels, axis=-1) / 255
    options = {"reference_samples": images, "preprocessing": preprocessing, "min_class_agreement": 0.0}
    return export_tflite(model, path, scheme, images, **options)


def snippet(folder, result, preprocessing):
    """The Python program for an exported file, as an app would import it."""
    path = folder / "snippets" / "program.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(python_snippet(result.path.name, result.sha256, result.contents, preprocessing))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("answers", "head"),
    [
        ("probabilities", lambda: (layers.Conv2D(4, 3, activation="softmax"), layers.Flatten())),
        ("probabilities", lambda: (layers.Flatten(), layers.Dense(4), layers.Softmax(), layers.Reshape((4,)))),
        ("probabilities", lambda: (layers.Conv2D(4, 3), layers.Softmax(), layers.Reshape((4, 1)), layers.Flatten())),
        ("logits", lambda: (layers.Conv2D(4, 3), layers.Flatten())),
        ("logits", lambda: (layers.Flatten(), layers.Dense(4, activation="softmax"), layers.Rescaling(2.0))),
    ],
)
@pytest.mark.parametrize("scheme", ["fp32", "int8"])
def test_a_softmax_is_applied_once_whatever_shapes_come_after_it(answers, head, scheme, tmp_path):
    model, floats = network(*head()), IMAGES.astype(np.float32) / 255
    result = exported(model, tmp_path / "m.tflite", PREPROCESSING, scheme)
    assert json.loads(result.contents.metadata[OWN])["answers"] == answers
    expected = np.asarray(model(floats))
    expected = expected if answers == "probabilities" else np.asarray(keras.ops.softmax(expected))
    classifier = snippet(tmp_path, result, PREPROCESSING).Classifier()
    received = np.stack([classifier.probabilities(image) for image in IMAGES])
    np.testing.assert_allclose(received, expected, atol=1e-5 if scheme == "fp32" else 0.02)


@pytest.mark.parametrize(
    ("channels", "scale", "told"),
    [
        (1, None, r"float32 [6, 6, 1], prepared as in training"),
        (4, (1 / 255, 0.0), r"uint8 [6, 6, 4], 4 channels"),
        (2, None, r"float32 [6, 6, 2], prepared as in training"),
    ],
)
def test_a_program_that_cannot_prepare_a_picture_takes_arrays_alone(channels, scale, told, tmp_path):
    preprocessing = dataclasses.replace(PREPROCESSING, channels=channels, pixel_scale=scale)
    model = network(layers.Flatten(), layers.Dense(4, activation="softmax"), channels=channels)
    result = exported(model, tmp_path / "m.tflite", preprocessing)
    module = snippet(tmp_path, result, preprocessing)
    assert not hasattr(module, "read_picture") and not hasattr(module, "main") and "pillow" not in module.__doc__
    pixels = IMAGES[0].repeat(channels, axis=-1)
    floats = pixels.astype(np.float32) / 255
    right, wrong = (floats, pixels) if scale is None else (pixels, floats)
    received = module.Classifier().probabilities(right)
    np.testing.assert_allclose(received, model(floats[np.newaxis])[0], atol=1e-5)
    with pytest.raises(ValueError, match=re.escape(f"Expected {told}. Received: {wrong.dtype} [6, 6, {channels}]")):
        module.Classifier().probabilities(wrong)
    done = subprocess.run([sys.executable, module.__file__, "picture.png"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("Expected to be imported: only the training data tells")
    assert done.stdout == ""


@pytest.mark.parametrize("scale", [None, (1 / 255, 0.0)])
def test_the_card_promises_the_programs_that_are_there(scale, tmp_path):
    preprocessing = dataclasses.replace(PREPROCESSING, pixel_scale=scale)
    result = exported(network(layers.Flatten(), layers.Dense(4)), tmp_path / "m.tflite", preprocessing)
    origin = bundle.Origin("net", "tiny", "noise", "half of the MACs", {})
    shipped = [bundle.Shipped("full", result)]
    bundle.write_bundle(tmp_path, shipped, [], preprocessing=preprocessing, origin=origin, command="")
    programs = {path.name for path in (tmp_path / "snippets").iterdir()}
    assert programs == ({"m.py"} if scale is None else {"m.py", "M.kt"})
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert ("a Kotlin class for each file" in card) == (scale is not None)
    assert ("a Python module for each file, which takes arrays" in card) == (scale is None)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A file, of which the tests below need the programs only."""
    folder = tmp_path_factory.mktemp("file")
    return exported(network(layers.Flatten(), layers.Dense(4)), folder / "m.tflite", PREPROCESSING)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["resize", "pad"])
def test_pictures_are_resized_as_in_training(fit, channels, result, tmp_path):
    preprocessing = dataclasses.replace(PREPROCESSING, fit=fit, channels=channels)
    module = snippet(tmp_path, result, preprocessing)
    rng, ties = np.random.default_rng(1), 0
    # As large, larger by whole and by other factors, smaller, one way larger and the other smaller.
    for height, width in [(6, 6), (24, 12), (7, 6), (23, 31), (4, 5), (5, 40), (50, 2), (100, 99)]:
        image = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
        (tmp_path / "picture.png").write_bytes(tf.io.encode_png(image).numpy())
        received = module.read_picture(tmp_path / "picture.png")
        assert (received.dtype, received.shape) == (np.uint8, (6, 6, channels))
        errors = np.abs(received.astype(int) - fit_array(image[np.newaxis], 6, fit)[0])
        assert errors.max() <= 1  # 0.5 in 64 bits may be less in 32
        ties += np.count_nonzero(errors)
    assert ties <= 5


def test_pixels_that_lie_in_two_count_for_both(result, tmp_path):
    resized = snippet(tmp_path, result, PREPROCESSING).resized
    row = np.array([0, 90, 30], np.uint8).reshape(1, 3, 1)
    # Each of the two new ones is as wide as 1.5: (0 + 90 / 2) / 1.5 and (90 / 2 + 30) / 1.5.
    np.testing.assert_array_equal(resized(row, 1, 2).ravel(), [30, 50])
    np.testing.assert_array_equal(resized(row.reshape(3, 1, 1), 2, 1).ravel(), [30, 50])


def kotlin_shares(text, old, new, shrinks):
    """What `shares` of the Kotlin class returns: its formulas mean the same in Python."""
    text = text[text.index("fun shares") :]
    known = {"old": old, "new": new, "shrinks": shrinks, "min": min, "max": max, "abs": abs}

    def values(name, **more):
        formula = re.search(rf"val {name} = (.*(?:\n +else .*)?)", text)[1]
        formula = re.sub(r"if \(shrinks\) (.*?)\s+else (.*)", r"\1 if shrinks else \2", formula)
        parts = re.sub(r"\.to(Int|Double)\(\)", "", formula).split("..")
        return [eval(part, known | more) for part in parts]  # noqa: S307 - formulas of this repository

    (known["step"],) = values("step")
    (known["radius"],) = values("radius")
    for index in range(new):
        (known["centre"],) = values("centre", it=index)
        first, last = values("pixels")
        pixels = np.arange(int(first), int(last) + 1)
        parts = np.array([max(0.0, *values("part", pixel=pixel)) for pixel in pixels])
        yield pixels, parts / parts.sum()


@pytest.mark.parametrize(("old", "new", "shrinks"), [(13, 6, True), (6, 6, True), (40, 6, False), (4, 6, False)])
def test_both_programs_make_the_same_of_a_picture(old, new, shrinks, result, tmp_path):
    kotlin = kotlin_snippet("m.tflite", result.sha256, result.contents, PREPROCESSING)
    received = list(kotlin_shares(kotlin, old, new, shrinks))
    expected = list(snippet(tmp_path, result, PREPROCESSING).shares(old, new, shrinks))
    assert len(received) == len(expected) == new
    for (pixels, parts), (other_pixels, other_parts) in zip(received, expected, strict=True):
        np.testing.assert_array_equal(pixels, other_pixels)
        np.testing.assert_allclose(parts, other_parts, rtol=1e-12)
        assert pixels[0] >= 0 and pixels[-1] < old


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["resize", "pad"])
def test_the_kotlin_class_resizes_by_itself_and_reads_bitmaps_of_any_kind(fit, channels, result):
    preprocessing = dataclasses.replace(PREPROCESSING, fit=fit, channels=channels)
    kotlin = kotlin_snippet("m.tflite", result.sha256, result.contents, preprocessing)
    assert "createScaledBitmap" not in kotlin and "drawBitmap" not in kotlin
    assert "fill(fitted(readable(bitmap)))" in kotlin and "bitmap.copy(Bitmap.Config.ARGB_8888, false)" in kotlin
    assert ("round(bitmap.height * scale)" in kotlin) == (fit == "pad")
    assert kotlin.count("row[3 * x") == (3 if channels == 3 else 0)
    assert all(kotlin.count(left) == kotlin.count(right) for left, right in ("{}", "()", "[]"))
