"""Weights on disk: whole, or as they were before."""

import numpy as np
import pytest

from tests import projects
from tfmeta import checkpoint
from tfmeta.lazy import keras


@pytest.fixture(scope="module")
def model():
    model = projects.small_model()
    model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_what_is_saved_is_loaded(model, tmp_path):
    path = tmp_path / "a/b.weights.h5"
    checkpoint.save_weights(model, path)
    other = projects.small_model()
    other.load_weights(path)
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_enough_room_is_asked_for(model, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(checkpoint.os, "posix_fallocate", lambda file, start, size: asked.append(size))
    checkpoint.save_weights(model, tmp_path / "a.weights.h5")
    size = (tmp_path / "a.weights.h5").stat().st_size
    assert size <= asked[0] <= 2 * size + 2**20


def test_without_room_the_older_file_stays(model, tmp_path, monkeypatch):
    path = tmp_path / "a.weights.h5"
    path.write_text("older")

    def full(file, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        checkpoint.save_weights(model, path)
    assert error.value.filename == str(path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]
