"""Progress tells where training is and stops it when the loss breaks; checkpoints are whole or not there."""

import math

import keras
import numpy as np
import pytest

from tests import nets
from tests.supernet import making
from tfmeta.callbacks import Checkpoint, Progress
from tfmeta.errors import TrainingError


@pytest.fixture
def net():
    net = making.pruning_net(nets.tiny("plain"))
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return net


def fit(net, *callbacks, epochs=1):
    images = nets.images(nets.tiny("plain"), 12)
    net.fit(images, np.arange(12) % 4, batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks))


def test_progress_ends_at_all_steps_with_the_values_of_the_last_epoch(net, capsys):
    fit(net, Progress("Training it", 2, 3, 0), epochs=2)
    last = capsys.readouterr().err.replace("\r", "\n").splitlines()[-1]
    assert last.startswith("Training it: 100%") and "6/6" in last and "epoch 2/2" in last and "loss" in last


def test_progress_of_resumed_training_starts_where_it_was(net, capsys):
    progress = Progress("Training it", 4, 3, 3)
    progress.set_model(net)
    progress.on_train_begin()
    progress.on_train_end()
    assert "75%" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_training_at_once_and_says_where(net):
    net.compile("sgd", lambda labels, outputs: outputs * math.nan)
    with pytest.raises(TrainingError, match=r"The loss is nan at step 1\. .*look for broken images or labels"):
        fit(net, Progress("Training it", 1, 3, 0))


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(net, tmp_path, monkeypatch):
    path = tmp_path / "net.weights.h5"
    callback = Checkpoint(path)
    callback.set_model(net)
    callback.on_epoch_end(0)
    before = path.read_bytes()

    def full_disk(place):
        place.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(net, "save_weights", full_disk)
    with pytest.raises(OSError, match="No space left"):
        callback.on_epoch_end(1)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_says_how_many_epochs_are_done(net, tmp_path):
    path = tmp_path / "net.weights.h5"
    callback = Checkpoint(path)
    callback.set_model(net)
    callback.on_epoch_end(2)
    other = making.pruning_net(nets.tiny("plain"))
    other.load_weights(path)
    assert int(other.epochs) == 3
