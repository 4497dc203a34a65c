"""Accuracy of structures: right answers on the search split, of plain models with exact statistics."""

import dataclasses

import numpy as np
import pytest

from tests.supernet import digits
from tfmeta import training
from tfmeta.objectives import Objective
from tfmeta.objectives.accuracy import Accuracy
from tfmeta.supernet.evaluation import Evaluator


@pytest.fixture(scope="module")
def net():
    net = digits.net()
    training.fit(net, digits.splits(), dataclasses.replace(digits.OPTIONS, epochs=4))
    return net


@pytest.fixture(scope="module")
def splits():
    """The digits with a test split that no one may touch."""

    class Sealed:
        def __getattribute__(self, name):
            raise AssertionError("the test split was touched")

    whole = digits.splits()
    sealed = dataclasses.replace(whole)
    object.__setattr__(sealed, "test", Sealed())
    return sealed


@pytest.fixture(scope="module")
def structures(net):
    rng = np.random.default_rng(0)
    return [net.space.full(), net.space.smallest(), net.space.sample(rng)]


def test_is_the_accuracy_of_the_plain_models_on_the_search_split(net, splits, structures):
    objective = Accuracy(net, splits, calibration_images=300)
    assert isinstance(objective, Objective)
    assert not objective.minimize and not objective.closed_form
    images, _ = splits.train.sample(300, 0)
    plain = [Evaluator(net).plain_model(s, training.batches_of(images, 250)) for s in structures]
    values = objective(structures)
    # One image more or less: folding may round a tie the other way.
    np.testing.assert_allclose(
        values, [training.evaluate(m, splits.search) for m in plain], atol=1.5 / splits.search.size
    )
    assert values[0] > 0.5 > 1.5 * 0.1  # it learned something: chance is a tenth


def test_gives_the_same_again_and_for_any_size_of_batch(net, splits, structures):
    first = Accuracy(net, splits, calibration_images=40, batch_size=50)
    assert first(structures) == first(structures)
    # The 40 images for the statistics come in one batch each time.
    for size in (64, 1000):
        np.testing.assert_allclose(
            Accuracy(net, splits, calibration_images=40, batch_size=size)(structures), first(structures), atol=1e-12
        )
    assert first([]) == []


def test_reads_large_splits_anew_and_gives_the_same(net, splits, structures, monkeypatch):
    kept = Accuracy(net, splits, calibration_images=100)(structures)
    monkeypatch.setattr("tfmeta.objectives.accuracy._KEEP_BYTES", 0)
    assert Accuracy(net, splits, calibration_images=100)(structures) == kept
