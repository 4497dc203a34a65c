"""Laws of all network families."""

import functools

import numpy as np
import pytest

from tests import nets
from tfmeta import ChannelGraph
from tfmeta.errors import UserError
from tfmeta.lazy import keras
from tfmeta.networks import NETWORKS, parts
from tfmeta.networks.fcn import fcn
from tfmeta.networks.mobilenet_v1 import mobilenet_v1
from tfmeta.networks.mobilenet_v2 import mobilenet_v2
from tfmeta.networks.resnet import resnet
from tfmeta.networks.resnet50 import resnet50
from tfmeta.networks.unet import unet
from tfmeta.networks.vgg import vgg
from tfmeta.registry import resolve

OF_PIXELS = ("fcn", "unet")  # those whose answer is a class for each pixel
each_network = pytest.mark.parametrize("name", NETWORKS)


@functools.cache
def _graph(name, shape, width):
    return ChannelGraph.from_model(resolve(NETWORKS, name, "network")(shape, 10, width))


@each_network
def test_raw_images_go_in_and_logits_come_out(name):
    model = resolve(NETWORKS, name, "network")((32, 32, 3), 7, 0.25)
    assert [tensor.name for tensor in model.inputs] == ["image"]
    assert model.output_shape == ((None, 32, 32, 7) if name in OF_PIXELS else (None, 7))
    assert model.layers[-1].name == "logits"
    assert getattr(model.layers[-1], "activation", keras.activations.linear) is keras.activations.linear
    rescaled = model.get_layer("rescale")(np.array([[[[0.0, 127.5, 255.0]]]], "float32"))
    np.testing.assert_allclose(rescaled, [[[[-1, 0, 1]]]], atol=1e-6)
    assert np.isfinite(model(np.full((2, 32, 32, 3), 255.0, "float32"))).all()


@each_network
def test_names_are_the_same_in_every_build(name):
    first = _graph(name, (32, 32, 3), 0.5)
    second = ChannelGraph.from_model(resolve(NETWORKS, name, "network")((32, 32, 3), 10, 0.5))
    assert [node.name for node in first.nodes] == [node.name for node in second.nodes]
    assert first.fingerprint == second.fingerprint


@each_network
def test_the_groups_do_not_depend_on_image_size_or_width(name):
    # Those that answer for each pixel halve their maps and double them again, as often as they are asked to.
    sizes = [(16, 1), (96, 48, 3)] if name in OF_PIXELS else [(8, 1), (96, 70, 3)]
    settings = [((32, 32, 3), 0.5), ((sizes[0][0], *sizes[0]), 0.5), (sizes[1], 0.25)]
    graphs = [_graph(name, shape, width) for shape, width in settings]
    first, *others = [[(group.name, group.producers, group.pinned) for group in graph.groups] for graph in graphs]
    assert others == [first, first]


@each_network
def test_widths_are_scaled_and_rounded_to_eight(name):
    full, half = _graph(name, (32, 32, 3), 1.0), _graph(name, (32, 32, 3), 0.5)
    for before, after in zip(full.searchable, half.searchable, strict=True):
        if name == "mobilenet_v2" and ("expand" in after.name or after.name == "head_conv"):
            continue  # six times the scaled input; the head does not shrink
        assert after.size % 8 == 0
        assert abs(after.size - before.size / 2) <= 4 or after.size == 8


@each_network
def test_batch_norm_has_the_values_of_the_papers_recipes(name):
    model = nets.FAMILIES[name]()
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}
    # Batch norm has the shift, so that no convolution needs a bias.
    assert not any(
        getattr(layer, "use_bias", False) for layer in model.layers if not layer.name.startswith(("logits", "score"))
    )


@pytest.mark.parametrize(
    ("size", "small", "expected"),
    [
        # 32 / 2 / 2 / 2 = 4: the fourth halving is left out.
        (32, True, (2, 1, 2, 2, 1)),
        (64, True, (2, 1, 2, 2, 2)),
        (8, True, (2, 1, 1, 1, 1)),
        (4, True, (1, 1, 1, 1, 1)),
        (8, False, (2, 1, 2, 2, 2)),
    ],
)
def test_small_images_are_halved_while_four_pixels_remain(size, small, expected):
    assert parts.fitting_strides(size, (2, 1, 2, 2, 2), small) == expected


