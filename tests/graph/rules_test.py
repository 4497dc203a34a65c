"""The table of rules against Keras' list of layers."""

import inspect

import pytest

from tests import nets
from tests.hazards import conv
from tfmeta import ChannelGraph, SearchSpace, prune, rules
from tfmeta.errors import GraphError
from tfmeta.lazy import keras

# Layers of Keras without a rule, by the reason.
WITHOUT = {
    "base classes, and code whose channels only its author knows": "Layer Wrapper Lambda",
    "made by keras.Input": "InputLayer",
    "hold layers inside them": "TimeDistributed Bidirectional SpectralNormalization Pipeline",
    "hold a model of another framework": "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    "cannot be made again from its own options": "RandomShear",
    "recurrent": "RNN SimpleRNN GRU LSTM ConvLSTM1D ConvLSTM2D ConvLSTM3D GRUCell LSTMCell SimpleRNNCell "
    "StackedRNNCells",
    "read numbers or text that are no channels": "CategoryEncoding Discretization Embedding HashedCrossing Hashing "
    "IntegerLookup MelSpectrogram ReversibleEmbedding STFTSpectrogram StringLookup TextVectorization",
    "change or mix the colours of images, before a network": "AugMix AutoContrast "
    "ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MaxNumBoundingBoxes MixUp "
    "RandomColorDegeneration RandomInvert RandomPosterization RandomSharpness Solarization",
}


def test_every_layer_of_keras_has_a_rule_or_a_reason():
    found = {
        layer.__name__
        for layer in vars(keras.layers).values()
        if inspect.isclass(layer) and issubclass(layer, keras.layers.Layer)
    }
    without = [name for names in WITHOUT.values() for name in names.split()]
    assert found - set(rules.RULES) == set(without)
    assert len(without) == len(set(without))


def test_a_layer_that_cannot_be_made_again_is_told(monkeypatch):
    monkeypatch.setitem(rules.RULES, "RandomShear", rules.Rule(rules.spatial))
    image = keras.Input(nets.IMAGE, name="image")
    x = keras.layers.RandomShear(0.2, 0.2, name="shear")(conv(image, 8, "stem"))
    model = keras.Model(image, keras.layers.Flatten()(conv(x, 1, "after")))
    graph = ChannelGraph.from_model(model)
    with pytest.raises(GraphError, match=r"'shear' \(RandomShear\) cannot be made again .*Expected a get_config that"):
        prune(model, SearchSpace.from_graph(graph).full())
