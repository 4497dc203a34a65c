"""Handwritten digits, a network for them, and short training: what the tests of training share."""

import functools

from tfmeta import data, training
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.lazy import keras
from tfmeta.supernet.pruning_net import PruningNet
from tfmeta.training import TrainOptions

OPTIONS = TrainOptions(epochs=3, batch_size=160, learning_rate=0.05, calibration_images=200)


@functools.cache
def splits():
    """Returns the digits, 16x16."""
    return data.load("digits")


def model():
    """Returns a small convolutional network with dropout and random weights, the same in every run."""
    training.set_seed(0)
    image = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="rescale")(image)
    for index, filters in enumerate((16, 32), 1):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{index}")(x)
        x = keras.layers.BatchNormalization(name=f"bn{index}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"pool{index}")(keras.layers.ReLU(name=f"relu{index}")(x))
    x = keras.layers.Dropout(0.1, name="drop")(keras.layers.Flatten(name="flatten")(x))
    return keras.Model(image, keras.layers.Dense(10, name="logits")(x), name="digits_net")


def net():
    """Returns the PruningNet of `model`, the same in every run."""
    base = model()
    return PruningNet(ChannelGraph.from_model(base))
