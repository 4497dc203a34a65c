"""PruningNet equals plain models of its structures, computes no more than they do, and learns only where they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import nets
from tests.supernet import making
from tfmeta.errors import GraphError, SpaceError, UserError
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.prune import prune
from tfmeta.supernet import layer_functions
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.pruning_net import PruningNet

SMALL = (*nets.TINY, *nets.ODD)


@pytest.mark.parametrize("name", SMALL)
def test_equals_a_plain_model_with_the_generated_and_cropped_kernels(name):
    net = making.shared(name)
    images = nets.images(nets.tiny(name), 16)
    for structure in making.structures(net):
        plain = making.plain_model(net, structure)
        making.assert_near(net(images, net.widths(structure)), plain(images, training=True), 1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_a_warm_start_begins_as_the_pruned_model_of_every_structure(name):
    model = making.without_dropout(nets.tiny(name))
    net = making.pruning_net(model)
    net.warm_start(model)
    images = nets.images(model, 16)
    for structure in making.structures(net):
        pruned = prune(model, structure)
        making.assert_near(net(images, net.widths(structure)), pruned(images, training=True), 1e-5)


def test_a_warm_start_needs_a_place_for_all_weights():
    model = nets.tiny("plain")
    net = PruningNet(ChannelGraph.from_model(model), options=PruningNetOptions(affine=False))
    with pytest.raises(UserError, match="Expected a PruningNet whose batch normalisations have scale and offset"):
        net.warm_start(model)


def test_equals_a_plain_model_where_channels_of_the_image_are_joined_to_others():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Concatenate()([image, keras.layers.Conv2D(6, 3, padding="same", name="first")(image)])
    x = keras.layers.Conv2D(8, 3, name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    _assert_equal(keras.Model(image, keras.layers.Dense(4, name="logits")(x)))


def test_equals_a_plain_model_with_groups_and_dilation():
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="first")(image)
    x = keras.layers.Conv2D(8, 3, groups=2, dilation_rate=2, name="second")(x)
    x = keras.layers.BatchNormalization(scale=False, name="norm")(x)
    x = keras.layers.DepthwiseConv2D((3, 2), dilation_rate=(2, 3), padding="same", name="third")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.BatchNormalization(center=False, name="flat_norm")(x)
    _assert_equal(keras.Model(image, keras.layers.Dense(4, name="logits")(x)))


def test_equals_a_plain_model_with_statistics_of_the_pixels():
    image = keras.Input((8, 8, 3))
    adapted = keras.layers.Normalization(name="pixels")
    x = keras.layers.Conv2D(6, 3, name="first")(adapted(image))
    model = keras.Model(image, keras.layers.Dense(4, name="logits")(keras.layers.Flatten()(x)))
    adapted.adapt(np.random.default_rng(0).uniform(0, 255, (20, 8, 8, 3)))
    _assert_equal(model)


def _assert_equal(model):
    net = making.pruning_net(model)
    images = np.random.default_rng(1).uniform(-1, 1, (16, *model.input.shape[1:])).astype("float32")
    for structure in making.structures(net):
        plain = making.plain_model(net, structure)
        making.assert_near(net(images, net.widths(structure)), plain(images, training=True), 1e-5)


def test_the_net_of_a_sequential_model_and_of_one_without_searchable_groups_works():
    layers = [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(4, name="logits")]
    net = making.pruning_net(keras.Sequential(layers))
    images = np.ones((2, 4, 4, 3), "float32")
    np.testing.assert_array_equal(net(images, training=True), net(images, net.widths(Structure(()))))


@pytest.mark.parametrize("name", [*SMALL, "mobilenet_v1", "resnet"])
def test_computes_only_what_the_structure_needs(name, monkeypatch):
    net = making.shared(name)
    done = []

    def recording(node, inputs, weights):
        outputs = apply(node, inputs, weights)
        # Every tap of a kernel is one multiply-add at each place of the output, grouped or not.
        done.append(np.prod(weights["kernel"].shape) * np.prod(outputs.shape[1:-1]))
        return outputs

    apply = layer_functions.apply_layer
    monkeypatch.setattr(layer_functions, "apply_layer", recording)
    for structure in making.structures(net, 2):
        done.clear()
        net(nets.images(nets.any_net(name), 1), net.widths(structure))
        assert sum(done) == cost.macs(net.graph, structure)


@pytest.mark.parametrize("name", SMALL)
def test_channels_outside_the_structure_do_not_learn(name):
    net = making.shared(name)
    structure = making.structures(net)[0]
    mask = net.graph.kept(structure)
    nodes = {node.layer: node for node in net.graph.nodes}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(net(nets.images(nets.tiny(name), 8), net.widths(structure)) ** 2)
    generators = [layer for layer in net.layers if getattr(layer, "generators", None)]
    assert generators
    gradients = tape.gradient(loss, [layer.generators["kernel"].output_bias for layer in generators])
    for layer, gradient in zip(generators, gradients, strict=True):
        node = nodes[layer.name]
        gradient = np.reshape(gradient, node.weights["kernel"])
        inside = net.graph.cropped(node, "kernel", gradient, mask)
        assert np.count_nonzero(gradient) == np.count_nonzero(inside) > 0


def test_pointwise_convolutions_take_their_stride_first():
    # oneDNN's gradient of a strided 1x1 kernel corrupts memory with few channels and an odd batch (TensorFlow 2.21).
    net = making.shared("residual")
    images = tf.TensorSpec([None, *nets.IMAGE])
    graph = tf.function(net, input_signature=[images], autograph=False).get_concrete_function().graph
    strides = {
        tuple(op.get_attr("strides")) for op in graph.get_operations() if op.type == "Conv2D" and _taps(op) == [1, 1]
    }
    assert strides == {(1, 1, 1, 1)}
    assert any(op.type == "Conv2D" and op.get_attr("strides")[1] == 2 for op in graph.get_operations())


def _taps(convolution):
    return convolution.inputs[1].shape[:2].as_list()


def test_generated_kernels_depend_on_the_widths_and_not_in_a_straight_line():
    # The chance that none of 64 random units bends between the narrowest and the full width is below 1 in 10,000.
    keras.utils.set_random_seed(0)
    net = PruningNet(ChannelGraph.from_model(nets.tiny("plain")), options=PruningNetOptions(hidden=64))
    generator = next(layer for layer in net.layers if layer.name == "conv1").generators["kernel"]
    widths = np.array([[2, 4, 3], [4, 4, 3], [6, 4, 3]], np.int32)  # conv1 sees the first one
    low, middle, high = (generator(row).numpy() for row in widths)
    assert np.abs(high - low).max() > 0
    assert np.abs((high - middle) - (middle - low)).max() > 1e-4 * np.abs(high - low).max()


def test_one_trace_serves_every_structure_and_batch_size():
    class Counting(PruningNet):
        traces = 0

        def forward(self, *args, **kwargs):
            Counting.traces += 1
            return super().forward(*args, **kwargs)

    net = making.pruning_net(nets.tiny("residual"), kind=Counting)
    images, labels = nets.images(nets.tiny("residual"), 40), np.arange(40) % 4
    call = tf.function(
        net, input_signature=[tf.TensorSpec([None, *nets.IMAGE]), tf.TensorSpec([len(net.space.sizes)], tf.int32)]
    )
    for structure in making.structures(net):
        call(tf.constant(images), net.widths(structure))
    assert Counting.traces == 1
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(12)  # the last batch is smaller
    net.fit(data, verbose=0)
    once = Counting.traces
    net.fit(data, epochs=9, verbose=0)
    assert Counting.traces == once <= 3  # `fit` may look at shapes first, then traces its step
    assert {weight.name: int(weight) for weight in net.non_trainable_weights}["draws"] == 10 * 4


def test_without_widths_it_is_the_full_network_and_in_training_a_drawn_one():
    net = making.pruning_net(nets.tiny("plain"))
    images = nets.images(nets.tiny("plain"), 4)
    np.testing.assert_array_equal(net(images), net(images, net.widths(net.space.full())))
    first, second = net(images, training=True), net(images, training=True)
    assert np.abs(first - second).max() > 0
    np.testing.assert_array_equal(net(images), net(images, net.widths(net.space.full())))


def test_dropout_and_augmentation_work_in_training_only():
    image = keras.Input((8, 8, 3))
    x = keras.layers.RandomFlip(name="flip")(image)
    x = keras.layers.Conv2D(8, 3, name="first")(x)
    x = keras.layers.Dropout(0.5, name="drop")(keras.layers.Flatten()(x))
    net = making.pruning_net(keras.Model(image, keras.layers.Dense(4, name="logits")(x)))
    images, widths = np.random.default_rng(0).random((8, 8, 8, 3), "float32"), net.widths(net.space.full())
    np.testing.assert_array_equal(net(images, widths), net(images, widths))
    assert np.abs(net(images, widths, training=True) - net(images, widths, training=True)).max() > 0.01


def test_regularizers_count_what_the_structure_keeps():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, kernel_regularizer=keras.regularizers.L2(0.5), name="first")(image)
    x = keras.layers.DepthwiseConv2D(3, depthwise_regularizer="l1", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    net = making.pruning_net(keras.Model(image, keras.layers.Dense(4, bias_regularizer="l2", name="logits")(x)))
    structure = net.space.smallest()
    images, labels = np.ones((2, 8, 8, 3), "float32"), np.zeros(2)
    outputs = net(images, net.widths(structure))
    plain = making.plain_model(net, structure)
    np.testing.assert_allclose(sum(net.losses), sum(plain.losses), rtol=1e-5)
    assert len(net.losses) == 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile("sgd", loss)
    np.testing.assert_allclose(
        net.compute_loss(images, labels, outputs), loss(labels, outputs) + sum(plain.losses), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("kernel_constraint", "max_norm"), ("activity_regularizer", "l2"), ("bias_constraint", "non_neg")],
)
def test_refuses_what_generated_weights_cannot_keep(option, value):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(6, 3, name="strict", **{option: value})(image))
    with pytest.raises(GraphError, match=f"'strict' .Conv2D. has the option {option}.*Build the model without it"):
        making.pruning_net(keras.Model(image, keras.layers.Dense(4)(x))).compile("sgd", "mse")


def test_refuses_several_inputs_or_outputs():
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(6, 3)(keras.layers.Add()([first, second])))
    with pytest.raises(GraphError, match=r"has 2 inputs and 1 outputs\. Expected one of each"):
        making.pruning_net(keras.Model([first, second], keras.layers.Dense(4)(x)))


def test_refuses_the_space_of_another_graph_and_wrong_widths():
    graph = ChannelGraph.from_model(nets.tiny("plain"))
    other = SearchSpace.from_graph(ChannelGraph.from_model(nets.tiny("concat")))
    with pytest.raises(SpaceError, match="does not belong to the graph of 'plain'"):
        PruningNet(graph, other)
    net = making.shared("plain")
    images = nets.images(nets.tiny("plain"), 2)
    with pytest.raises(SpaceError, match=r"Expected widths of shape \(3,\), received \(2,\)"):
        net(images, np.array([3, 4]))
    with pytest.raises(SpaceError, match="Expected widths for the 3 searchable groups"):
        net.widths(Structure((3, 4)))
    with pytest.raises(SpaceError, match="has 6 channels, received 7"):
        net.widths(Structure((7, 4, 3)))


def test_cannot_be_saved_whole_and_says_what_can(tmp_path):
    with pytest.raises(NotImplementedError, match=r"Save its weights \(save_weights"):
        making.shared("plain").save(tmp_path / "net.keras")


def test_options_are_checked_and_looked_up_by_layer():
    with pytest.raises(ValueError, match="at least 1 hidden unit, received hidden=0"):
        PruningNetOptions(hidden=0)
    options = PruningNetOptions(
        hidden={"conv1": 5, "conv2": 7}, encodings={"conv1": ("conv1",)}, affine={"conv1_bn": True}
    )
    net = PruningNet(ChannelGraph.from_model(nets.tiny("plain")), options=options)
    weights = {layer.name: {weight.name for weight in layer.weights} for layer in net.layers}
    assert weights["conv1"] == {"bias", "hidden_kernel", "hidden_bias", "output_kernel", "output_bias"}
    assert weights["conv2"] == {"kernel"}  # no encoding: an ordinary kernel
    assert weights["conv1_bn"] == {"gamma", "beta"}
    assert weights["conv2_bn"] == set()
    # 1 → 5 → 3 * 3 * 3 * 6
    assert net.hypernetwork_params() == 5 + 5 + 5 * 162 + 162
