"""From what a user types to a model."""

import functools

import numpy as np
import pytest

from tests import nets, projects
from tfmeta.errors import UserError
from tfmeta.lazy import keras
from tfmeta.networks import NETWORKS, PRESETS, spec

SHAPE = (32, 32, 3)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_family_is_built_by_its_name(name):
    built = spec.build(name, SHAPE, 7)
    assert built.model.input_shape == (None, *SHAPE)
    assert built.model.output_shape[-1] == 7
    assert built.preset is None


def test_arguments_reach_the_family():
    narrow, wide = (spec.build(f"mobilenet_v1?width={w}&blocks=8", SHAPE, 7).model for w in ("0.25", "0.5"))
    assert [layer.name for layer in narrow.layers] == [layer.name for layer in wide.layers]
    assert narrow.get_layer("block1_pw_conv").filters == 16
    assert wide.get_layer("block1_pw_conv").filters == 32


def test_a_preset_is_the_papers():
    built = spec.build("metapruning:mobilenet_v1", SHAPE, 7)
    assert built.preset is not None
    assert built.model.output_shape == (None, 7)


def test_a_saved_model_keeps_its_weights(tmp_path):
    path = projects.saved_model(tmp_path / "model.keras")
    first, second = (spec.build(str(path), (1, 1, 1), 1) for _ in range(2))
    for one, other in zip(first.model.weights, second.model.weights, strict=True):
        assert (one.numpy() == other.numpy()).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobilnet", "Unknown network 'mobilnet'. Expected one of: fcn, mobilenet_v1"),
        ("metapruning:vgg", f"Unknown metapruning network 'vgg'. Expected one of: {', '.join(sorted(PRESETS))}"),
        ("vgg?blocks=3", "Network 'vgg' has no argument 'blocks'. Expected one of: "),
        ("vgg?width=wide", "Expected a number, True or False for 'width' of 'vgg', received 'wide'."),
        ("vgg?width=", "Expected a number, True or False for 'width' of 'vgg', received ''."),
        ("vgg?width=0", "Expected a width above 0, received 0."),
        ("vgg?width=[1]", "Network 'vgg?width=[1]' cannot be built for images (32, 32, 3)"),
        ("mobilenet_v1?blocks=3", "MobileNetV1 has 8 to 13 blocks, received 3."),
        ("nowhere/model.keras", "There is no model file at 'nowhere/model.keras'."),
    ],
)
def test_a_mistake_is_told(text, message):
    with pytest.raises(UserError) as error:
        spec.build(text, SHAPE, 7)
    assert message in str(error.value)


def test_code_in_a_file_is_not_run(tmp_path):
    image = keras.Input(SHAPE)
    doubled = keras.layers.Lambda(lambda x: x * 2)(image)
    keras.Model(image, keras.layers.Dense(7)(keras.layers.Flatten()(doubled))).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match=r"cannot be loaded as a Keras model \(Requested the deserialization of a"):
        spec.build(str(tmp_path / "model.keras"), SHAPE, 7)


def test_networks_of_keras_take_the_data_sets_shape_and_their_own_arguments():
    model = spec.build("keras.applications:MobileNetV2?alpha=0.35&classifier_activation=None", (32, 32, 3), 7).model
    assert (model.input_shape[1:], model.output_shape[1:]) == ((32, 32, 3), (7,))
    assert spec.build("keras.applications:MobileNet?classes=3", (32, 32, 3), 7).model.output_shape[1:] == (3,)
    with pytest.raises(UserError, match=r"Unknown network 'MobileNetV9' of Keras\. Expected one of: ConvNeXtBase"):
        spec.build("keras.applications:MobileNetV9", (32, 32, 3), 7)


def small_network(input_shape, classes, filters=4):
    image = keras.Input(input_shape)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(filters, 3)(image))
    return keras.Model(image, keras.layers.Dense(classes)(x))


def no_network(input_shape, classes):
    return input_shape, classes


def test_functions_of_ones_own():
    model = spec.build("tests.networks.spec_test:small_network?filters=6", (8, 8, 3), 5).model
    assert model.layers[1].filters == 6
    with pytest.raises(UserError, match=r"Module 'tests\.networks\.spec_test' has no function 'nothing'"):
        spec.build("tests.networks.spec_test:nothing", (8, 8, 3), 5)
    with pytest.raises(UserError, match=r"Module 'no_such_module' cannot be imported.*set PYTHONPATH"):
        spec.build("no_such_module:network", (8, 8, 3), 5)
    with pytest.raises(UserError, match=r"Expected 'tests.*:no_network' to return a Keras model\. Received: tuple"):
        spec.build("tests.networks.spec_test:no_network", (8, 8, 3), 5)


def text_network(path, input_shape, classes):
    assert path == "/a-b/c.d/weights.h5"
    return small_network(input_shape, classes)


