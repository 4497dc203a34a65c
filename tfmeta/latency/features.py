"""What the operators of a structure's file have to do, in closed form: multiply-adds and elements of every operator.

The ties of a template say how every dimension follows the widths, so the work of each operator that really runs (after
all fusions) is known for any structure without making its file, and for a population at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.latency.forms import Form
from tfmeta.latency.probes import Lengths
from tfmeta.latency.ties import Tied

# CPU kernels compute this many output channels at once, on phones 8 (float) or 16 (int8), on x86 with AVX-512 16; what
# is left over takes as long as a whole tile. Which of them it is on a device, the fit finds out.
_TILES = (8, 16)
AMOUNTS = ("multiply-adds", *(f"multiply-adds in tiles of {tile}" for tile in _TILES), "outputs", "inputs", "weights")


@dataclass(frozen=True, eq=False)
class _Operator:
    """An operator's tensors as forms."""

    kind: str
    weights: tuple[Form, ...]
    outputs: tuple[Form, ...]
    inputs: tuple[tuple[Form, ...], ...]


class Work:
    """The work of every operator of a network's files.

    Args:
        lengths: the lengths of the graph's channel axes.
        tied: the full network's file with ties.
    """

    def __init__(self, lengths: Lengths, tied: Tied) -> None:
        self.lengths = lengths
        self._operators = [_operator(tied, one) for one in tied.model.subgraphs[0].operators]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each operator: its name, and the size of its kernel."""
        return tuple(one.kind for one in self._operators)

    def of(self, widths: np.ndarray) -> np.ndarray:
        """Returns `[P, num_operators, len(AMOUNTS)]` float: how much of each of `AMOUNTS` an operator has to do.

        Args:
            widths: `[P, num_searchable]` int.
        """
        lengths = widths.astype(np.float64) @ self.lengths.factors.T + self.lengths.constants
        return np.stack([_amounts(one, lengths) for one in self._operators], 1)


def _amounts(operator: _Operator, lengths: np.ndarray) -> np.ndarray:
    outputs = _product(operator.outputs, lengths)
    inputs = sum(_product(shape, lengths) for shape in operator.inputs)
    if not operator.weights:
        none = np.zeros(len(lengths))
        return np.stack([*[none] * (1 + len(_TILES)), outputs, inputs, none], 1)
    # Of a depthwise kernel [1, h, w, C] an output takes h x w, of others [C, h, w, I] all but C.
    taps = operator.weights[1:3] if operator.kind.startswith("DEPTHWISE") else operator.weights[1:]
    macs = outputs * _product(taps, lengths)
    channels = _product(operator.outputs[-1:], lengths)
    tiled = [macs / channels * np.ceil(channels / tile) * tile for tile in _TILES]
    return np.stack([macs, *tiled, outputs, inputs, _product(operator.weights, lengths)], 1)


def _product(shape: Sequence[Form], lengths: np.ndarray) -> np.ndarray:
    result = np.ones(len(lengths))
    for form in shape:
        result = result * form.factor * lengths[:, form.length]
    return result


def _operator(tied: Tied, operator: Any) -> _Operator:
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    code = tied.model.operatorCodes[operator.opcodeIndex]
    kind = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "OTHER")
    inputs = [index for index in operator.inputs.tolist() if index >= 0]
    outputs = tied.ties[int(operator.outputs[0])].shape
    weights: tuple[Form, ...] = ()
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        weights = tied.ties[int(operator.inputs[1])].shape
        inputs = inputs[:1]
        if len(weights) == 4:
            kind += f" {weights[1].factor}x{weights[2].factor}"
    return _Operator(kind, weights, outputs, tuple(tied.ties[index].shape for index in inputs))


def share_by_kind(kinds: Sequence[str], work: np.ndarray) -> np.ndarray:
    """Returns `[P, num_kinds * len(AMOUNTS)]`: the work of all operators of each kind, kinds in alphabetical order."""
    order = sorted(set(kinds))
    member = np.array([[kind == one for one in order] for kind in kinds], float)
    return np.einsum("pow,ok->pkw", work, member).reshape(len(work), math.prod((len(order), work.shape[2])))
