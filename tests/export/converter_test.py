"""What is refused before conversion, and how a layer is found from the converter's names."""

from __future__ import annotations

import resource
import tempfile

import keras
import pytest
import tensorflow as tf
from keras import layers

from tests import nets
from tfmeta.errors import ExportError
from tfmeta.export import converter, flatbuffer


def test_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ExportError, match="Expected a built Functional or Sequential model"):
        converter.with_batch_one(Own())


def test_unbuilt_sequential_is_refused():
    with pytest.raises(ExportError, match=r"Call the model on a keras\.Input first"):
        converter.with_batch_one(keras.Sequential([layers.Dense(3)]))


def test_dynamic_image_size_is_refused():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(image))
    with pytest.raises(ExportError, match="fixed input shape"):
        converter.with_batch_one(model)


def test_fixed_batch_is_refused():
    image = keras.Input((4, 4, 3), batch_size=8)
    with pytest.raises(ExportError, match="a batch of 8"):
        converter.with_batch_one(keras.Model(image, layers.Flatten()(image)))


def test_two_inputs_are_refused():
    images = [keras.Input((4, 4, 3)), keras.Input((4, 4, 3))]
    with pytest.raises(ExportError, match="Received: 2 inputs"):
        converter.with_batch_one(keras.Model(images, layers.Add()(images)))


def test_half_precision_is_refused():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, layers.Conv2D(2, 1, dtype="mixed_float16", name="half")(image))
    with pytest.raises(ExportError, match="layer 'half' that computes in float16"):
        converter.with_batch_one(model)


def test_weights_are_shared():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, layers.Conv2D(2, 1)(image))
    assert converter.with_batch_one(model).weights[0] is model.weights[0]


@pytest.mark.parametrize("name", ["plain", "squeeze_excite", "concat", "shared_layer"])
def test_files_are_those_that_tensorflow_makes_of_the_model_itself(name):
    _is_theirs(nets.tiny(name))


@pytest.mark.parametrize("activation", ["silu", "gelu", "mish", "softplus", "hard_silu", "relu6", "elu", "sigmoid"])
def test_files_with_any_activation_are_those_too(activation):
    image = keras.Input((6, 6, 3))
    layer = layers.Conv2D(4, 3, activation=activation, name="active")
    _is_theirs(keras.Model(image, layers.GlobalAveragePooling2D()(layer(image))))


def _is_theirs(plain):
    model = converter.with_batch_one(plain)
    ours = flatbuffer.parse(converter.run(model, converter.make(model)))
    theirs = flatbuffer.parse(converter.run(model, tf.lite.TFLiteConverter.from_keras_model(model)))
    assert ours.signatures == ("serving_default",)
    assert (ours.signatures, ours.inputs, list(ours.outputs)) == (
        theirs.signatures,
        theirs.inputs,
        list(theirs.outputs),
    )
    assert [_layout(one) for one in ours.operators] == [_layout(one) for one in theirs.operators]
    names = [[t.name for one in file.operators[:-1] for t in one.outputs] for file in (ours, theirs)]
    assert names[0] == names[1]  # which the layer of an operator is found by


def _layout(operator):
    return operator.op, operator.version, [(t.shape, t.dtype, t.constant) for t in operator.inputs]


def test_a_layer_that_cannot_be_called_is_told():
    class Broken(layers.Layer):
        def call(self, inputs):
            return inputs

    broken = Broken(name="broken")
    image = keras.Input((4, 4, 3), name="image")
    model = converter.with_batch_one(keras.Model(image, layers.Flatten()(broken(image))))
    broken.call = lambda inputs: inputs[:, :, :, 7]
    with pytest.raises(
        ExportError, match=r"The TFLite converter failed on model .*calling Broken\.call\(\)\. slice index 7 of"
    ):
        converter.make(model)


@pytest.mark.parametrize(
    ("name", "in_file"),
    [
        ("camera-2.left", "camera-2.left"),
        ("my image", "my_image"),
        ("größe", "gr__e"),
        ("_hidden", "hidden"),
        ("图", "image"),
        ("image:0", "image"),
    ],
)
def test_an_input_keeps_of_its_name_what_a_signature_takes(name, in_file):
    image = keras.Input((4, 4, 3), name=name)
    model = converter.with_batch_one(keras.Model(image, layers.Flatten()(image)))
    contents = flatbuffer.parse(converter.run(model, converter.make(model)))
    assert (contents.signatures, list(contents.inputs)) == (("serving_default",), [in_file])


def test_a_full_folder_for_temporary_files_is_no_fault_of_the_model():
    image = keras.Input((4, 4, 3))
    model = converter.with_batch_one(keras.Model(image, layers.Dense(2000)(layers.Flatten()(image))))  # 392 kB
    conversion = converter.make(model)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    folder = tempfile.gettempdir()
    text = rf"could not save the network in '{folder}', .*: {folder}/.*; File too large\. The variable TMPDIR"
    try:
        with pytest.raises(OSError, match=text):
            converter.run(model, conversion)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_no_folder_for_temporary_files_is_no_fault_of_the_model(tmp_path, monkeypatch):
    image = keras.Input((4, 4, 3))
    model = converter.with_batch_one(keras.Model(image, layers.Flatten()(image)))
    conversion = converter.make(model)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="gone"):
        converter.run(model, conversion)
    with pytest.raises(FileNotFoundError, match="gone"):
        converter.make(model)


def test_what_cannot_be_saved_for_its_own_sake_is_told(monkeypatch):
    # A swish has a gradient of its own, which a SavedModel cannot hold.
    monkeypatch.setattr(converter, "_forget_gradients", lambda graph: None)
    image = keras.Input((4, 4, 3), name="image")
    model = converter.with_batch_one(keras.Model(image, layers.Activation("silu")(image)))
    with pytest.raises(ExportError, match=r"The TFLite converter failed on model 'batch_one': .*gradient"):
        converter.run(model, converter.make(model))


@pytest.mark.parametrize(
    ("location", "layer"),
    [
        # Keras adds _1 to a scope that it enters again: "conv_1" is layer "conv", not "conv_1".
        ("functional_3_1/net_1/conv_1/convolution", "conv"),
        ("functional_3_1/net_1/conv_1_1/convolution", "conv_1"),
        ("conv/convolution", "conv"),
        ("StatefulPartitionedCall_1", None),
    ],
)
def test_layer_of_a_location(location, layer):
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(2, 1, name="conv_1")(layers.Conv2D(2, 1, name="conv")(image))
    model = converter.with_batch_one(keras.Model(image, x, name="net"))
    assert converter.layer_of(model, location) == layer
