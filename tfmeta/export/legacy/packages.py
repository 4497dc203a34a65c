"""The only door to tf_keras and tensorflow-model-optimization (TFMOT)."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from tfmeta.errors import ExportError
from tfmeta.lazy import keras, tf

_LEGACY_SWITCH = "TF_USE_LEGACY_KERAS"


@functools.cache
def tf_keras() -> ModuleType:
    """Returns Keras 2.

    Raises:
        ExportError: it is not installed.
    """
    return _imported("tf_keras")


@functools.cache
def tfmot() -> ModuleType:
    """Returns tensorflow-model-optimization.

    Raises:
        ExportError: it is not installed.
    """
    return _imported("tensorflow_model_optimization")


def made(result: Any, call: str) -> Any:
    """Returns ``result``, the model that a call of TFMOT made.

    Raises:
        ExportError: it is no tf_keras model. TFMOT gives None, without a word, for what it does not know.
    """
    if not isinstance(result, tf_keras().Model):
        raise ExportError(
            f"Expected {call} of tensorflow-model-optimization to give a tf_keras model. Received: "
            f"{type(result).__name__}. It does not know this kind of network; export it with another scheme."
        )
    return result


def _imported(name: str) -> ModuleType:
    try:
        with _keras_3_stays():
            return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"Expected the package {name.replace('_', '-')} for this scheme. Received: {error}. Install it with "
            "pip install 'tfmeta[qat]', or choose schemes that need no training."
        ) from error


@contextlib.contextmanager
def _keras_3_stays() -> Iterator[None]:
    """Keeps TFMOT from making tf.keras mean Keras 2 for the whole process and for those that it starts."""
    before = os.environ.get(_LEGACY_SWITCH)
    _ = tf.keras.Model, keras.Model  # decided once, when first used
    try:
        yield
    finally:
        os.environ.pop(_LEGACY_SWITCH, None)
        if before is not None:
            os.environ[_LEGACY_SWITCH] = before
