"""Law: a network and its copy in tf_keras compute the same, for every family and every layer that has a rule."""

from __future__ import annotations

import numpy as np
import pytest

from tests import nets
from tfmeta.errors import ExportError
from tfmeta.export.legacy import layers
from tfmeta.export.legacy.rebuild import MAX_DIFFERENCE, difference, from_legacy, to_legacy
from tfmeta.graph.rules import RULES
from tfmeta.lazy import keras

OPTIONS = {
    "Conv2D": (5, 3),
    "DepthwiseConv2D": (3,),
    "Dense": (5,),
    "Reshape": ((4, 16, 3),),
    "Rescaling": (0.5, -1.0),
    "Activation": ("tanh",),
    "LeakyReLU": (0.3,),
    "ReLU": (6.0, 0.1, 0.5),
    "Dropout": (0.5,),
    "SpatialDropout2D": (0.5,),
    "GaussianNoise": (0.5,),
    "GaussianDropout": (0.5,),
    "RandomTranslation": (0.1, 0.1),
    "RandomRotation": (0.1,),
    "RandomZoom": (0.1,),
    "RandomContrast": (0.1,),
    "ZeroPadding2D": (((1, 2), (0, 1)),),
    "Cropping2D": (1,),
    "MaxPooling2D": (2,),
    "AveragePooling2D": (2,),
    "Conv2DTranspose": (5, 3),
    "SeparableConv2D": (5, 3),
    "GroupNormalization": (1,),
    "Permute": ((2, 1, 3),),
    "Resizing": (6, 6),
    "AlphaDropout": (0.5,),
    "RandomBrightness": (0.2,),
    "RandomHue": (0.2,),
    "RandomSaturation": (0.2,),
    "CenterCrop": (4, 4),
    "RandomCrop": (4, 4),
    "AdaptiveAveragePooling2D": (2,),
    "AdaptiveMaxPooling2D": (2,),
}
# Layers of other than images, and those that read more than one tensor in a way of their own.
OTHERS = {"RepeatVector", "Dot", "Attention", "AdditiveAttention", "EinsumDense", "MultiHeadAttention"}
LACKING = (
    "AdaptiveAveragePooling2D",
    "AdaptiveMaxPooling2D",
    "RandAugment",
    "RandomColorJitter",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomPerspective",
    "RandomSaturation",
    "RMSNormalization",
)
# These are made by networks of keras.applications only.
INTERNAL = {"LayerScale", "StochasticDepth"}
LAYERS = sorted(
    op
    for op in set(RULES) - OTHERS - INTERNAL - {*LACKING, "RandomCrop"}
    if hasattr(keras.layers, op) and not op.endswith(("1D", "3D", "1DTranspose", "3DTranspose"))
)
JOINS = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
ACTIVATIONS = ("hard_sigmoid", "hard_silu", "leaky_relu", "log_softmax", "relu6", "silu", "gelu", "elu", "softplus")


def _one_layer(op: str, layer=None) -> keras.Model:
    image = keras.Input(nets.IMAGE, name="image")
    layer = layer or getattr(keras.layers, op)(*OPTIONS.get(op, ()), name="the_one")
    model = keras.Model(image, layer([image, image]) if op in JOINS else layer(image))
    return nets.randomise(model, np.random.default_rng(0))


def _noise(count=2):
    return np.random.default_rng(1).normal(0, 2, (count, *nets.IMAGE)).astype(np.float32)


@pytest.mark.parametrize("name", nets.ALL)
def test_copy_computes_the_same(name):
    model = nets.any_net(name)
    images = nets.images(model)
    legacy = to_legacy(model, images[:1])  # compares every layer
    if name in (*nets.TINY, *nets.ODD):  # deep networks of random weights amplify rounding by any factor
        assert difference(model(images, training=False), legacy(images, training=False)) <= MAX_DIFFERENCE
    assert {layer.name for layer in legacy.layers} == {layer.name for layer in model.layers}


@pytest.mark.parametrize("name", (*nets.TINY, *nets.ODD))
def test_weights_come_back(name):
    model = nets.tiny(name)
    images = nets.images(model)
    back = from_legacy(to_legacy(model, images), model)
    np.testing.assert_array_equal(model(images, training=False), back(images, training=False))


@pytest.mark.parametrize("op", LAYERS)
def test_every_layer_with_a_rule_has_a_twin(op):
    to_legacy(_one_layer(op), _noise())  # compares


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_a_twin(activation):
    to_legacy(_one_layer("Activation", keras.layers.Activation(activation)), _noise())


@pytest.mark.parametrize("op", LACKING)
def test_layer_that_tf_keras_lacks_is_named(op):
    with pytest.raises(ExportError, match=f"Layer 'the_one' is a {op}, which tf_keras lacks"):
        to_legacy(_one_layer(op), _noise())


def test_layer_that_tf_keras_computes_otherwise_is_named():
    with pytest.raises(ExportError, match=r"in layer 'the_one' \(RandomCrop\)"):
        to_legacy(_one_layer("RandomCrop"), _noise())


def test_option_that_tf_keras_lacks_is_named():
    model = _one_layer("BatchNormalization", keras.layers.BatchNormalization(renorm=True, name="the_one"))
    with pytest.raises(ExportError, match=r"'the_one' \(BatchNormalization\) has renorm=True"):
        to_legacy(model, _noise())


def test_activation_that_tf_keras_lacks_is_named():
    with pytest.raises(ExportError, match="'the_one' has the activation 'squareplus'"):
        to_legacy(_one_layer("Activation", keras.layers.Activation("squareplus", name="the_one")), _noise())


def test_layer_that_computes_something_else_is_named(monkeypatch):
    monkeypatch.setitem(layers._OWN_ACTIVATIONS, "relu6", layers._leaky_relu)
    with pytest.raises(ExportError, match=r"in layer 'odd' \(Activation\)"):
        to_legacy(_one_layer("Activation", keras.layers.Activation("relu6", name="odd")), _noise())
