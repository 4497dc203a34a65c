"""A layer of one's own with its rule, as a user's module defines them."""

import os.path  # what the module imports is not its own: files must not reach it

import tfmeta
from tfmeta.lazy import keras

__all__ = ["Gain", "basename", "gained"]

basename = os.path.basename


class Gain(keras.layers.Layer):
    """Multiplies every channel by a weight."""

    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=shape[-1:], initializer="ones")

    def call(self, inputs):
        return inputs * self.gain


tfmeta.rules.register(Gain, tfmeta.rules.Rule(tfmeta.rules.same, weights={"gain": ("in",)}))


def gained(input_shape, classes):
    """A network with such a layer."""
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Conv2D(16, 3, 2, activation="relu", name="first")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Conv2D(16, 3, activation="relu", name="second")(Gain(name="loudness")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x))
