"""Writes .tflite files that differ in lengths only, without building each anew.

A flatbuffer is tables that point forward to vectors. What depends on the structure is dimensions, and the lengths of
some vectors: constants, scales, zero points. So the full network's file is taken apart once, into a *skeleton* of all
tables and the vectors. A file is then the skeleton with its dimensions and pointers overwritten, followed by as much
of each vector as is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.latency.forms import Form
from tfmeta.latency.ties import HYBRID_ELEMENTS, Tie, Tied

_IDENTIFIER = b"TFL3"
# Where a table's list of fields names the place of a field: 4 + 2 x the number of the field in LiteRT's schema.fbs.
_TENSOR_SHAPE, _TENSOR_TYPE, _BUFFER_DATA = 4, 6, 4
_ASYMMETRIC = 10  # of a dense layer's options
_QUANTIZATION = {"min": 4, "max": 6, "scale": 8, "zeroPoint": 10}
_LENGTH_BYTES = 4
# Constants are read where they lie in the file, by vector instructions.
_CONSTANT_ALIGNMENT = 16

# Numbers that depend on the structure are known by their index in `_Numbers`.
_Indices = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Vector:
    """A vector behind the skeleton.

    Attributes:
        owner: index of its buffer where it is a constant, otherwise of its tensor.
        field: which field of the buffer, or of the tensor's quantization.
        constant: whether it is one.
        data: all of it as bytes; a file gets the beginning.
        dims: a file gets as many items as the product of these numbers.
        item_bytes: bytes of an item.
        unit_bytes: bytes of what the length of the vector is counted in.
        entries: the items themselves are these numbers, of ``item_bytes`` each, instead of ``data``.
        weights: the dimensions of the weights that it belongs to, if those may be float (`Tie.hybrid`).
        floats: what stands in place of ``data`` then.
    """

    owner: int
    field: int
    constant: bool
    data: memoryview
    dims: _Indices
    item_bytes: int
    unit_bytes: int
    entries: _Indices = ()
    weights: _Indices = ()
    floats: bytes = b""

    @property
    def alignment(self) -> int:
        """What the address of the first item is a multiple of."""
        return _CONSTANT_ALIGNMENT if self.constant else self.unit_bytes

    def take(self, numbers: Sequence[int]) -> bytes | memoryview:
        """Returns the part that a file gets."""
        if self.entries:
            kind = np.int32 if self.item_bytes == 4 else np.int64
            return np.array([numbers[entry] for entry in self.entries], kind).tobytes()
        if self.weights and _is_small(self.weights, numbers):
            # Scales and zero points have no floats, and so come to nothing.
            return self.floats[: 4 * math.prod(numbers[dim] for dim in self.dims)]
        return self.data[: self.item_bytes * math.prod(numbers[dim] for dim in self.dims)]


class Layout:
    """The full network's file, taken apart.

    Args:
        tied: the file with ties; its model is used up.
    """

    def __init__(self, tied: Tied) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._numbers = _Numbers()
        self._vectors = list(_taken_vectors(tied, self._numbers))
        self._skeleton = np.frombuffer(_packed(tied.model), np.uint8)
        model = schema.Model.GetRootAs(self._skeleton.data, 0)
        self._pointers = np.array([_place(model, one) // 4 for one in self._vectors], np.int64)
        dims: list[tuple[int, int]] = []
        # Bytes that are 0 where the weights of these dimensions are float: their type, and whether to quantize inputs.
        self._flags: list[tuple[int, int | None, _Indices]] = []
        for index, tie in enumerate(tied.ties):
            table = model.Subgraphs(0).Tensors(index)._tab
            shape = self._numbers.indices(tie.shape)
            if shape:
                first = table.Vector(table.Offset(_TENSOR_SHAPE)) // 4
                dims += [(first + axis, number) for axis, number in enumerate(shape)]
            if tie.hybrid is not None:
                self._flags.append((table.Pos + table.Offset(_TENSOR_TYPE), tie.hybrid, shape))
        for place, weights in tied.asymmetric:
            options = model.Subgraphs(0).Operators(place).BuiltinOptions()
            shape = self._numbers.indices(tied.ties[weights].shape)
            self._flags.append((options.Pos + options.Offset(_ASYMMETRIC), tied.ties[weights].hybrid, shape))
        self._dims = np.array(dims, np.int64).reshape(-1, 2).T

    def write(self, lengths: np.ndarray) -> bytes:
        """Returns the file of a structure.

        Args:
            lengths: `Lengths.at` of the structure; none may be above that of the full structure.
        """
        values = self._numbers.at(lengths)
        numbers = values.tolist()
        skeleton = self._skeleton.copy()
        words = skeleton.view("<i4")
        words[self._dims[0]] = values[self._dims[1]]
        for place, _, weights in self._flags:
            if _is_small(weights, numbers):
                skeleton[place] = 0
        pieces: list[Any] = [skeleton.data]
        end, targets = len(skeleton), []
        for vector in self._vectors:
            data = vector.take(numbers)
            start = -(-(end + _LENGTH_BYTES) // vector.alignment) * vector.alignment
            count = len(data) // vector.unit_bytes
            pieces += (bytes(start - _LENGTH_BYTES - end), count.to_bytes(_LENGTH_BYTES, "little"), data)
            targets.append(start - _LENGTH_BYTES)
            end = start + len(data)
        words[self._pointers] = np.array(targets, np.int64) - 4 * self._pointers  # pointers count from where they stand
        return b"".join(pieces)

    def keeps_kinds(self, lengths: np.ndarray) -> bool:
        """Returns whether each kind of operator that has int8 weights in the full network still has some.

        The version of a kind of operator, and so the smallest runtime that can run it, hangs on that.
        """
        numbers = self._numbers.at(lengths).tolist()
        kinds = {kind for _, kind, _ in self._flags}
        return kinds == {kind for _, kind, weights in self._flags if not _is_small(weights, numbers)}


class _Numbers:
    """All different numbers that depend on the structure, to be computed at once."""

    def __init__(self) -> None:
        self._known: dict[Form, int] = {}

    def indices(self, forms: Sequence[Form]) -> _Indices:
        return tuple(self._known.setdefault(form, len(self._known)) for form in forms)

    def at(self, lengths: np.ndarray) -> np.ndarray:
        factors, indices = np.array(list(self._known), np.int64).reshape(-1, 2).T
        return factors * lengths[indices]


def _taken_vectors(tied: Tied, numbers: _Numbers) -> Iterator[_Vector]:
    """Takes all constants, scales and zero points out of the model and leaves empty ones in their places."""
    tensors = list(zip(tied.model.subgraphs[0].tensors, tied.ties, strict=True))
    owners: dict[int, tuple[Any, Tie | None]] = {tensor.buffer: (tensor, tie) for tensor, tie in tensors}
    for index, buffer in enumerate(tied.model.buffers):
        if buffer.data is not None and len(buffer.data):
            owner = owners.get(index, (None, None))  # metadata belongs to no tensor
            yield _constant(index, np.asarray(buffer.data, np.uint8), *owner, numbers=numbers)
            buffer.data = np.zeros(0, np.uint8)
    for index, (tensor, tie) in enumerate(tensors):
        yield from _taken_quantization(index, tensor, tie, numbers)


def _taken_quantization(index: int, tensor: Any, tie: Tie, numbers: _Numbers) -> Iterator[_Vector]:
    for name, field in _QUANTIZATION.items():
        values = getattr(tensor.quantization, name, None)
        if values is not None:
            count = Form(len(values), -1) if tie.scales is None or len(values) == 1 else tie.scales
            yield _Vector(
                owner=index,
                field=field,
                constant=False,
                data=_bytes_of(values),
                dims=numbers.indices([count]),
                item_bytes=values.itemsize,
                unit_bytes=values.itemsize,
                weights=numbers.indices(tie.shape) if tie.hybrid is not None else (),
            )
            setattr(tensor.quantization, name, np.zeros(0, values.dtype))


def _constant(index: int, data: np.ndarray, tensor: Any, tie: Tie | None, numbers: _Numbers) -> _Vector:
    shape = tie.shape if tie is not None else ()  # of no operator: stays whole
    item_bytes = len(data) // (math.prod(tensor.shape.tolist()) if shape else 1)
    hybrid = tie is not None and tie.hybrid is not None
    return _Vector(
        owner=index,
        field=_BUFFER_DATA,
        constant=True,
        data=_bytes_of(data),
        dims=numbers.indices(shape),
        item_bytes=item_bytes,
        unit_bytes=1,
        entries=numbers.indices(tie.entries or ()) if tie is not None else (),
        weights=numbers.indices(shape) if hybrid else (),
        floats=_dequantized(data, tensor) if hybrid else b"",
    )


def _dequantized(data: np.ndarray, tensor: Any) -> bytes:
    """As many float weights as there can be, of the size of the int8 ones."""
    scale = float(np.mean(tensor.quantization.scale))
    return (data[:HYBRID_ELEMENTS].view(np.int8) * np.float32(scale)).tobytes()


def _bytes_of(values: np.ndarray) -> memoryview:
    return np.ascontiguousarray(values).view(np.uint8).data.toreadonly()


def _is_small(weights: _Indices, numbers: Sequence[int]) -> bool:
    return math.prod(numbers[dim] for dim in weights) < HYBRID_ELEMENTS


def _packed(model: Any) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _place(model: Any, vector: _Vector) -> int:
    """Where the pointer to a vector stands."""
    if vector.constant:
        table = model.Buffers(vector.owner)._tab
    else:
        table = model.Subgraphs(0).Tensors(vector.owner).Quantization()._tab
    return int(table.Pos + table.Offset(vector.field))