def _map_sizes(model):
    return [layer.output.shape[1] for layer in model.layers if layer.name.endswith("_conv")]


def test_mobilenet_v1_strides():
    # Stem, then a depthwise and a pointwise convolution in each of 13 blocks.
    imagenet = [112, 112, 112, 56, 56, 56, 56, 28, 28, 28, 28, *[14] * 12, *[7] * 4]
    assert _map_sizes(mobilenet_v1((224, 224, 3), 10, 0.25)) == imagenet
    cifar = [32, 32, 32, 16, 16, 16, 16, 8, 8, 8, 8, *[4] * 16]
    assert _map_sizes(mobilenet_v1((32, 32, 3), 10, 0.25)) == cifar
    assert _map_sizes(mobilenet_v1((32, 32, 3), 10, 0.25, small_images=False))[-1] == 1


def test_fewer_blocks_leave_out_those_that_are_alike():
    graph = ChannelGraph.from_model(mobilenet_v1((32, 32, 3), 10, blocks=9))
    widths = [group.size for group in graph.searchable]
    assert widths == [32, 64, 128, 128, 256, 256, 512, 512, 1024, 1024]
    for blocks in (7, 14):
        with pytest.raises(UserError, match=f"MobileNetV1 has 8 to 13 blocks, received {blocks}"):
            mobilenet_v1((32, 32, 3), 10, blocks=blocks)


# Parameter counts as published: 4.2 M, 3.5 M and 25.6 M (with batch-norm statistics, 1000 classes).
@pytest.mark.parametrize(
    ("build", "same"),
    [(mobilenet_v1, "MobileNet"), (mobilenet_v2, "MobileNetV2"), (resnet50, "ResNet50")],
)
def test_as_many_parameters_as_keras_applications(build, same):
    reference = getattr(keras.applications, same)(input_shape=(224, 224, 3), weights=None)
    ours = build((224, 224, 3), 1000)
    biases = 0
    if same == "ResNet50":  # Keras' convolutions have biases, which batch norm makes superfluous
        biases = sum(
            layer.bias.shape[0]
            for layer in reference.layers
            if isinstance(layer, keras.layers.Conv2D) and layer.use_bias
        )
    assert ours.count_params() == reference.count_params() - biases


@pytest.mark.parametrize(("depth", "convolutions"), [(8, 7 + 2), (14, 13 + 2), (20, 19 + 2)])
def test_a_small_resnet_has_as_many_layers_as_it_says(depth, convolutions):
    # 6n + 2 layers: 6n + 1 convolutions and one dense layer, besides two projections on shortcuts.
    model = resnet((32, 32, 3), 10, depth=depth)
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers) == convolutions


def test_depths_that_do_not_exist_are_told():
    with pytest.raises(UserError, match=r"6n \+ 2 layers .*received 18"):
        resnet((32, 32, 3), 10, depth=18)
    with pytest.raises(UserError, match="VGG has a depth of 11, 13, 16, 19, received 12"):
        vgg((32, 32, 3), 10, depth=12)


@pytest.mark.parametrize("build", [unet, fcn])
def test_images_that_cannot_be_halved_are_told(build):
    with pytest.raises(UserError, match=r"sides are multiples of 8, received 32x28\. Set --image_size"):
        build((32, 28, 1), 3, 0.5, **{"levels" if build is unet else "stages": 3})
    with pytest.raises(UserError, match=r"halves its maps 0 times .*once at least"):
        build((32, 32, 1), 3, 0.5, **{"levels" if build is unet else "stages": 0})


@pytest.mark.parametrize("transpose", [True, False])
def test_a_unet_grows_its_maps_with_and_without_transposed_convolutions(transpose):
    model = unet((16, 16, 1), 3, 0.5, levels=2, transpose=transpose)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert ("Conv2DTranspose" in kinds, "UpSampling2D" in kinds) == (transpose, not transpose)
    assert model.output_shape == (None, 16, 16, 3)
    # What comes down beside a map as large as it is: two joins of equal halves.
    joins = [layer for layer in model.layers if type(layer).__name__ == "Concatenate"]
    assert [layer.output.shape[1:] for layer in joins] == [(8, 8, 32), (16, 16, 16)]
