"""Pruned models: they compute what the original computes without the dropped channels, and need no tfmeta."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests import nets, reference
from tfmeta import ChannelGraph, Selection, Structure, prune
from tfmeta.errors import GraphError, SpaceError
from tfmeta.lazy import keras


# The first of the central laws, over every network and random structures and selections.
@pytest.mark.parametrize("name", nets.ALL)
def test_pruned_equals_the_original_with_the_dropped_channels_zeroed(name):
    for case in nets.pruned(name):
        model, small = case.model, case.small
        if (
            name in nets.FAMILIES
        ):  # in single precision, so many layers with random weights make errors of rounding large
            model = nets.in_double_precision(name)
            small = prune(model, case.choice)
        images = nets.colours(model)
        dropped = reference.dropped(case.graph, case.choice)
        with reference.zeroed(case.graph, model, dropped):
            expected = np.asarray(model(images, training=False))
        found = np.asarray(small(images, training=False))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        if dropped:  # and so the channels that were dropped did count
            assert np.abs(np.asarray(model(images, training=False)) - expected).max() > 1e-4


@pytest.mark.parametrize("name", nets.ALL)
def test_every_pruned_axis_has_the_chosen_width(name):
    for case in nets.pruned(name):
        names, small = [group.name for group in case.graph.searchable], ChannelGraph.from_model(case.small)
        if min(case.structure.widths) > 1:  # else a convolution with groups may have become an ordinary one
            found = [(group.name, group.size) for group in small.searchable]
            assert found == list(zip(names, case.structure.widths, strict=True))
        assert case.small.output_shape == case.model.output_shape
        assert [layer.name for layer in case.small.layers] == [layer.name for layer in case.model.layers]


def test_the_original_is_only_read():
    model = nets.tiny("residual")
    before = [np.array(weight) for weight in model.weights]
    prune(model, Structure((1, 1, 1, 1)))
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, weight)


def test_pruning_to_the_full_width_copies_the_model():
    model = nets.tiny("squeeze_excite")
    copy = prune(model, Structure((8, 3, 6)))
    for old, new in zip(model.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(old, new)
        assert old is not new


def test_pruning_goes_on_from_a_pruned_model():
    model = nets.tiny("plain")
    images = nets.images(model)
    once = prune(model, Structure((2, 3, 4)))
    twice = prune(prune(model, Structure((4, 5, 4))), Structure((2, 3, 4)))
    np.testing.assert_allclose(once(images), twice(images), rtol=1e-6)


def test_a_sequential_model_is_pruned_too():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3, name="conv"), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(4, name="logits")])
    small = prune(model, Selection(((1, 4),)))
    kernel = np.asarray(model.get_layer("logits").kernel).reshape(36, 6, 4)
    np.testing.assert_array_equal(small.get_layer("conv").kernel, np.asarray(model.layers[0].kernel)[..., [1, 4]])
    np.testing.assert_array_equal(small.get_layer("logits").kernel, kernel[:, [1, 4]].reshape(72, 4))


def test_frozen_layers_stay_frozen():
    model = nets.TINY["plain"]()
    model.get_layer("conv1").trainable = False
    assert not prune(model, Structure((2, 3, 4))).get_layer("conv1").trainable


def test_choices_that_do_not_fit_are_refused():
    model = nets.tiny("plain")
    with pytest.raises(SpaceError, match="Group 'conv2' has 8 channels, received 9"):
        prune(model, Structure((6, 9, 5)))
    with pytest.raises(SpaceError, match="3 searchable groups of 'plain', received 1"):
        prune(model, Structure((6,)))
    with pytest.raises(GraphError, match="Expected a Keras model, received str"):
        prune("plain", Structure((6,)))


_ELSEWHERE = """
import pathlib, sys
import numpy as np
sys.modules["tfmeta"] = None  # as if it were not installed
try:
    import tfmeta
except ImportError:
    pass
else:
    raise SystemExit("tfmeta can be imported")
import keras, tensorflow as tf
for path in sorted(pathlib.Path(".").glob("*.keras")):
    data = np.load(path.with_suffix(".npz"))
    model = keras.saving.load_model(path)
    np.testing.assert_allclose(model(data["images"], training=False), data["outputs"], rtol=1e-5, atol=1e-5)
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    path.with_suffix(".tflite").write_bytes(content)
"""


def test_a_pruned_model_is_saved_loaded_and_converted_without_tfmeta(tmp_path):
    names = (*nets.TINY, "shared_layer", "mobilenet_v1")
    for name in names:
        case = nets.pruned(name)[1]  # a selection
        images = nets.images(case.model)
        case.small.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", images=images, outputs=np.asarray(case.small(images, training=False)))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", _ELSEWHERE]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in names:
        _check_tflite(tmp_path / f"{name}.tflite", np.load(tmp_path / f"{name}.npz"))


def _check_tflite(path, data):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], data["images"].shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], data["images"])
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(target["index"]), data["outputs"], rtol=1e-4, atol=1e-4)
