"""Every hazard is found, in files of tfmeta and of others, whole and damaged."""

from __future__ import annotations

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmeta.errors import UserError
from tfmeta.export import ship_run
from tfmeta.export.chatter import quiet
from tfmeta.export.flatbuffer import parse
from tfmeta.export.model_metadata import STANDARD, associated_files, embedded
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.rewrite import rewritten, set_metadata
from tfmeta.export.ship_check import FAIL, INFO, OK, WARN, ShipOptions, read_labels, ship_check
from tfmeta.export.tflite import export_tflite


@pytest.fixture(scope="module")
def files(reader, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ship")
    return {
        scheme: export_tflite(reader, folder / f"{scheme}.tflite", scheme, digits[0][:100]).path
        for scheme in ("fp32", "int8", "int8_io", "int16x8")
    }


def found(path, options=None):
    """Check → finding; of several, the last."""
    return {finding.check: finding for finding in ship_check(path, options).findings}


def changed(files, tmp_path, change, scheme="int8_io"):
    path = tmp_path / "changed.tflite"
    path.write_bytes(rewritten(files[scheme].read_bytes(), change))
    return path


def converted(model, path):
    """A file as others make it."""
    with quiet():
        path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


@pytest.mark.parametrize("scheme", ["fp32", "int8", "int8_io", "int16x8"])
def test_files_of_tfmeta_are_fit(files, scheme):
    report = ship_check(files[scheme], ShipOptions(min_runtime="2.16", max_size_mb=1, num_labels=10))
    assert report.fits and str(report).endswith(f"{scheme}.tflite: fit to ship")
    levels = {finding.check: finding.level for finding in report.findings}
    assert {levels[check] for check in ("runtime", "operators", "shapes", "names", "size", "labels")} == {OK}


def test_runtime_and_size_that_are_too_much(files):
    # FULLY_CONNECTED v4 is of 1.14, but with a scale a channel it answers wrongly before 2.10.
    assert found(files["int8"], ShipOptions(min_runtime="2.10"))["runtime"].level == OK
    assert found(files["int8"], ShipOptions(min_runtime="2.9.1"))["runtime"].level == FAIL
    report = ship_check(files["int16x8"], ShipOptions(min_runtime="2.9", max_size_mb=0.001))
    findings = {finding.check: finding for finding in report.findings}
    assert not report.fits and "2 checks failed" in str(report)
    assert findings["runtime"].level == FAIL
    needed = "2.10.0 (FULLY_CONNECTED v7, int16 x int8 per channel)"
    assert findings["runtime"].text.startswith(f"needs {needed}; the file itself claims 1.")
    assert "later than 2.9. Older ones crash on it or answer wrongly" in findings["runtime"].text
    assert "more than the 0.001 MB allowed" in findings["size"].text


def test_an_operator_that_is_not_known_promises_nothing(files, tmp_path):
    def change(model):
        model.operatorCodes[0].version = 99

    path = changed(files, tmp_path, change)
    assert found(path)["runtime"].level == WARN
    finding = found(path, ShipOptions(min_runtime="2.16"))["runtime"]
    assert finding.level == FAIL and "unknown for CONV_2D v99" in finding.text
    assert "so 2.16 cannot be promised" in finding.text


def test_types_that_are_not_known_promise_nothing(by_others):
    # Float values with weights of 4 bits: LiteRT says of no version that it computes with them.
    finding = found(by_others("dynamic_wi4_afp32"), ShipOptions(min_runtime="2.16"))["runtime"]
    assert finding.level == FAIL and "(float32 x int4 per channel), so 2.16 cannot be promised" in finding.text


def test_flex_operators(tmp_path):
    function = tf.function(tf.linalg.det, input_signature=[tf.TensorSpec((1, 4, 4), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    with quiet():
        (tmp_path / "m.tflite").write_bytes(converter.convert())
    finding = found(tmp_path / "m.tflite")["operators"]
    assert finding.level == FAIL and finding.text.startswith(
        "TensorFlow operators: FlexMatrixDeterminant. An app needs"
    )


@pytest.mark.parametrize(("name", "level"), [("MyOwn", FAIL), ("TFLite_Detection_PostProcess", WARN)])
def test_custom_operators(files, tmp_path, name, level):
    def change(model):
        code = model.operatorCodes[-1]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version = 32, 32, name, 1

    findings = found(changed(files, tmp_path, change), ShipOptions(min_runtime="2.16"))
    assert findings["operators"].level == level and name in findings["operators"].text
    assert findings["runtime"].level == {FAIL: FAIL, WARN: OK}[level]


def test_open_sizes_and_made_up_names(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image)))
    findings = found(converted(model, tmp_path / "m.tflite"))
    assert findings["shapes"].level == FAIL and "[-1, -1, -1, 3]" in findings["shapes"].text
    assert findings["names"].level == WARN and "'keras_tensor" in findings["names"].text
    image = keras.Input((8, 8, 3), name="camera")
    model = keras.Model(image, {"scores": layers.Dense(4)(layers.Flatten()(image))})
    findings = found(converted(model, tmp_path / "m.tflite"))
    assert findings["shapes"].level == WARN and "open batch: camera [-1, 8, 8, 3]" in findings["shapes"].text
    assert findings["names"].text == "signature 'serving_default': camera → scores"


def test_branches_are_read_too(tmp_path):
    image = keras.Input((8,), batch_size=1, name="image")
    branch = layers.Lambda(
        lambda t: tf.cond(tf.reduce_sum(t) > 0, lambda: tf.sin(t), lambda: tf.sqrt(t)), output_shape=(8,)
    )
    findings = found(converted(keras.Model(image, branch(image)), tmp_path / "m.tflite"))
    assert findings["operators"].level == WARN and "in 3 graphs: branches or loops" in findings["operators"].text


def test_no_signature(files, tmp_path):
    def change(model):
        model.signatureDefs = None

    finding = found(changed(files, tmp_path, change))["names"]
    assert finding.level == WARN and finding.text.startswith("no signature; apps must go by position")


def test_integer_ends_tell_their_scale_or_fail(files, tmp_path):
    assert found(files["int8"])["input"].text == "image: float32, nothing to scale"
    finding = found(files["int8_io"])["input"]
    assert finding.level == INFO and finding.text == "image: int8, value = 0.00392157 * (stored + 128)"

    def change(model):
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].quantization = None

    findings = found(changed(files, tmp_path, change))
    assert findings["input"].level == FAIL and "int8 without a scale" in findings["input"].text


def test_labels_that_do_not_fit(files, tmp_path):
    finding = found(files["int8"], ShipOptions(num_labels=9))["labels"]
    assert finding.level == FAIL and finding.text.startswith("9 labels do not fit the classes: output has 10.")
    (tmp_path / "labels.txt").write_text("cat\ndog\n\n")
    assert read_labels(tmp_path / "labels.txt") == ("cat", "dog")
    (tmp_path / "labels.txt").write_text("cat\n\ndog\n")
    with pytest.raises(UserError, match=r"one label a line.*Received: empty lines"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(UserError, match=r"Cannot read the labels.*No such file"):
        read_labels(tmp_path / "none.txt")


def test_metadata_is_told(files, tmp_path):
    assert "does not say" in found(files["int8"])["metadata"].text
    path = changed(files, tmp_path, lambda model: set_metadata(model, "tfmeta", b"{}"))
    assert "is in the file" in found(path)["metadata"].text


def test_labels_behind_the_flatbuffer(files, tmp_path):
    preprocessing = Preprocessing(8, 8, 1, "resize", (1 / 255, 0.0), tuple("abcdefghij"))
    data, path = embedded(files["int8"].read_bytes(), preprocessing, "m"), tmp_path / "m.tflite"
    assert associated_files(parse(data)) == ("labels.txt",)
    path.write_bytes(data)
    assert found(path)["metadata"].level == INFO

    def damaged(model):
        set_metadata(model, STANDARD, b"\x40\0\0\0M001\0\0\0\0")

    labels = data.rindex(b"a\nb\n")
    for wrong, told in (
        (data[:-40], "expected labels.txt in an archive at the end of the file"),
        (rewritten(data, lambda model: None), "expected labels.txt in an archive at the end of the file"),
        (data[:labels] + b"x" + data[labels + 1 :], "Bad CRC-32 for file 'labels.txt'"),
        (data.replace(b"labels.txt", b"lobels.txt", 1), "There is no item named 'lobels.txt' in the archive"),
        (rewritten(data, damaged), "Expected the metadata 'TFLITE_METADATA' of its schema"),
    ):
        path.write_bytes(wrong)
        finding = found(path)["metadata"]
        assert finding.level == FAIL and told in finding.text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "Expected a TFLite model"),
        (b"{}", "Expected a TFLite model"),
        (b"PK\x03\x04" * 100, "Expected a TFLite model"),
        (b"\x1c\0\0\0TFL2" + b"\0" * 100, "Received: b'TFL2'"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 100, "no"),
    ],
)
def test_what_is_no_tflite_file(data, text, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    report = ship_check(path)
    assert not report.fits and [finding.check for finding in report.findings] == ["file"]
    assert text in report.findings[0].text


def test_damaged_files_are_answered_and_never_crash(files, tmp_path):
    data, rng, path = files["int8"].read_bytes(), np.random.default_rng(0), tmp_path / "m.tflite"
    started = time.monotonic()
    fit = 0
    for _ in range(40):
        path.write_bytes(data[: rng.integers(1, len(data) - 64)])
        assert not ship_check(path).fits
        changed = bytearray(data)
        for place in rng.integers(8, len(data), 10):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        fit += ship_check(path).fits  # a changed weight or name is no damage that can be seen
        ship_run.host_delegation(path)
    assert fit < 40
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("name", "why"), [("none.tflite", "No such file or directory"), (".", "Is a directory")])
def test_what_cannot_be_read(name, why, tmp_path):
    (finding,) = ship_check(tmp_path / name).findings
    assert (finding.check, finding.level) == ("file", FAIL)
    assert finding.text == f"Cannot read the .tflite file {str(tmp_path / name)!r}: {why}."


def test_a_folder_without_a_name_is_named():
    assert str(ship_check(".")).endswith("\n.: not fit to ship: 1 check failed")


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize("zero_point", [None, [], [0, 0]])
def test_a_scale_without_its_zero_point(side, zero_point, files, tmp_path):
    def change(model):
        graph = model.subgraphs[0]
        graph.tensors[getattr(graph, side)[0]].quantization.zeroPoint = zero_point

    path = changed(files, tmp_path, change)
    (finding,) = ship_check(path).findings
    assert finding.level == FAIL and f"Received: 1 scales, {len(zero_point or [])} zero points" in finding.text
    # As LiteRT has it.
    assert ship_run.host_delegation(path).level == FAIL


@pytest.mark.parametrize("options", [{"min_runtime": "new"}, {"min_runtime": "2"}, {"max_size_mb": 0.0}])
def test_options_out_of_range(options):
    with pytest.raises(UserError, match="Received: "):
        ShipOptions(**options)
