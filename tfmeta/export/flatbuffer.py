"""Reads a .tflite file: operators with versions, tensors with types and scales, input and output
names.

The schema's own generated classes do the decoding; nothing is run. The file is a flatbuffer,
documented in LiteRT's ``schema.fbs``.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfmeta.errors import ExportError

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite file
# Bytes of one value, of the types whose buffers hold just that.
_ITEM_BYTES = {"FLOAT32": 4, "FLOAT16": 2, "INT8": 1, "UINT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "BOOL": 1}
RUNTIME_METADATA = "min_runtime_version"


@dataclass(frozen=True)
class Quantization:
    """value = scale * (stored - zero_point); one pair a tensor, or one an index of ``axis``."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int

    @property
    def per_channel(self) -> bool:
        """Whether each channel has a scale of its own."""
        return len(self.scale) > 1


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: ``shape`` as allocated; ``shape_signature`` has -1 where a size is open; ``index`` in its graph."""

    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    constant: bool
    quantization: Quantization | None
    index: int = -1


@dataclass(frozen=True)
class OperatorInfo:
    """One operator of the graph; ``op`` is the builtin's name, "CONV_2D", or "CUSTOM:name"."""

    op: str
    version: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class FlatModel:
    """What a .tflite file says of itself.

    Attributes:
        operators: in the order in which they run.
        inputs: by the name in the signature (by tensor name where the file has no signature).
        outputs: the same for the outputs.
        declared_runtime: the minimum runtime that the writer of the file noted in it, or None.
        size_bytes: the size of the file.
        signatures: names of the signatures; none in a file that has only tensor names to offer.
        metadata: the metadata buffers by their names.
        num_graphs: 1, or more where there are branches and loops, whose operators are told too.
    """

    operators: tuple[OperatorInfo, ...]
    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    declared_runtime: str | None
    size_bytes: int
    signatures: tuple[str, ...] = ()
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    num_graphs: int = 1

    def operator_counts(self) -> dict[tuple[str, int], int]:
        """Returns how often each (operator, version) occurs, sorted by name."""
        counts = Counter((operator.op, operator.version) for operator in self.operators)
        return dict(sorted(counts.items()))


