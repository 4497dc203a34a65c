"""The layer that is at fault is the one that is named."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmeta.errors import ExportError
from tfmeta.export import converter, flatbuffer, litert
from tfmeta.export.layer_errors import LayerError, _candidates, _told, layer_errors, worst
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


@pytest.mark.parametrize("name", ["residual", "squeeze_excite"])
def test_errors_are_those_of_all_samples_at_once(name, tiny, noise, tmp_path):
    model, samples = tiny(name), noise[:5]
    path = export_tflite(model, tmp_path / "m.tflite", "int8", noise, noise, min_class_agreement=0.0).path
    found = {one.layer: one.error for one in layer_errors(path, model, samples)}
    contents = flatbuffer.read(path)
    given = {name: output for name, (_, output) in converter.layer_tensors(model).items()}
    candidates = _candidates(contents, model, given)
    names = sorted(given)
    answers = converter.tapped(model, [given[name] for name in names])(samples, training=False)
    expected = {name: np.asarray(value, np.float64) for name, value in zip(names, answers, strict=True)}
    inside = [list(tensors) for tensors in litert.tensors(path, samples, list(candidates))]
    nearest = {}
    for (index, layers_of_it), values in zip(candidates.items(), zip(*inside, strict=True), strict=True):
        received = np.concatenate(values).astype(np.float64).reshape(len(samples), -1)
        errors = []
        for layer in layers_of_it:
            wanted = expected[layer].reshape(len(samples), -1)
            if wanted.shape == received.shape:
                error = np.sqrt(np.mean(np.square(wanted - received)) / np.mean(np.square(wanted)))
                errors.append((float(error), layer))
        if errors:
            nearest[index] = min(errors)
    reference = {one.layer: one.error for one in _told(contents, nearest)}
    assert len(reference) >= 4 and max(reference.values()) > 1e-3
    assert found == pytest.approx(reference, rel=1e-3, abs=1e-6)


def test_sentence():
    layer = LayerError("conv", "CONV_2D", 0.5, 0.125)
    assert (
        worst([layer]) == "Most of the error comes from layer 'conv' (CONV_2D: error 12.5% before it, 50.0% after it)."
    )
    assert worst([]) == worst([LayerError("conv", "CONV_2D", 0.1, 0.1)]) == ""
