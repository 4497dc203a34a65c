"""Files whose layers differ in precision."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

from tfmeta import tasks
from tfmeta.errors import ExportError
from tfmeta.export import flatbuffer, verify
from tfmeta.export.mixed import quantizer
from tfmeta.export.mixed.bits import FLOAT, INT8, INT16, Bits, BitWidths
from tfmeta.export.mixed.quantizer import MixedQuantizer
from tfmeta.export.mixed.sensitivity import judged, sensitivities
from tfmeta.export.rewrite import with_true_versions
from tfmeta.export.runtime_version import minimum_runtime, version_by_types
from tfmeta.export.tflite import export_tflite
from tfmeta.stages.mixed import choose

TYPES = {FLOAT: "FLOAT32", INT8: "INT8", INT16: "INT16"}


@pytest.fixture(scope="module")
def mixer(reader, digits, tmp_path_factory) -> MixedQuantizer:
    """Quantizes the network that reads digits."""
    pytest.importorskip("litert_quantizer", reason="litert-quantizer is an extra")
    path = tmp_path_factory.mktemp("mixed") / "float.tflite"
    export_tflite(reader, path, "fp32", digits[0][:200])
    return MixedQuantizer(path, reader, digits[0][:200])


def _inputs(data: bytes) -> list[str]:
    operators = flatbuffer.parse(data).operators
    return [operator.inputs[0].dtype for operator in operators if operator.op in quantizer._WITH_KERNEL]


def test_ranges_are_those_of_all_images(mixer, reader, digits):
    (last,) = flatbuffer.parse(mixer.float_data).outputs.values()
    answers = reader.predict(digits[0][:200], verbose=0)
    found = mixer._ranges[last.name]
    assert float(np.max(found["max"])) == pytest.approx(answers.max(), rel=1e-3)
    assert float(np.min(found["min"])) == pytest.approx(answers.min(), rel=1e-3, abs=1e-4)


def test_layers_are_those_of_keras(mixer, reader):
    kernels = [layer.name for layer in reader.layers if any(w.name == "kernel" for w in layer.weights)]
    assert [layer.name for layer in mixer.layers] == kernels


def test_a_network_whose_constants_the_quantizer_puts_behind_the_flatbuffer(tmp_path, monkeypatch):
    pytest.importorskip("litert_quantizer", reason="litert-quantizer is an extra")
    images = keras.Input((8, 8, 16), name="images")
    wide = keras.layers.Conv2D(192, 5, activation="relu", name="wide")(images)  # 77 kB in int8, 307 in float
    pooled = keras.layers.GlobalAveragePooling2D()(wide)
    model = keras.Model(images, keras.layers.Dense(4, name="classes")(pooled))
    samples = np.random.default_rng(0).standard_normal((20, 8, 8, 16)).astype(np.float32)
    path = tmp_path / "float.tflite"
    export_tflite(model, path, "fp32", samples)
    mixer = MixedQuantizer(path, model, samples)
    taken = []
    monkeypatch.setattr(quantizer, "with_true_versions", lambda data: taken.append(data) or with_true_versions(data))
    data = mixer.quantize(BitWidths.keeping(["wide"], FLOAT))
    given = schema_py_generated.ModelT.InitFromPackedBuf(taken[0], 0)
    assert any(buffer.offset > 1 for buffer in given.buffers)
    assert _inputs(data) == ["FLOAT32", "INT8"]
    mixed = tmp_path / "mixed.tflite"
    mixed.write_bytes(data)
    expected = verify.outputs(path, samples)
    np.testing.assert_allclose(verify.outputs(mixed, samples), expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("bits", [FLOAT, INT16])
def test_every_layer_has_the_bits_that_were_asked(bits, mixer):
    for place, layer in enumerate(mixer.layers):
        data = mixer.quantize(BitWidths.keeping([layer.name], bits))
        expected = [TYPES[INT8]] * len(mixer.layers)
        expected[place] = TYPES[bits]
        assert _inputs(data) == expected
        alone = mixer.quantize(BitWidths.only(layer.name))
        assert _inputs(alone) == [TYPES[INT8] if other is layer else TYPES[FLOAT] for other in mixer.layers]
        contents = flatbuffer.parse(data)
        ends = [*contents.inputs.values(), *contents.outputs.values()]
        assert [end.dtype for end in ends] == ["FLOAT32", "FLOAT32"]


def test_all_in_float_is_the_float_file(mixer, digits, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(mixer.quantize(BitWidths(others=FLOAT)))
    other = tmp_path / "f.tflite"
    other.write_bytes(mixer.float_data)
    np.testing.assert_array_equal(verify.outputs(path, digits[2][:20]), verify.outputs(other, digits[2][:20]))


def test_a_layer_that_was_made_coarse_is_the_most_sensitive(mixer, digits):
    # A spread of ranges is what int8 cannot hold: the middle layer's values are held in a few steps.
    victim = mixer.layers[1]
    for name, found in mixer._ranges.items():
        if name == victim.tensor:
            found["max"] = found["max"] * 200
    ranked = sensitivities(mixer, digits[2], digits[3])
    assert victim in (ranked[0].layer, ranked[1].layer)  # the other is the layer that reads it
    assert ranked[0].loss > 10 * abs(ranked[2].loss)


def test_judged_takes_logits_and_probabilities(mixer, digits):
    loss, accuracy = judged(mixer.float_data, digits[2], digits[3])
    assert 0 < loss < 1 and accuracy > 0.8


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("shape", [(30,), (30, 6, 5)])
def test_judged_batch_by_batch_is_judged_all_at_once(probabilities, shape, monkeypatch):
    rng = np.random.default_rng(0)
    answers, labels = rng.normal(0, 2, (*shape, 4)), rng.integers(0, 4, shape)
    answers[0] = 0.25  # these alone might be either
    likely = np.exp(answers) / np.exp(answers).sum(-1, keepdims=True)
    if probabilities:
        answers = likely
    else:
        likely[0] = 0.25
    monkeypatch.setattr(
        verify, "streamed", lambda path, images: iter(np.split(answers.astype(np.float32), [1, 12, 28]))
    )
    loss, accuracy = judged(b"", np.zeros((30, 6, 5, 1), np.float32), labels)
    chosen = np.take_along_axis(likely, labels[..., np.newaxis], -1)
    assert loss == pytest.approx(float(-np.log(chosen).mean()), rel=1e-6)
    assert accuracy == pytest.approx(tasks.score([(labels, answers)]), abs=1e-12)


def test_unknown_layer_is_named(mixer):
    with pytest.raises(ExportError, match=r"Expected layers out of .*Received: no_such"):
        mixer.quantize(BitWidths.keeping(["no_such"], FLOAT))


def test_bits_without_a_kernel_are_refused():
    with pytest.raises(ExportError, match=r"float .*int8 \(w8a8\).* Received: w3a8"):
        BitWidths({"conv": Bits(3, 8)})


def test_versions_and_runtime_are_those_of_the_types(mixer):
    # The float file asks for 1.5.0; convolutions of 8 bits came with 1.14.0 (version 3). The dense layer with a scale a
    # channel is computed rightly from 2.10.0 on.
    for bits, runtime in ((FLOAT, "1.14.0"), (INT8, "2.10.0"), (INT16, "2.10.0")):
        contents = flatbuffer.parse(mixer.quantize(BitWidths.keeping([mixer.layers[-1].name], bits)))
        assert all(one.version >= version_by_types(one) for one in contents.operators)
        assert contents.declared_runtime == runtime == minimum_runtime(contents).version


def test_progress_on_large_models_is_held_back(mixer, monkeypatch, capfd):
    progress_utils = pytest.importorskip("litert_quantizer.utils.progress_utils")
    made = progress_utils.ProgressBar.__init__

    def shown(self, total_steps, description="", disappear_on_finish=False, enable=None):
        made(self, total_steps, description, disappear_on_finish, True)

    monkeypatch.setattr(progress_utils.ProgressBar, "__init__", shown)
    mixer.quantize(BitWidths())
    assert capfd.readouterr() == ("", "")


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_quantizer", None)
    with pytest.raises(ExportError, match=r"pip install 'tfmeta\[mixed\]'"):
        quantizer._package("no_such_part")


def _rows(*values):
    names = ("kept", "search_accuracy", "ratio", "size_bytes")
    return [dict(zip(names, row, strict=True)) for row in values]


def test_the_fastest_that_loses_little_is_chosen():
    rows = _rows((None, 0.9, 1.0, 400), (0, 0.85, 0.5, 100), (1, 0.896, 0.6, 120), (2, 0.9, 0.7, 150))
    assert choose(rows, 0.005) == 1
    assert choose(rows, 0.001) == 2
    assert choose(rows, 0.1) == 0
    # Below the demand nothing is chosen, not even the most accurate.
    assert choose(_rows((None, 0.9, 1.0, 400), (0, 0.8, 0.5, 1), (1, 0.85, 0.9, 1), (2, 0.84, 0.7, 1)), 0.01) is None