def read(path: str | os.PathLike[str]) -> FlatModel:
    """Returns what the .tflite file at ``path`` says of itself.

    Raises:
        ExportError: there is no such file, or it is not a TFLite model.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ExportError(f"Cannot read the .tflite file {str(path)!r}: {error.strerror}.") from error
    try:
        return parse(data)
    except ExportError as error:
        raise ExportError(f"{str(path)!r}: {error}") from error


def parse(data: bytes) -> FlatModel:
    """Returns what ``data``, the bytes of a .tflite file, says of itself.

    Raises:
        ExportError: the bytes are not a TFLite model.
    """
    return _decoded(data)[1]


def unpack(data: bytes) -> Any:
    """Returns the schema's ``ModelT`` of ``data``, the bytes of a .tflite file, with the values of all buffers in it.

    Some writers put large constants behind the flatbuffer; here they are where all others are.

    Raises:
        ExportError: the bytes are not a TFLite model.
    """
    return _decoded(data)[0]


def _decoded(data: bytes) -> tuple[Any, FlatModel]:
    # Imported here: it is 20,000 lines long and only exporting needs it.
    from ai_edge_litert import schema_py_generated as schema

    if data[4:8] != IDENTIFIER:
        raise ExportError(f"Expected a TFLite model ({IDENTIFIER!r} at byte 4). Received: {data[4:8]!r}.")
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        for buffer in model.buffers or ():
            if buffer.offset > 1:  # 0 and 1 stand for none
                buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
        return model, _Reader(schema, model).read(len(data))
    except ExportError:
        raise
    except Exception as error:  # a cut or damaged file fails anywhere in the decoder, with any type of error
        raise ExportError(
            f"Expected a whole TFLite model. Received: a damaged one ({error}). Export it again."
        ) from error


def op_name(code: Any) -> str | None:
    """Returns the name of an entry of `ModelT.operatorCodes`, None if the schema has none."""
    return _op_names().get(_builtin(code))


def _builtin(code: Any) -> int:
    # Files from before 2020 have the number in the older, smaller field; the larger of the two counts.
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


@functools.cache
def _op_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return _names(schema.BuiltinOperator)


class _Reader:
    """Turns the schema's objects into plain data; exists for one file."""

    def __init__(self, schema: Any, model: Any) -> None:
        self._model = model
        self._type_names = _names(schema.TensorType)
        if not model.subgraphs:
            raise ExportError("Expected a graph in the file. Received: none.")
        self._graph = model.subgraphs[0]
        self._tensors = self._tensors_of(self._graph)

    def read(self, size_bytes: int) -> FlatModel:
        inputs, outputs = self._ends()
        metadata = self._metadata()
        operators = []
        for graph in self._model.subgraphs:
            tensors = self._tensors if graph is self._graph else self._tensors_of(graph)
            operators += [self._operator(operator, tensors) for operator in graph.operators or ()]
        return FlatModel(
            operators=tuple(operators),
            inputs=inputs,
            outputs=outputs,
            declared_runtime=metadata.get(RUNTIME_METADATA, b"").split(b"\0")[0].decode("ascii", "replace") or None,
            size_bytes=size_bytes,
            signatures=tuple(_text(signature.signatureKey) for signature in self._model.signatureDefs or ()),
            metadata=metadata,
            num_graphs=len(self._model.subgraphs),
        )

    def _tensors_of(self, graph: Any) -> list[TensorInfo]:
        return [self._tensor(index, tensor) for index, tensor in enumerate(graph.tensors or ())]

    def _tensor(self, index: int, tensor: Any) -> TensorInfo:
        shape = _ints(tensor.shape)
        buffer, dtype = self._model.buffers[tensor.buffer], self._type_names.get(tensor.type, f"type {tensor.type}")
        size = 0 if buffer.data is None else len(buffer.data)
        if size and dtype in _ITEM_BYTES and not tensor.sparsity and size != _ITEM_BYTES[dtype] * int(np.prod(shape)):
            raise ExportError(
                f"Expected {list(shape)} {dtype} values of {_text(tensor.name)!r}. Received: {size} bytes."
            )
        return TensorInfo(
            name=_text(tensor.name),
            shape=shape,
            shape_signature=shape if tensor.shapeSignature is None else _ints(tensor.shapeSignature),
            dtype=dtype,
            constant=size > 0,
            quantization=_quantization(tensor.quantization, _text(tensor.name)),
            index=index,
        )

    def _operator(self, operator: Any, tensors: Sequence[TensorInfo]) -> OperatorInfo:
        code = self._model.operatorCodes[operator.opcodeIndex]
        name = op_name(code) or f"BUILTIN_{_builtin(code)}"
        if name == "CUSTOM":
            name = f"CUSTOM:{_text(code.customCode)}"
        return OperatorInfo(
            op=name,
            version=int(code.version),
            inputs=tuple(tensors[i] for i in _ints(operator.inputs) if i >= 0),
            outputs=tuple(tensors[i] for i in _ints(operator.outputs) if i >= 0),
        )

    def _ends(self) -> tuple[dict[str, TensorInfo], dict[str, TensorInfo]]:
        if self._model.signatureDefs:
            signature = self._model.signatureDefs[0]
            sides = (signature.inputs, signature.outputs)
            inputs, outputs = (
                {_text(entry.name): self._tensors[entry.tensorIndex] for entry in side or ()} for side in sides
            )
            return inputs, outputs
        inputs, outputs = (
            {self._tensors[i].name: self._tensors[i] for i in _ints(side)}
            for side in (self._graph.inputs, self._graph.outputs)
        )
        return inputs, outputs

    def _metadata(self) -> dict[str, bytes]:
        found = {}
        for entry in self._model.metadata or ():
            data = self._model.buffers[entry.buffer].data
            found[_text(entry.name)] = b"" if data is None else bytes(bytearray(data))
        return found


def _names(enumeration: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if name.isupper()}


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _ints(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in np.asarray(values).ravel())


def _quantization(parameters: Any, tensor: str) -> Quantization | None:
    if parameters is None or parameters.scale is None or len(parameters.scale) == 0:
        return None
    scale, zero_point = tuple(float(scale) for scale in parameters.scale), _ints(parameters.zeroPoint)
    if len(scale) != len(zero_point):  # LiteRT refuses the file
        raise ExportError(
            f"Expected a zero point for each scale of {tensor!r}. Received: {len(scale)} scales, {len(zero_point)} "
            "zero points, with which no runtime loads the file. Export it again."
        )
    return Quantization(scale, zero_point, axis=int(parameters.quantizedDimension))
