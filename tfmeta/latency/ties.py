"""Ties every number of a .tflite file that depends on the structure to a length of the channel graph.

The files of one network in several structures are laid side by side, operator by operator. A number that differs
between them (a dimension, an entry of a shape constant) is a multiple of the one length that changes in the same
proportion; `probes` sees to it that there is no second one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export.flatbuffer import op_name
from tfmeta.graph.structure import Structure
from tfmeta.latency.forms import Form, Resolver, require
from tfmeta.latency.probes import Lengths

# Where activations stay float, the converter keeps weights of fewer elements in float too ("dynamic range").
HYBRID_ELEMENTS = 1024
# Operators with a kernel, which is their input 1 -> which input they read besides: of TRANSPOSE_CONV 0 is a shape.
READ = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 0, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 2}
_ASYMMETRIC = "asymmetricQuantizeInputs"


@dataclass(frozen=True)
class Tie:
    """How a tensor depends on the structure.

    Attributes:
        shape: its dimensions.
        scales: number of scales, None when it has none.
        entries: the values of a constant of plain integers, which is about shapes; None for all other tensors.
        hybrid: index of the operator code of the weights, where they are int8 from `HYBRID_ELEMENTS` elements on and
            float below; None for all other tensors.
    """

    shape: tuple[Form, ...]
    scales: Form | None
    entries: tuple[Form, ...] | None
    hybrid: int | None


@dataclass(frozen=True, eq=False)
class Tied:
    """The full network's file, and a tie for each of its tensors.

    Attributes:
        model: the file as the schema's object (`ModelT`). Constants that operators share in the full network and not in
            other structures are separate here, and every constant has a buffer of its own.
        ties: one a tensor.
        asymmetric: (operator, tensor) of dense layers that quantize their inputs if the tensor, their weights, is int8.
    """

    model: Any
    ties: tuple[Tie, ...]
    asymmetric: tuple[tuple[int, int], ...]


def tie(lengths: Lengths, structures: Sequence[Structure], contents: Sequence[bytes]) -> Tied:
    """Returns the first file with ties.

    Args:
        lengths: the lengths of the graph.
        structures: the structure of each file, the full one first.
        contents: the files.

    Raises:
        ExportError: a file is no TFLite model, or the files differ by more than lengths: then twins cannot be made.
    """
    models = [_parsed(content) for content in contents]
    pairing = _Pairing(Resolver(lengths, structures), models)
    return pairing.tied()


def _parsed(content: bytes) -> Any:
    # Imported here: it is 20,000 lines long.
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        if len(model.subgraphs) == 1:
            return model
    except Exception as error:  # a cut or damaged file fails anywhere in the decoder, with any type of error
        raise ExportError(f"Expected a whole TFLite model. Received: a damaged one ({error}).") from error
    raise ExportError(f"Expected one graph in the file. Received: {len(model.subgraphs)}.")


class _Pairing:
    """Goes over the operators of all files at once and ties the tensors that stand at equal places."""

    def __init__(self, resolver: Resolver, models: Sequence[Any]) -> None:
        self._resolver = resolver
        self._models = models
        self._graphs = [model.subgraphs[0] for model in models]
        self._found: dict[tuple[int, ...], Tie] = {}
        self._partners: dict[tuple[int, int], tuple[int, ...]] = {}
        self._split: dict[tuple[int, Tie], int] = {}
        self._ties: dict[int, Tie] = {}
        self._tensors: list[Any] = list(self._graphs[0].tensors)
        self._asymmetric: list[tuple[int, int]] = []

    def tied(self) -> Tied:
        model, graph = self._models[0], self._graphs[0]
        lists = [one.operators for one in self._graphs]
        require(len({len(one) for one in lists}) == 1, "The number of operators")
        for place, operators in enumerate(zip(*lists, strict=True)):
            self._require_same_kind(operators, f"Operator {place}")
            code = int(operators[0].opcodeIndex) if self._reads_floats(operators[0]) else None
            operators[0].inputs = self._pair([one.inputs for one in operators], code)
            operators[0].outputs = self._pair([one.outputs for one in operators])
            self._find_asymmetric(place, operators)
        for side in ("inputs", "outputs"):
            self._pair([getattr(one, side) for one in self._graphs])
        graph.tensors = self._tensors
        self._separate_buffers()
        unused = Tie((), None, None, None)
        ties = tuple(self._ties.get(index, unused) for index in range(len(self._tensors)))
        return Tied(model, ties, tuple(self._asymmetric))

    def _require_same_kind(self, operators: Sequence[Any], what: str) -> None:
        kinds = []
        for model, operator in zip(self._models, operators, strict=True):
            code = model.operatorCodes[operator.opcodeIndex]
            options = _plain(operator.builtinOptions) or {}
            options.pop(_ASYMMETRIC, None)  # see _find_asymmetric
            others = (_plain(operator.builtinOptions2), _plain(operator.customOptions))
            kinds.append((code.builtinCode, code.deprecatedBuiltinCode, code.customCode, options, others))
        require(all(kind == kinds[0] for kind in kinds), what)

    def _find_asymmetric(self, place: int, operators: Sequence[Any]) -> None:
        flags = [bool(getattr(one.builtinOptions, _ASYMMETRIC, False)) for one in operators]
        weights = int(operators[0].inputs[1]) if len(operators[0].inputs) > 1 else -1
        if flags[0] and weights in self._ties and self._ties[weights].hybrid is not None:
            self._asymmetric.append((place, weights))
        else:
            require(len(set(flags)) == 1, f"An option of operator {place}")

    def _reads_floats(self, operator: Any) -> bool:
        from ai_edge_litert import schema_py_generated as schema

        read = operator.inputs[READ.get(op_name(self._models[0].operatorCodes[operator.opcodeIndex]), 0)]
        return int(self._tensors[read].type) == schema.TensorType.FLOAT32

    def _pair(self, rows: Sequence[Any], float_code: int | None = None) -> np.ndarray:
        """Ties the tensors at equal places of ``rows``; returns those of the first file, constants split.

        ``float_code`` is the operator's code where it reads floats, so that its weights may be hybrid.
        """
        lists = [[] if row is None else row.tolist() for row in rows]
        require(len({len(one) for one in lists}) == 1, "The number of an operator's tensors")
        tensors = []
        for indices in zip(*lists, strict=True):
            if min(indices) < 0:  # an optional input that is left out
                require(max(indices) < 0, "An optional input")
                tensors.append(-1)
                continue
            if indices not in self._found:
                self._found[indices] = self._tie(indices, float_code)
            tensors.append(self._place(indices, self._found[indices]))
        return np.array(tensors, np.int32)

    def _place(self, indices: tuple[int, ...], found: Tie) -> int:
        if self._data(0, indices[0]) is None:
            for place in enumerate(indices):  # what operators compute is wired alike in all files
                require(self._partners.setdefault(place, indices) == indices, "The wiring of the operators")
            self._ties[indices[0]] = found
            return indices[0]
        if (indices[0], found) not in self._split:
            index = indices[0]
            if index in self._ties:
                index = len(self._tensors)
                self._tensors.append(_copied(self._tensors[indices[0]]))
            self._split[indices[0], found] = index
            self._ties[index] = found
        return self._split[indices[0], found]

    def _separate_buffers(self) -> None:
        buffers, taken = self._models[0].buffers, set()
        for tensor in self._tensors:
            if buffers[tensor.buffer].data is not None:
                if tensor.buffer in taken:
                    buffers.append(copy.copy(buffers[tensor.buffer]))
                    tensor.buffer = len(buffers) - 1
                taken.add(tensor.buffer)

    def _data(self, file: int, index: int) -> np.ndarray | None:
        buffer = self._models[file].buffers[self._graphs[file].tensors[index].buffer]
        require(not buffer.offset, "A constant outside of the flatbuffer")
        return None if buffer.data is None or not len(buffer.data) else np.asarray(buffer.data, np.uint8)

    def _tie(self, indices: tuple[int, ...], float_code: int | None) -> Tie:
        tensors = [graph.tensors[index] for graph, index in zip(self._graphs, indices, strict=True)]
        data = [self._data(file, index) for file, index in enumerate(indices)]
        what = f"Tensor {(tensors[0].name or b'').decode('utf-8', 'replace')!r}"
        shapes = [[] if tensor.shape is None else tensor.shape.tolist() for tensor in tensors]
        constant = data[0] is not None
        require(len({one is None for one in data}) == 1, f"Whether {what} is a constant")
        require(all(_is_simple(tensor) for tensor in tensors), f"{what}: an open size, or a sparse or variable tensor,")
        hybrid = constant and float_code is not None and self._is_hybrid(tensors, shapes, what)
        alike = tensors[:1] if hybrid else tensors
        require(len({tensor.type for tensor in alike}) == 1, f"The type of {what}")
        require(len({_axis(tensor) for tensor in alike}) == 1, f"The quantization of {what}")
        shape = self._resolver.forms(shapes, what)
        return Tie(
            shape=shape,
            scales=_scales_form(alike, shape, self._resolver, what),
            entries=self._entries(tensors[0], data, what) if constant else None,
            hybrid=float_code if hybrid else None,
        )

    def _is_hybrid(self, tensors: Sequence[Any], shapes: Sequence[list[int]], what: str) -> bool:
        from ai_edge_litert import schema_py_generated as schema

        if int(tensors[0].type) != schema.TensorType.INT8:
            return False
        for tensor, shape in zip(tensors, shapes, strict=True):
            small = math.prod(shape) < HYBRID_ELEMENTS
            expected = schema.TensorType.FLOAT32 if small else schema.TensorType.INT8
            require(int(tensor.type) == expected, f"The type of the {math.prod(shape)} weights of {what}")
        return True

    def _entries(self, tensor: Any, data: Sequence[Any], what: str) -> tuple[Form, ...] | None:
        from ai_edge_litert import schema_py_generated as schema

        dtypes = {schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64}
        if int(tensor.type) not in dtypes or _num_scales(tensor):
            return None
        return self._resolver.forms([one.view(dtypes[int(tensor.type)]).tolist() for one in data], what)


def _plain(value: Any) -> Any:
    """An object of the schema as plain data that can be compared."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "__dict__"):
        return {name: _plain(field) for name, field in vars(value).items()}
    return value


def _is_simple(tensor: Any) -> bool:
    return tensor.shapeSignature is None and tensor.sparsity is None and not tensor.isVariable


def _copied(tensor: Any) -> Any:
    twin = copy.copy(tensor)
    twin.quantization = copy.copy(tensor.quantization)
    return twin


def _num_scales(tensor: Any) -> int:
    parameters = tensor.quantization
    return 0 if parameters is None or parameters.scale is None else len(parameters.scale)


def _axis(tensor: Any) -> int | None:
    return int(tensor.quantization.quantizedDimension) if _num_scales(tensor) > 1 else None


def _scales_form(tensors: Sequence[Any], shape: tuple[Form, ...], resolver: Resolver, what: str) -> Form | None:
    counts = [_num_scales(tensor) for tensor in tensors]
    if counts[0] > 1:
        return shape[_axis(tensors[0]) or 0]
    return resolver.form(counts, f"The number of scales of {what}") if counts[0] else None
