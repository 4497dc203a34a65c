"""Changes a .tflite file without converting it again: what is not changed stays as it was, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export import flatbuffer
from tfmeta.export.runtime_version import minimum_runtime, version_by_types

# The schema asks for it (Buffer.data, force_align), since kernels read weights in vectors of that size. The generated
# Python code does not do it.
_ALIGNMENT = 16
_LARGEST = 2**31  # of a flatbuffer: its offsets are 32 bits wide
_NOTE_BYTES = 16  # what the converter's note of the runtime is padded to


def rewritten(data: bytes, change: Callable[[Any], None]) -> bytes:
    """Returns the file ``data`` after ``change`` was made to it, with all constants inside the flatbuffer.

    Args:
        data: the bytes of a .tflite file.
        change: gets the schema's ``ModelT`` and changes it in place.

    Raises:
        ExportError: not a TFLite model, one of 2 GB or more, or one with large options of custom operators behind it.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = flatbuffer.unpack(data)
    if len(data) >= _LARGEST:
        raise ExportError(f"Expected a TFLite file below 2 GB. Received: {len(data):,} bytes.")
    operators = [operator for graph in model.subgraphs for operator in graph.operators or ()]
    if any(operator.largeCustomOptionsOffset for operator in operators):
        raise ExportError("Expected the options of custom operators inside the flatbuffer. Received: some behind it.")
    change(model)
    for number, buffer in enumerate(model.buffers):
        model.buffers[number] = _AlignedBuffer(schema, buffer)
    builder = flatbuffers.Builder(len(data) + 1024)
    builder.Finish(model.Pack(builder), file_identifier=flatbuffer.IDENTIFIER)
    return bytes(builder.Output())


def with_true_versions(data: bytes) -> bytes:
    """Returns the file ``data`` with operator versions as high as its tensor types ask for, and its runtime noted.

    A quantizer that works on a finished file may leave both as they were before.

    Args:
        data: the bytes of a .tflite file.

    Raises:
        ExportError: as for `rewritten`.
    """
    contents = flatbuffer.parse(data)
    runtime = minimum_runtime(contents).version

    def change(model: Any) -> None:
        operators = [operator for graph in model.subgraphs for operator in graph.operators]
        for operator, told in zip(operators, contents.operators, strict=True):
            code = model.operatorCodes[operator.opcodeIndex]
            code.version = max(code.version, version_by_types(told))
        if runtime is not None:
            note = runtime.encode().ljust(_NOTE_BYTES, b"\0")
            set_metadata(model, flatbuffer.RUNTIME_METADATA, note)

    return rewritten(data, change)


def set_metadata(model: Any, name: str, content: bytes) -> None:
    """Puts the metadata ``name`` into the schema's ``ModelT``, in place of what it had under that name."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    for entry in model.metadata or ():
        if entry.name in (name, name.encode()):
            model.buffers[entry.buffer] = buffer
            return
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]


class _AlignedBuffer:
    """A buffer of the schema that packs its bytes at a multiple of 16."""

    def __init__(self, schema: Any, buffer: Any) -> None:
        self._schema = schema
        self._data = None if buffer.data is None else np.asarray(buffer.data, np.uint8).tobytes()

    def Pack(self, builder: Any) -> int:  # the name that the generated code calls
        """Writes the buffer and returns its place."""
        place = None
        if self._data is not None:
            builder.StartVector(1, len(self._data), _ALIGNMENT)
            start = builder.head = builder.head - len(self._data)
            builder.Bytes[start : start + len(self._data)] = self._data
            place = builder.EndVector()
        self._schema.BufferStart(builder)
        if place is not None:
            self._schema.BufferAddData(builder, place)
        return int(self._schema.BufferEnd(builder))
