"""The door to tf_keras and TFMOT: what it says when they are absent, and what it does not let through."""

from __future__ import annotations

import os
import sys

import pytest

from tfmeta.errors import ExportError
from tfmeta.export.legacy import packages
from tfmeta.lazy import keras, tf


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    with pytest.raises(ExportError, match=r"tensorflow-model-optimization.*pip install 'tfmeta\[qat\]'"):
        packages._imported("tensorflow_model_optimization")


def test_keras_3_stays_what_tf_keras_means():
    packages.tfmot()
    assert tf.keras.version() == keras.version()
    assert "TF_USE_LEGACY_KERAS" not in os.environ


def test_nothing_is_not_let_through():
    with pytest.raises(ExportError, match=r"Expected cluster_weights of .* Received: NoneType"):
        packages.made(None, "cluster_weights")


def test_tfmot_gives_nothing_for_a_keras_3_model():
    # The reason for the test above: no error, no warning.
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert packages.tfmot().clustering.keras.cluster_weights(model, 2) is None