cached_network = functools.lru_cache(small_network)


class Network:
    def __new__(cls, input_shape, classes):
        return small_network(input_shape, classes)


def any_network(**options):
    return small_network((8, 8, 3), **options)


@pytest.mark.parametrize(
    "name",
    ["text_network?path=/a-b/c.d/weights.h5", "cached_network", "Network", "any_network?classes=5&filters=3"],
)
def test_all_that_returns_a_model_when_it_is_called_and_any_text_for_it(name):
    model = spec.build(f"tests.networks.spec_test:{name}", (8, 8, 3), 5).model
    assert (model.input_shape, model.output_shape) == ((None, 8, 8, 3), (None, 5))


def test_weights_of_a_file_reach_a_network_of_keras(tmp_path):
    path = tmp_path / "mine.weights.h5"
    text = "keras.applications:MobileNet?alpha=0.25&weights="
    first = spec.build(f"{text}None", (32, 32, 3), 7).model
    first.save_weights(path)
    found = spec.build(f"{text}{path}", (32, 32, 3), 7)
    assert found.has_weights and found.pixels is None
    for one, other in zip(first.weights, found.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match=r"'keras\.applications:MobileNet\?weights=/no\.h5' cannot be built for"):
        spec.build("keras.applications:MobileNet?weights=/no.h5", (32, 32, 3), 7)


def test_weights_that_cannot_be_downloaded(monkeypatch):
    def offline(*_, **__):
        raise Exception("URL fetch failure on https://host/file.h5: None -- no route")  # as Keras does

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", offline)
    with pytest.raises(UserError, match=r"weights of 'keras.*' cannot be downloaded \(URL fetch .*weights=PATH"):
        spec.build("keras.applications:MobileNet?weights=imagenet", (224, 224, 3), 1000)


# From the documentation of each family's preprocess_input.
PIXELS = {
    "-1..1": "Inception MobileNet MobileNetV2 NASNet ResNet50V2 ResNet101V2 ResNet152V2 Xception",
    "0..255": "ConvNeXt EfficientNet MobileNetV3",
    "other": "DenseNet ResNet50 ResNet101 ResNet152 VGG",
}


def test_the_pixels_that_weights_of_keras_were_trained_on():
    families = {family: pixels for pixels, names in PIXELS.items() for family in names.split()}
    for name, builder in vars(keras.applications).items():
        if callable(builder):
            expected = families[max((family for family in families if name.startswith(family)), key=len)]
            assert spec._pixels(builder, {"weights": "imagenet"}) == expected, name
            assert spec._pixels(builder, {"weights": None}) is None


def test_weights_want_the_pixels_that_they_were_trained_on():
    spec.Built(None, pixels=None).check_trained("model.keras", "0..1")
    spec.Built(None, pixels="-1..1").check_trained("keras.applications:MobileNet", "-1..1")
    with pytest.raises(
        UserError, match=r"on pixels in the range -1\.\.1\. Rec.*=0\.\.255\. Set --input_range=-1\.\.1\."
    ):
        spec.Built(None, pixels="-1..1").check_trained("keras.applications:MobileNet", "0..255")
    with pytest.raises(UserError, match=r"that no --input_range \(0\.\.255.*a function of your own .*preprocess_input"):
        spec.Built(None, pixels="other").check_trained("keras.applications:VGG16", "0..255")


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_a_model_in_half_precision_computes_in_single_precision(policy, tmp_path):
    layers = keras.layers
    keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((8, 8, 3))
        inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(6, 3, name="conv")], name="inner")
        x = keras.ops.cast(layers.BatchNormalization(name="bn")(inner(image)) * 2, "float16")
        x = layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x))
        model = keras.Model(image, layers.Activation("softmax", dtype="float32")(x))
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "model.keras")
    built = spec.build(str(tmp_path / "model.keras"), (8, 8, 3), 4).model
    assert {layer.compute_dtype for layer in built.layers} == {"float32"}
    assert {weight.dtype for weight in built.weights} == {"float32"}
    images = nets.images(model)
    np.testing.assert_allclose(built(images), model(images), atol=0.02)
    for one, other in zip(built.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, np.asarray(other, "float32"))


class Twice(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_layers_of_ones_own_are_loaded_from_named_modules_only(tmp_path):
    image = keras.Input((8, 8, 3))
    path = str(tmp_path / "model.keras")
    keras.Model(image, Twice()(image)).save(path)
    with pytest.raises(UserError, match=r"needs 'Twice'.*--allow_custom_objects"):
        spec.build(path, (8, 8, 3), 5)
    loaded = spec.build(path, (8, 8, 3), 5, ["tests.networks.spec_test"]).model
    assert type(loaded.layers[1]).__name__ == "Twice"
