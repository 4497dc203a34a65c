"""A file that is changed keeps everything else: answers, operators, and weights where vector kernels may read them."""

from __future__ import annotations

import io
import json
import zipfile

import flatbuffers.table
import numpy as np
import pytest

from tfmeta.errors import ExportError
from tfmeta.export import flatbuffer, verify
from tfmeta.export.model_metadata import OWN, STANDARD, embedded
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.rewrite import rewritten, set_metadata
from tfmeta.export.tflite import export_tflite

PREPROCESSING = Preprocessing(8, 8, 1, "resize", (1 / 127.5, -1.0), tuple("abcdefghij"))


@pytest.fixture(scope="module")
def plain(reader, digits, tmp_path_factory):
    return export_tflite(reader, tmp_path_factory.mktemp("file") / "m.tflite", "int8", digits[0][:100]).path


@pytest.fixture(scope="module")
def path(plain):
    path = plain.with_name("with_metadata.tflite")
    path.write_bytes(embedded(plain.read_bytes(), PREPROCESSING, "reader"))
    return path


def metadata(data):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    return {entry.name.decode(): bytes(bytearray(model.buffers[entry.buffer].data)) for entry in model.metadata}


def test_only_the_metadata_is_added(path, plain, digits):
    before, after = flatbuffer.read(plain), flatbuffer.read(path)
    assert after.operators == before.operators and after.declared_runtime == before.declared_runtime
    assert (after.inputs, after.outputs, after.signatures) == (before.inputs, before.outputs, before.signatures)
    assert set(after.metadata) == {*before.metadata, STANDARD, OWN}
    np.testing.assert_array_equal(verify.outputs(path, digits[2]), verify.outputs(plain, digits[2]))


@pytest.fixture(scope="module")
def behind(reader, tmp_path_factory):
    """A file whose constants lie behind the flatbuffer, as the writers of very large files put them."""
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    converter = tf.lite.TFLiteConverter.from_keras_model(reader)
    converter._experimental_use_buffer_offset = True
    path = tmp_path_factory.mktemp("behind") / "m.tflite"
    path.write_bytes(converter.convert())
    assert any(buffer.offset > 1 for buffer in schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0).buffers)
    return path


def test_constants_behind_the_flatbuffer_are_taken_inside(behind, tmp_path, digits):
    from ai_edge_litert import schema_py_generated as schema

    inside = tmp_path / "m.tflite"
    inside.write_bytes(rewritten(behind.read_bytes(), lambda model: None))
    assert not any(buffer.offset for buffer in schema.ModelT.InitFromPackedBuf(inside.read_bytes(), 0).buffers)
    before, after = flatbuffer.read(behind), flatbuffer.read(inside)
    assert before.operators == after.operators
    assert any(tensor.constant for operator in after.operators for tensor in operator.inputs)
    np.testing.assert_array_equal(verify.outputs(inside, digits[2]), verify.outputs(behind, digits[2]))


def test_a_file_that_is_cut_behind_the_flatbuffer(behind):
    with pytest.raises(ExportError, match=r"Expected a whole TFLite model\. Received: a damaged one"):
        flatbuffer.parse(behind.read_bytes()[:-100])


def test_a_file_of_2_gb(plain, monkeypatch):
    monkeypatch.setattr("tfmeta.export.rewrite._LARGEST", 1000)
    with pytest.raises(ExportError, match=r"a TFLite file below 2 GB\. Received: [\d,]+ bytes\."):
        rewritten(plain.read_bytes(), lambda model: None)


def test_weights_lie_at_multiples_of_16(path):
    # LiteRT's schema asks for it; kernels for ARM read 16 bytes at a time.
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    # Slot 0 of a table is at offset 4 of its vtable.
    places = [one._tab.Vector(one._tab.Offset(4)) for one in buffers if one.DataLength()]
    assert len(places) > 5 and not any(place % 16 for place in places)


def test_the_same_model_gives_the_same_bytes(plain):
    data = plain.read_bytes()
    assert embedded(data, PREPROCESSING, "net") == embedded(data, PREPROCESSING, "net")


def test_metadata_is_replaced_and_not_doubled(plain):
    data = rewritten(plain.read_bytes(), lambda model: set_metadata(model, "a", b"first"))
    again = rewritten(data, lambda model: set_metadata(model, "a", b"second"))
    assert metadata(again)["a"] == b"second" and list(metadata(again)).count("a") == 1


def test_own_metadata_is_the_sidecar(path):
    told = json.loads(metadata(path.read_bytes())[OWN])
    assert told["normalization"] == {"scale": 1 / 127.5, "offset": -1.0}
    assert told["labels"] == list("abcdefghij") and told["answers"] == "logits"


def test_labels_are_a_zip_archive_at_the_end(path):
    archive = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    assert archive.read("labels.txt").decode().split() == list("abcdefghij")


class _Table:
    """Reads a flatbuffer by the numbers of the schema's fields, as MediaPipe's generated code does."""

    def __init__(self, data, place):
        self.table = flatbuffers.table.Table(data, place)

    @classmethod
    def root(cls, data):
        return cls(data, int.from_bytes(data[:4], "little"))

    def _offset(self, slot):
        return self.table.Offset(4 + 2 * slot)

    def child(self, slot):
        return _Table(self.table.Bytes, self.table.Indirect(self.table.Pos + self._offset(slot)))

    def children(self, slot):
        vector = self.table.Vector(self._offset(slot))
        count = self.table.VectorLen(self._offset(slot))
        return [_Table(self.table.Bytes, self.table.Indirect(vector + 4 * i)) for i in range(count)]

    def text(self, slot):
        return self.table.String(self.table.Pos + self._offset(slot)).decode()

    def byte(self, slot):
        return self.table.Get(flatbuffers.number_types.Uint8Flags, self.table.Pos + self._offset(slot))

    def floats(self, slot):
        return self.table.GetVectorAsNumpy(flatbuffers.number_types.Float32Flags, self._offset(slot)).tolist()


def test_standard_metadata_by_the_numbers_of_its_schema(path):
    # metadata_schema.fbs: ModelMetadata {name 0, subgraph_metadata 3, min_parser_version 7}, SubGraphMetadata
    # {input_tensor_metadata 2, output 3}, TensorMetadata {name 0, content 3, process_units 4, associated_files 6},
    # Content {type 0, value 1}, ImageProperties {color_space 0}, ProcessUnit {type 0, value 1}, NormalizationOptions
    # {mean 0, std 1}, AssociatedFile {name 0, type 2}.
    data = metadata(path.read_bytes())[STANDARD]
    assert data[4:8] == b"M001"
    model = _Table.root(data)
    assert (model.text(0), model.text(7)) == ("reader", "1.0.0")
    (graph,) = model.children(3)
    (image,), (output,) = graph.children(2), graph.children(3)
    assert (image.text(0), output.text(0)) == ("image", "output")
    assert image.child(3).byte(0) == 2 and image.child(3).child(1).byte(0) == 2  # ImageProperties, GRAYSCALE
    (unit,) = image.children(4)
    assert unit.byte(0) == 1  # NormalizationOptions: (pixel - mean) / std
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([127.5], [127.5])
    (labels,) = output.children(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_damaged_files_are_not_rewritten():
    with pytest.raises(ExportError, match="Expected a TFLite model"):
        rewritten(b"nothing", lambda model: None)
