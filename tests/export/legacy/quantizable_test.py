"""Networks made ready for quantization-aware training: nothing is left in float, and ranges are right at once."""

from __future__ import annotations

import numpy as np
import pytest

from tests import nets
from tfmeta.errors import ExportError
from tfmeta.export import flatbuffer, verify
from tfmeta.export.legacy import quantizable, ranges
from tfmeta.export.legacy.convert import convert
from tfmeta.export.legacy.rebuild import difference
from tfmeta.lazy import keras

ENDS = ("QUANTIZE", "DEQUANTIZE")


def _everything() -> keras.Model:
    """What TFMOT has no rule for, each where a network may have it."""
    layers = keras.layers
    image = keras.Input(nets.IMAGE, name="image")
    x = layers.Conv2D(6, 3, padding="same", name="bare")(layers.Rescaling(2.0, -0.5, name="scale")(image))
    x = layers.ReLU(6.0, name="cut")(x)
    x = layers.BatchNormalization(name="alone")(layers.Dropout(0.5)(x))
    y = layers.Activation("hard_sigmoid", name="gate")(layers.Conv2D(6, 1, activation="silu", name="fused")(x))
    x = layers.Multiply(name="scaled")([layers.Activation("silu", name="swish")(x), y])
    x = layers.Average(name="mean")([x, layers.Conv2D(6, 3, padding="same", groups=6, activation="relu6")(x)])
    x = layers.Conv2D(6, 1, activation="leaky_relu")(layers.Subtract()([x, layers.MaxPooling2D(1)(y)]))
    x = layers.Dense(4, "softmax", name="classes")(layers.GlobalAveragePooling2D()(layers.UpSampling2D(2)(x)))
    return nets.randomise(keras.Model(image, x, name="everything"), np.random.default_rng(0))


def _noise(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (count, *nets.IMAGE)).astype(np.float32)


def test_every_tensor_has_a_range(tmp_path):
    model, images = _everything(), _noise(64)
    legacy = quantizable.to_quantizable(model, images[:4])
    ranges.settle(legacy, images)
    path = tmp_path / "m.tflite"
    path.write_bytes(convert(legacy))
    contents = flatbuffer.read(path)
    types = {tensor.dtype for operator in contents.operators if operator.op not in ENDS for tensor in operator.outputs}
    assert types == {"INT8"}
    for operator in contents.operators:
        if "CONV" in operator.op:
            assert operator.inputs[1].quantization.per_channel, operator
    # A step of int8 is a 127th of the range; some ten roundings follow each other here.
    agreement = verify.agreement(np.asarray(legacy(images, training=False)), verify.outputs(path, images))
    assert agreement.max_relative_error < 0.1


@pytest.mark.parametrize("name", sorted(nets.TINY))
def test_ranges_settle_before_training(name):
    model = nets.tiny(name)
    images = 20 * nets.images(model, 32)  # far outside TFMOT's first range of -6 to 6
    legacy = quantizable.to_quantizable(model, images[:4])
    before = difference(model(images, training=False), legacy(images, training=False))
    weights = [weight.numpy() for weight in legacy.trainable_weights]
    ranges.settle(legacy, images)
    assert difference(model(images, training=False), legacy(images, training=False)) < 0.06 < before
    for weight, value in zip(legacy.trainable_weights, weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_shared_layer_is_named():
    model = nets.tiny("shared_layer")
    with pytest.raises(ExportError, match="'shared' is called 2 times"):
        quantizable.to_quantizable(model, nets.images(model))


def test_scaled_vector_is_named():
    image = keras.Input(nets.IMAGE)
    x = keras.layers.BatchNormalization(name="late")(keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(ExportError, match=r"'late' \(BatchNormalization\) scales a tensor without height"):
        quantizable.to_quantizable(keras.Model(image, keras.layers.Dense(2)(x)), _noise(2))


def test_nothing_from_tfmot_is_refused(monkeypatch):
    api = quantizable.tfmot().quantization.keras
    monkeypatch.setattr(api, "quantize_apply", lambda *args, **options: None)
    with pytest.raises(ExportError, match=r"Expected quantize_apply of .* Received: NoneType"):
        quantizable.to_quantizable(nets.tiny("plain"), nets.images(nets.tiny("plain")))
