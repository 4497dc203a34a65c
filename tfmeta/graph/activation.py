"""What an activation does to channels, found by trying it: one of Keras', a function of one's own, a layer as one."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.graph.calls import Shape
from tfmeta.lazy import keras

# Places along axes without channels that are tried: fewer than a feature map has, and enough to tell.
_PLACES = 4


@dataclass(frozen=True)
class Tried:
    """What an activation was found to do.

    Attributes:
        has_weights: it is a layer with weights.
        keeps_shape: it gives as many numbers as it gets.
        apart: channels do not change what comes of other channels.
    """

    has_weights: bool
    keeps_shape: bool
    apart: bool


def name_of(activation: Any) -> str:
    """Returns what an activation is called, as it stands in a layer's options."""
    if isinstance(activation, str):
        return activation
    if isinstance(activation, Mapping):
        return str(activation.get("class_name"))
    name = getattr(activation, "__qualname__", None)
    return f"{activation.__module__}.{name}" if name else type(activation).__name__


def try_out(activation: Any, shape: Shape, axis: int) -> Tried:
    """Returns what an activation does to channels that lie along an axis.

    Args:
        activation: a name, a function, or a layer, or what Keras writes down for one.
        shape: shape of what it gets, without the batch; unknown sizes are None.
        axis: the axis of the channels.
    """
    axis %= len(shape)
    small = tuple(size if place == axis and size else min(size or 3, _PLACES) for place, size in enumerate(shape))
    return _tried(_key(activation), small, axis)


@functools.lru_cache(maxsize=256)
def is_called(function: Any, name: str) -> bool:
    """Returns whether a function computes what Keras' activation of this name does."""
    known = keras.activations.get(name)
    if function is known:
        return True
    given = np.linspace(-9, 9, 48, dtype="float32").reshape(1, 2, 4, 6)
    found, expected = _of(function, given), _of(known, given)
    return found is not None and expected is not None and np.array_equal(found, expected)


def gives_probabilities(activation: Any) -> bool:
    """Returns whether an activation makes numbers that are not negative and add up to 1 along the last axis."""
    return activation is not None and _gives_probabilities(_key(activation))


def _key(activation: Any) -> Any:
    return _Written(json.dumps(activation)) if isinstance(activation, Mapping) else activation


class _Written(str):
    """A layer as text, so that what was found of it can be remembered."""


def _function(key: Any) -> Callable[[Any], Any]:
    """The function, or a layer that trying may build."""
    if isinstance(key, keras.layers.Layer):
        return type(key).from_config(key.get_config())
    return keras.activations.get(json.loads(key) if isinstance(key, _Written) else key)


@functools.lru_cache(maxsize=256)
def _tried(key: Any, shape: tuple[int, ...], axis: int) -> Tried:
    function = _function(key)
    given = np.random.default_rng(0).normal(0, 2, (2, *shape)).astype("float32")
    whole = _of(function, given)
    has_weights = bool(getattr(function, "weights", ()))
    if whole is None:  # what cannot be tried here must not be taken apart
        return Tried(has_weights, keeps_shape=True, apart=False)
    if has_weights or whole.shape != given.shape:
        return Tried(has_weights, whole.shape == given.shape, apart=False)
    some = (slice(0, 1), slice(0, None, 2), slice(1, None, 2))
    return Tried(False, True, all(_alone(function, given, whole, part, axis + 1) for part in some))


def _alone(function: Any, given: np.ndarray, whole: np.ndarray, part: slice, axis: int) -> bool:
    """Whether some channels alone give what they give among the others."""
    places = (slice(None),) * axis + (part,)
    if not given[places].size:
        return True
    found, expected = _of(function, given[places]), whole[places]
    if found is None or found.shape != expected.shape:
        return False
    return np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def _of(function: Any, given: np.ndarray) -> np.ndarray | None:
    """What a function gives for an array; None where it takes none of this shape."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of softmax over one channel
            return np.asarray(function(keras.ops.convert_to_tensor(given)))
    except Exception:  # whatever the code of others may raise
        return None


@functools.lru_cache(maxsize=256)
def _gives_probabilities(key: Any) -> bool:
    found = _of(_function(key), np.random.default_rng(0).normal(0, 2, (3, 5)).astype("float32"))
    if found is None or found.shape != (3, 5):
        return False
    return bool((found >= 0).all() and np.allclose(found.sum(-1), 1, atol=1e-3))
