"""A layer of one's own with its rule, as a user's module defines them."""

import os.path  # what the module imports is not its own: files must not reach it

import tfmeta
from tfmeta.lazy import keras

__all__ = ["Gain", "basename", "bent", "gained", "with_functions"]

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


def bent(x):
    """An activation of one's own that is not registered with Keras."""
    return keras.ops.relu(x) + 0.1 * x


def with_functions(input_shape, classes):
    """A network with functions of one's own for activations."""
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Conv2D(16, 3, 2, activation=bent, name="first")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Conv2D(16, 3, activation=bent, name="second")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x))
