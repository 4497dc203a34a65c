"""Tiny networks, one for each hazard of conversion, and one that has learned to read digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmeta.export.chatter import quiet


def _conv(x, filters, kernel=3, **options):
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _plain(x):
    return _conv(_conv(x, 8), 16, strides=2)


def _depthwise(x):
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(_conv(x, 8))
    return _conv(layers.ReLU(6.0)(layers.BatchNormalization()(x)), 16, kernel=1)


def _residual(x):
    x = _conv(x, 8)
    return layers.Add()([x, _conv(x, 8)])


def _squeeze_excite(x):
    x = _conv(x, 8)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    return layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])


def _concat(x):
    x = layers.Concatenate()([_conv(x, 8), _conv(x, 8, kernel=1)])
    return layers.MaxPooling2D()(layers.ZeroPadding2D(1)(x))


def _by_others(path: Path, recipe: str) -> Path:
    recipes = pytest.importorskip("litert_quantizer.recipe", reason="litert-quantizer is an extra")
    image = keras.Input((8, 8, 3), batch_size=1, name="image")
    x = layers.DepthwiseConv2D(3)(layers.Conv2D(8, 3, activation="relu")(image))
    model = keras.Model(image, {"scores": layers.Dense(4)(layers.Dense(64)(layers.Flatten()(x)))})
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    work = pytest.importorskip("litert_quantizer.quantizer").Quantizer(str(path))
    work.load_quantization_recipe(getattr(recipes, recipe)())
    samples = [{"image": np.random.default_rng(0).random((1, 8, 8, 3), np.float32)}]
    ranges = work.calibrate({"serving_default": samples}) if work.need_calibration else None
    path.write_bytes(bytes(work.quantize(ranges).quantized_model))
    return path


_BODIES = {
    "plain": _plain,
    "depthwise": _depthwise,
    "residual": _residual,
    "squeeze_excite": _squeeze_excite,
    "concat": _concat,
}


@pytest.fixture(scope="session")
def tiny() -> Callable[..., keras.Model]:
    """Returns name -> a small network with random weights and batch-norm statistics."""

    def build(name: str, input_name: str | None = None) -> keras.Model:
        image = keras.Input((12, 12, 3), name=input_name)
        x = layers.Flatten()(_BODIES[name](image))
        model = keras.Model(image, layers.Dense(10)(x), name=name)
        rng = np.random.default_rng(3)
        for weight in model.weights:
            spread = rng.normal(0.0, 0.3, weight.shape)
            weight.assign(0.5 + np.abs(spread) if "variance" in weight.path else spread)
        return model

    return build


@pytest.fixture(scope="session")
def by_others(tmp_path_factory) -> Callable[[str], Path]:
    """Returns name of a recipe of litert-quantizer -> a file that it wrote."""
    folder, made = tmp_path_factory.mktemp("by_others"), dict[str, Path]()

    def file(recipe: str) -> Path:
        if recipe not in made:
            with quiet():
                made[recipe] = _by_others(folder / f"{recipe}.tflite", recipe)
        return made[recipe]

    return file


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Returns images `[120, 12, 12, 3]` that fit the tiny networks: noise, blurred so that it could be a picture."""
    fine = np.random.default_rng(0).normal(size=(120, 13, 13, 3))
    blurred = (fine[:, :-1, :-1] + fine[:, 1:, :-1] + fine[:, :-1, 1:] + fine[:, 1:, 1:]) / 2.0
    return blurred.astype(np.float32)


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns (train images, train labels, test images, test labels) of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16.0).astype(np.float32)
    return images[:1400], labels[:1400], images[1400:], labels[1400:]


@pytest.fixture(scope="session")
def reader(digits) -> keras.Model:
    """Returns a network that was trained for a few steps to read the digits."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1))
    x = _conv(_conv(image, 16), 32, strides=2)
    model = keras.Model(image, layers.Dense(10)(layers.Flatten()(x)), name="reader")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(digits[0], digits[1], batch_size=64, epochs=4, verbose=0)
    return model
