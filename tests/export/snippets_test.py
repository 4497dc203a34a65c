"""Programs for apps: they answer as the network does, and prepare pictures as training did."""

import importlib.util
import json

import keras
import numpy as np
import pytest
from keras import layers

from tfmeta.export.model_metadata import OWN
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.python_snippet import python_snippet
from tfmeta.export.tflite import export_tflite

LABELS = ("a", "b", "c", "d")
PREPROCESSING = Preprocessing(6, 6, 1, "resize", (1 / 255, 0.0), LABELS)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1)).astype(np.uint8)


def network(*head):
    """A network with random weights for images of 6 by 6, which ends with ``head``."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(8, 3, strides=2, padding="same"), *head])


def exported(model, path, preprocessing, scheme="fp32"):
    """The file of a network at ``path``; its weights are random, so it need not find the same classes."""
    images = np.concatenate([IMAGES] * 5).astype(np.float32) / 255
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
