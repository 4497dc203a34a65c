"""The layer that is at fault is the one that is named."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmeta.errors import ExportError
from tfmeta.export.layer_errors import LayerError, layer_errors, worst
from tfmeta.export.tflite import export_tflite


def _with_outlier(factor: float) -> keras.Model:
    """A network whose second layer has a channel that is ``factor`` times as large as the others.

    All channels share one scale after it, so the others keep hardly a bit; the fourth layer reads those others only.
    """
    rng = np.random.default_rng(0)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="wild")(x)
    x = layers.Conv2D(8, 1, activation="relu", name="reads")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(10, name="logits")(x))
    for weight in model.weights:
        weight.assign(rng.normal(0.0, 0.4, weight.shape))
    wild, reads = model.get_layer("wild"), model.get_layer("reads")
    wild.kernel.assign(np.asarray(wild.kernel) * np.r_[factor, np.ones(7)])
    reads.kernel.assign(np.asarray(reads.kernel) * np.r_[0.0, np.ones(7)].reshape(8, 1))
    return model


def test_float_layers_are_equal(tiny, noise, tmp_path):
    model = tiny("residual")
    result = export_tflite(model, tmp_path / "m.tflite", "fp32", noise)
    found = layer_errors(result.path, model, noise)
    assert len(found) >= 4
    assert max(one.error for one in found) < 1e-5


def test_a_layer_with_one_wild_channel_is_named(digits, tmp_path):
    model, images = _with_outlier(3000.0), digits[0][:100]
    with pytest.raises(ExportError) as refused:
        export_tflite(model, tmp_path / "m.tflite", "int8", images, images)
    text = str(refused.value)
    # The wild channel itself is right, so it is what reads the others that goes wrong.
    assert "Most of the error comes from layer 'reads' (CONV_2D: error" in text
    assert 'Try scheme="int8_qat" or scheme="int16x8" or scheme="fp16", more calibration images' in text
    assert not list(tmp_path.iterdir())
    # The way out that the message offers is one.
    assert export_tflite(model, tmp_path / "m.tflite", "fp16", images).agreement.class_agreement > 0.98


def test_layer_errors_are_kept_where_the_agreement_is_low(digits, tmp_path):
    images = digits[0][:100]
    result = export_tflite(
        _with_outlier(3000.0), tmp_path / "m.tflite", "int8", images, images, min_class_agreement=0.0
    )
    assert result.layer_errors[0].layer == "reads"


def test_a_file_that_fails_names_its_layer_however_many_classes_agree(reader, digits, tmp_path):
    images = digits[0][:200]
    with pytest.raises(ExportError, match=r"Most of the error comes from layer '\w+' \(\w+: error") as refused:
        export_tflite(reader, tmp_path / "m.tflite", "int8", images, digits[2], max_relative_error=1e-4)
    assert "the same class" not in str(refused.value)


def test_sentence():
    layer = LayerError("conv", "CONV_2D", 0.5, 0.125)
    assert (
        worst([layer]) == "Most of the error comes from layer 'conv' (CONV_2D: error 12.5% before it, 50.0% after it)."
    )
    assert worst([]) == worst([LayerError("conv", "CONV_2D", 0.1, 0.1)]) == ""
