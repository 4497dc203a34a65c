"""What the operators of a structure's file have to do, in closed form: multiply-adds and elements of every operator.

The ties of a template say how every dimension follows the widths, so the work of each operator that really runs (after
all fusions) is known for any structure without making its file, and for a population at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tfmeta.export.flatbuffer import op_name
from tfmeta.latency.forms import Form
from tfmeta.latency.template import Template
from tfmeta.latency.ties import READ, Tied, tie

# CPU kernels compute this many output channels at once, on phones 8 (float) or 16 (int8), on x86 with AVX-512 16; what
# is left over takes as long as a whole tile. Which of them it is on a device, the fit finds out.
_TILES = (8, 16)
AMOUNTS = ("multiply-adds", *(f"multiply-adds in tiles of {tile}" for tile in _TILES), "outputs", "inputs", "weights")


@dataclass(frozen=True)
class Operator:
    """An operator's kind (its name, and the size of its kernel), and its tensors as forms."""

    kind: str
    weights: tuple[Form, ...]
    outputs: tuple[Form, ...]
    inputs: tuple[tuple[Form, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the operator as plain data, the inverse of `from_json`."""
        return {"kind": self.kind, "weights": self.weights, "outputs": self.outputs, "inputs": self.inputs}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Returns the operator that `to_json` described."""
        inputs = tuple(_forms(one) for one in data["inputs"])
        return cls(str(data["kind"]), _forms(data["weights"]), _forms(data["outputs"]), inputs)


@dataclass(frozen=True, eq=False)
class Work:
    """The work of every operator of a network's files.

    Attributes:
        factors: `[num_lengths, num_searchable]` int: as in `probes.Lengths`.
        constants: `[num_lengths]` int: likewise.
        operators: in the order in which they run.
    """

    factors: np.ndarray
    constants: np.ndarray
    operators: tuple[Operator, ...]

    @classmethod
    def of_template(cls, template: Template) -> Self:
        """Returns the work of a network's files in one quantization scheme.

        Raises:
            ExportError: the template's files differ by more than lengths.
        """
        lengths = template.lengths
        tied = tie(lengths, template.structures, template.contents)
        operators = tuple(_operator(tied, one) for one in tied.model.subgraphs[0].operators)
        return cls(lengths.factors, lengths.constants, operators)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each operator."""
        return tuple(one.kind for one in self.operators)

    def of(self, widths: np.ndarray) -> np.ndarray:
        """Returns `[P, num_operators, len(AMOUNTS)]` float: how much of each of `AMOUNTS` an operator has to do.

        Args:
            widths: `[P, num_searchable]` int.
        """
        lengths = widths.astype(np.float64) @ self.factors.T + self.constants
        return np.stack([_amounts(one, lengths) for one in self.operators], 1)

    def to_json(self) -> dict[str, Any]:
        """Returns the work as plain data, the inverse of `from_json`."""
        operators = [one.to_json() for one in self.operators]
        return {"factors": self.factors.tolist(), "constants": self.constants.tolist(), "operators": operators}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Returns the work that `to_json` described.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        factors, constants = np.array(data["factors"], np.int64), np.array(data["constants"], np.int64)
        operators = tuple(Operator.from_json(one) for one in data["operators"])
        shapes = [shape for one in operators for shape in (one.outputs, one.weights, *one.inputs)]
        known = all(-1 <= form.length < len(factors) for shape in shapes for form in shape)
        if factors.ndim != 2 or constants.shape != factors.shape[:1] or not known:
            raise ValueError("its lengths do not fit its operators")
        return cls(factors, constants, operators)


def _forms(values: Sequence[Sequence[int]]) -> tuple[Form, ...]:
    return tuple(Form(int(factor), int(length)) for factor, length in values)


def _amounts(operator: Operator, lengths: np.ndarray) -> np.ndarray:
    outputs = _product(operator.outputs, lengths)
    inputs = sum(_product(shape, lengths) for shape in operator.inputs)
    weights = _product(operator.weights, lengths) if operator.weights else np.zeros(len(lengths))
    macs = _multiply_adds(operator, lengths)
    channels = _product(operator.outputs[-1:], lengths)
    tiled = [macs / channels * np.ceil(channels / tile) * tile for tile in _TILES]
    return np.stack([macs, *tiled, outputs, inputs, weights], 1)


def _multiply_adds(operator: Operator, lengths: np.ndarray) -> np.ndarray:
    kind, weights, many = operator.kind, operator.weights, operator.outputs
    if kind.startswith("TRANSPOSE_CONV"):  # an input is spread over a kernel [C, h, w, I], by all of it but I
        taps, many = weights[:3], operator.inputs[0]
    elif kind.startswith("DEPTHWISE"):  # an output takes h x w of a kernel [1, h, w, C]
        taps = weights[1:3]
    elif kind == "BATCH_MATMUL":  # and the common length of two matrices
        taps = operator.inputs[0][-1:]
    elif weights:  # and all but C of other kernels, [C, h, w, I]
        taps = weights[1:]
    else:
        return np.zeros(len(lengths))
    return _product(many, lengths) * _product(taps, lengths)


def _product(shape: Sequence[Form], lengths: np.ndarray) -> np.ndarray:
    result = np.ones(len(lengths))
    for form in shape:
        result = result * form.factor * lengths[:, form.length]
    return result


def _operator(tied: Tied, operator: Any) -> Operator:
    kind = op_name(tied.model.operatorCodes[operator.opcodeIndex]) or "OTHER"
    inputs = [tied.ties[index].shape for index in operator.inputs.tolist() if index >= 0]
    outputs = tied.ties[int(operator.outputs[0])].shape
    weights: tuple[Form, ...] = ()
    if kind in READ:
        weights, inputs = inputs[1], [inputs[READ[kind]]]
        if len(weights) == 4:
            kind += f" {weights[1].factor}x{weights[2].factor}"
    elif kind == "BATCH_MATMUL" and operator.builtinOptions.adjX:
        *batch, rows, columns = inputs[0]
        inputs[0] = (*batch, columns, rows)  # as it is multiplied
    return Operator(kind, weights, outputs, tuple(inputs))


def share_by_kind(kinds: Sequence[str], work: np.ndarray) -> np.ndarray:
    """Returns `[P, num_kinds * len(AMOUNTS)]`: the work of all operators of each kind, kinds in alphabetical order."""
    order = sorted(set(kinds))
    member = np.array([[kind == one for one in order] for kind in kinds], float)
    return np.einsum("pow,ok->pkw", work, member).reshape(len(work), math.prod((len(order), work.shape[2])))
