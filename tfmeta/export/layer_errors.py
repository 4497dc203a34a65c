"""Which layers of a .tflite file compute something else than those of its Keras model.

The converter fuses layers, and names each tensor after those whose work is in it. A tensor is held against what every
one of these layers gives, and counts as the one that it is nearest to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta import training
from tfmeta.export import converter, flatbuffer, litert
from tfmeta.lazy import keras, tf

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
    tap = converter.tapped(model, [given[name] for name in wanted])
    told = _told(contents, _nearest(path, candidates, wanted, tap, samples))
    if isinstance(model, keras.Model):
        return told
    return tuple(replace(one, layer=one.layer.removeprefix(_WRAPPED)) for one in told)


def _nearest(
    path: str | os.PathLike[str],
    candidates: Mapping[int, set[str]],
    wanted: Sequence[str],
    tap: keras.Model,
    samples: np.ndarray,
) -> dict[int, tuple[float, str]]:
    """Index of a tensor → the error from the layer that it is nearest to, and that layer; one of equal shape only.

    The outputs of all layers are large: those of one sample are in memory at a time.
    """
    answer = training.forward(tap)
    squares: dict[int, dict[str, np.ndarray]] = {index: {} for index in candidates}  # as of _squares, for each layer
    for sample, received in zip(samples, litert.tensors(path, samples, list(candidates)), strict=True):
        outputs = tf.nest.flatten(answer(tf.constant(sample[np.newaxis])))
        expected = {name: _rows(output) for name, output in zip(wanted, outputs, strict=True)}
        for (index, names), values in zip(candidates.items(), received, strict=True):
            rows = _rows(values)
            for name in names:
                if expected[name].shape == rows.shape:
                    squares[index][name] = squares[index].get(name, 0.0) + _squares(expected[name], rows)
    errors = {index: [(_relative(*sums), name) for name, sums in found.items()] for index, found in squares.items()}
    return {index: min(found) for index, found in errors.items() if found}


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


def _rows(values: Any) -> np.ndarray:
    return np.asarray(values).reshape(len(values), -1)


def _squares(expected: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Number of values, sum of the squares of the error, and sum of the squares of what is expected."""
    wanted = expected.astype(np.float64)
    return np.array([wanted.size, np.sum(np.square(wanted - received)), np.sum(np.square(wanted))])


def _relative(count: float, error: float, size: float) -> float:
    return float(np.sqrt(error / size if size > 0.0 else error / count))


def worst(layers: Sequence[LayerError], count: int = 3) -> str:
    """Returns a sentence about the layers that add most to the error, or "" where none is known."""
    told = [str(one) for one in layers[:count] if one.added > 0.0]
    return f"Most of the error comes from layer {', then '.join(told)}." if told else ""
