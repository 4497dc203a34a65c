"""Which layers of a .tflite file compute something else than those of its Keras model.

The converter fuses layers, and names each tensor after those whose work is in it. A tensor is held against what every
one of these layers gives, and counts as the one that it is nearest to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tfmeta.export import converter, flatbuffer, litert
from tfmeta.lazy import keras

if TYPE_CHECKING:
    from keras import KerasTensor

_SAMPLES = 8  # enough to tell the layers apart; each is run without XNNPACK
_WRAPPED = "quant_"  # before the name of a layer that learned to be quantized


@dataclass(frozen=True)
class LayerError:
    """How far one layer's output is off in the file: relative, 0 is equal and 1 is as wrong as zeros would be.

    Attributes:
        layer: name of the Keras layer.
        operator: the TFLite operator that does its work.
        error: of its output.
        input_error: of what it reads: what layers before it did already.
    """

    layer: str
    operator: str
    error: float
    input_error: float

    @property
    def added(self) -> float:
        """What this layer itself adds to the error."""
        return self.error - self.input_error

    def __str__(self) -> str:
        return f"{self.layer!r} ({self.operator}: error {self.input_error:.1%} before it, {self.error:.1%} after it)"


def layer_errors(path: str | os.PathLike[str], model: keras.Model, samples: np.ndarray) -> tuple[LayerError, ...]:
    """Returns the layers of the file at ``path``, those that add most to the error first.

    Layers inside a model inside ``model`` cannot be told apart and are left out.

    Args:
        path: a .tflite file that was made of ``model``.
        model: the Keras model, or that of tf_keras after quantization-aware training.
        samples: `[N, H, W, C]` float32; a few of them are used.

    Raises:
        ExportError: the file cannot be run.
    """
    contents, samples = flatbuffer.read(path), samples[:_SAMPLES]
    given = {name: output for name, (_, output) in converter.layer_tensors(model).items()}
    candidates = _candidates(contents, model, given)
    wanted = sorted(set().union(*candidates.values())) if candidates else []
    if not wanted:
        return ()
    answers = converter.tapped(model, [given[name] for name in wanted])(samples, training=False)
    expected = {name: _rows(keras.ops.convert_to_numpy(value)) for name, value in zip(wanted, answers, strict=True)}
    received = litert.tensors(path, samples, list(candidates))
    nearest: dict[int, tuple[float, str]] = {}
    for (index, names), values in zip(candidates.items(), received, strict=True):
        errors = [
            (_relative(expected[name], _rows(values)), name)
            for name in names
            if expected[name].shape == _rows(values).shape
        ]
        if errors:
            nearest[index] = min(errors)
    told = _told(contents, nearest)
    if isinstance(model, keras.Model):
        return told
    return tuple(replace(one, layer=one.layer.removeprefix(_WRAPPED)) for one in told)


def _candidates(
    contents: flatbuffer.FlatModel, model: keras.Model, given: Mapping[str, KerasTensor]
) -> dict[int, set[str]]:
    """Index of each computed tensor → the layers that it may be the output of."""
    found = {}
    outputs = {tensor.index for tensor in contents.outputs.values()}
    last = [name for name, tensor in given.items() if tensor is model.outputs[0]]
    for operator in contents.operators:
        for tensor in operator.outputs:
            names = set(last) if tensor.index in outputs else converter.layers_of(model, tensor.name)
            if names & given.keys():
                found[tensor.index] = names & given.keys()
    return found


def _told(contents: flatbuffer.FlatModel, nearest: Mapping[int, tuple[float, str]]) -> tuple[LayerError, ...]:
    error_of: dict[int, float] = {}
    told = {}
    for operator in contents.operators:
        before = max((error_of.get(tensor.index, 0.0) for tensor in operator.inputs), default=0.0)
        for tensor in operator.outputs:
            # A tensor between two layers, such as a conversion of types, hands on the error of what it is made of.
            error, layer = nearest.get(tensor.index, (before, ""))
            error_of[tensor.index] = error
            if layer:
                told[layer] = LayerError(layer, operator.op, error, before)
    return tuple(sorted(told.values(), key=lambda one: one.added, reverse=True))


def _rows(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(len(values), -1)


def _relative(expected: np.ndarray, received: np.ndarray) -> float:
    size = float(np.sqrt(np.mean(np.square(expected))))
    error = float(np.sqrt(np.mean(np.square(expected - received))))
    return error / size if size > 0.0 else error


def worst(layers: Sequence[LayerError], count: int = 3) -> str:
    """Returns a sentence about the layers that add most to the error, or "" where none is known."""
    told = [str(one) for one in layers[:count] if one.added > 0.0]
    return f"Most of the error comes from layer {', then '.join(told)}." if told else ""
