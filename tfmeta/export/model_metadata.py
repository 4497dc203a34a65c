"""Writes into a .tflite file what an app must know of it: two metadata buffers, and the labels behind the flatbuffer.

``TFLITE_METADATA`` is the standard one, which MediaPipe and Android Studio read: a flatbuffer of
https://github.com/tensorflow/tflite-support (metadata_schema.fbs) with the normalisation, and a zip archive with the
labels at the end of the file. ``tfmeta`` holds the same as JSON, for everyone without that schema.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
from flatbuffers import encode, packer
from flatbuffers.table import Table

from tfmeta.errors import ExportError
from tfmeta.export.flatbuffer import FlatModel, parse
from tfmeta.export.preprocessing import Preprocessing, answers
from tfmeta.export.rewrite import rewritten, set_metadata

STANDARD, OWN = "TFLITE_METADATA", "tfmeta"
LABELS_FILE = "labels.txt"

_IDENTIFIER = b"M001"
_PARSER_VERSION = "1.0.0"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same file from the same model, whatever the day

# Numbers of the schema: members of unions and enumerations.
_IMAGE, _FEATURE, _NORMALIZATION, _AXIS_LABELS = 2, 1, 1, 2
_COLOR_SPACE = {1: 2, 3: 1}


def embedded(data: bytes, preprocessing: Preprocessing, name: str) -> bytes:
    """Returns the .tflite file ``data`` with what ``preprocessing`` tells in it; nothing else of it changes.

    Args:
        data: the bytes of the file.
        preprocessing: what an app must do before and after it.
        name: of the network, for people.

    Raises:
        ExportError: not a TFLite model.
    """
    contents = parse(data)
    standard = _standard(preprocessing, contents, name)
    own = json.dumps({**preprocessing.to_json(), "answers": answers(contents)}, sort_keys=True).encode()

    def change(model: Any) -> None:
        set_metadata(model, STANDARD, standard)
        set_metadata(model, OWN, own)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        files.writestr(zipfile.ZipInfo(LABELS_FILE, _EPOCH), labels_text(preprocessing))
    return rewritten(data, change) + archive.getvalue()


def labels_text(preprocessing: Preprocessing) -> str:
    """Returns the labels, one a line."""
    return "".join(f"{label}\n" for label in preprocessing.labels)


def label_shape(contents: FlatModel) -> tuple[int, ...]:
    """Returns what the metadata of tfmeta in a file says of its answers: (H, W) where each pixel has a class, else ().

    Raises:
        ExportError: it is not the metadata that tfmeta writes.
    """
    if OWN not in contents.metadata:
        return ()
    try:
        _, *pixels, _ = json.loads(contents.metadata[OWN]).get("output", {}).get("shape", (1, 1))
        return tuple(int(size) for size in pixels)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ExportError(
            f"Expected the metadata {OWN!r} as tfmeta writes it: JSON with the shape of the output. Received: other "
            f"({error}). Export the file again."
        ) from error


def associated_files(contents: FlatModel) -> tuple[str, ...]:
    """Returns the names of what the standard metadata says is in the archive behind the flatbuffer; none without it.

    Raises:
        ExportError: it is not the metadata of that schema.
    """
    data = contents.metadata.get(STANDARD)
    if data is None:
        return ()
    try:
        if data[4:8] != _IDENTIFIER:
            raise ValueError(f"{data[4:8]!r} at byte 4")
        model = Table(data, encode.Get(packer.uoffset, data, 0))
        graphs = _tables(model, 3)
        tensors = [tensor for graph in graphs for field in (2, 3) for tensor in _tables(graph, field)]
        owners = [(model, 6), *((graph, 4) for graph in graphs), *((tensor, 6) for tensor in tensors)]
        named = [file for owner, field in owners for file in _tables(owner, field)]
        return tuple(dict.fromkeys(file.String(file.Pos + _offset(file, 0)).decode() for file in named))
    except Exception as error:  # damaged bytes fail anywhere in the decoder, with any type of error
        raise ExportError(
            f"Expected the metadata {STANDARD!r} of its schema. Received: other ({error}). Export the file again."
        ) from error


def _tables(table: Table, field: int) -> list[Table]:
    """What a field holds that is a vector of tables; none where it is not there."""
    place = _offset(table, field)
    if not place:
        return []
    start = table.Vector(place)
    return [Table(table.Bytes, table.Indirect(start + 4 * number)) for number in range(table.VectorLen(place))]


def _offset(table: Table, field: int) -> int:
    return int(table.Offset(4 + 2 * field))  # two sizes of 16 bits come first


def _standard(preprocessing: Preprocessing, contents: FlatModel, name: str) -> bytes:
    table = _Tables(flatbuffers.Builder(1024))
    image = table.made({0: table.byte(_COLOR_SPACE.get(preprocessing.channels, 0))})
    units: list[int] = []
    if preprocessing.pixel_scale is not None:
        # The schema wants (pixel - mean) / std.
        scale, offset = preprocessing.pixel_scale
        options = table.made({0: table.floats([0.0 - offset / scale]), 1: table.floats([1.0 / scale])})
        units = [table.made({0: table.byte(_NORMALIZATION), 1: options})]
    text = f"Image, {preprocessing.color}"
    inputs = [table.tensor(end, text, _IMAGE, image, units, None) for end in contents.inputs]
    labels = table.made({0: table.text(LABELS_FILE), 2: table.byte(_AXIS_LABELS)})
    text = f"{answers(contents)} of the classes".capitalize()
    if preprocessing.label_shape:  # what an image segmenter is: a grey picture for each class, in axes 1 and 2
        kind, content, axes = _IMAGE, table.made({0: table.byte(_COLOR_SPACE[1])}), table.made(table.numbers(1, 2))
        text += ", for each pixel"
    else:
        kind, content, axes = _FEATURE, table.made({}), None
    outputs = [table.tensor(end, text, kind, content, [], labels, axes) for end in contents.outputs]
    graph = table.made({2: table.vector(inputs), 3: table.vector(outputs)})
    model = {0: table.text(name), 3: table.vector([graph]), 7: table.text(_PARSER_VERSION)}
    table.builder.Finish(table.made(model), file_identifier=_IDENTIFIER)
    return bytes(table.builder.Output())


class _Tables:
    """Writes tables of a schema by the numbers of their fields."""

    def __init__(self, builder: flatbuffers.Builder) -> None:
        self.builder = builder

    def made(self, fields: dict[int, int | Callable[[int], None]]) -> int:
        """Writes a table of ``fields``: places of what was written before, or numbers from `byte`."""
        self.builder.StartObject(max(fields, default=-1) + 1)
        for slot, value in fields.items():
            if callable(value):
                value(slot)
            else:
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(self.builder.EndObject())

    def tensor(
        self,
        name: str,
        text: str,
        kind: int,
        properties: int,
        units: list[int],
        labels: int | None,
        axes: int | None = None,
    ) -> int:
        parts: dict[int, int | Callable[[int], None]] = {0: self.byte(kind), 1: properties}
        content = self.made(parts if axes is None else {**parts, 2: axes})
        fields: dict[int, int | Callable[[int], None]] = {0: self.text(name), 1: self.text(text), 3: content}
        if units:
            fields[4] = self.vector(units)
        if labels is not None:
            fields[6] = self.vector([labels])
        return self.made(fields)

    def byte(self, value: int) -> Callable[[int], None]:
        return lambda slot: self.builder.PrependUint8Slot(slot, value, 0)

    def numbers(self, *values: int) -> dict[int, int | Callable[[int], None]]:
        """Returns int32 fields."""
        return {slot: functools.partial(self._number, value) for slot, value in enumerate(values)}

    def _number(self, value: int, slot: int) -> None:
        self.builder.PrependInt32Slot(slot, value, 0)

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return int(self.builder.EndVector())

    def vector(self, places: Sequence[int]) -> int:
        self.builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.builder.PrependUOffsetTRelative(place)
        return int(self.builder.EndVector())
