"""The manifest: verified files only, and every number in its place."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfmeta import files
from tfmeta.errors import ExportError
from tfmeta.export import bundle, verify
from tfmeta.export.bundle import Origin, Refused, Shipped
from tfmeta.export.model_card import model_card
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.tflite import export_tflite

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine $")
PREPROCESSING = Preprocessing(8, 8, 1, "resize", (1 / 255, 0.0), LABELS)
ORIGIN = Origin("reader", "two_convolutions", "digits", "0.5 of the MACs", {"searcher": "genetic", "seed": 3})
SCHEMES = ("fp32", "int8", "int8_io")


@pytest.fixture(scope="module")
def shipped(reader, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipped")
    return [
        Shipped(
            "searched",
            export_tflite(
                reader, folder / f"searched-{scheme}.tflite", scheme, digits[0][:100], preprocessing=PREPROCESSING
            ),
            0.93,
            397,
        )
        for scheme in SCHEMES
    ]


def with_float_agreement(result):
    """``result`` as of a scheme whose training has changed the network much."""
    return dataclasses.replace(result, float_agreement=dataclasses.replace(result.agreement, class_agreement=0.123))


def write(folder, shipped):
    """Writes the bundle of ``shipped`` as the stage does it."""
    with files.replacing_folder(folder) as new:
        placed = []
        for item in shipped:
            path = new / item.result.path.name
            files.write_bytes(path, item.result.path.read_bytes())
            result = with_float_agreement(dataclasses.replace(item.result, path=path))
            placed.append(dataclasses.replace(item, result=result))
        refused = [Refused("full", "int8", "It computes something else.", "abc")]
        return bundle.write_bundle(
            new, placed, refused, preprocessing=PREPROCESSING, origin=ORIGIN, command="tfmeta export --workdir=w"
        )


@pytest.fixture(scope="module")
def made(shipped, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "main"
    write(folder, shipped)
    return folder


def contents(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def save(grey, path):
    """Writes a picture `[H, W]`."""
    path.write_bytes(tf.io.encode_png(grey[..., np.newaxis]).numpy())


def load(path):
    """The module at ``path``, as a program would import it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_that_an_app_needs_is_there(made):
    expected = {f"searched-{scheme}.tflite" for scheme in SCHEMES}
    expected |= {f"snippets/searched_{scheme}.py" for scheme in SCHEMES}
    expected |= {"snippets/SearchedFp32.kt", "snippets/SearchedInt8.kt", "snippets/SearchedInt8Io.kt"}
    expected |= {"labels.txt", "preprocessing.json", "MODEL_CARD.md", "manifest.json"}
    assert contents(made) == expected
    assert (made / "labels.txt").read_text().splitlines() == list(LABELS)
    assert json.loads((made / "preprocessing.json").read_text())["normalization"] == {"scale": 1 / 255, "offset": 0.0}


def test_the_manifest_vouches_for_every_other_file(made):
    manifest = bundle.read_manifest(made / "manifest.json")
    listed = {entry["file"]: entry for entry in (*manifest["files"], *manifest["sidecars"])}
    assert set(listed) == contents(made) - {"manifest.json"}
    for name, entry in listed.items():
        assert (files.sha256(made / name), (made / name).stat().st_size) == (entry["sha256"], entry["size_bytes"])
    assert manifest["origin"]["search"] == {"searcher": "genetic", "seed": 3}


def test_the_card_says_what_the_manifest_says(made, shipped):
    card = (made / "MODEL_CARD.md").read_text()
    assert card.startswith("---\nlibrary_name: tflite\n") and 'datasets: ["digits"]' in card
    # 1.96 * sqrt(0.93 * 0.07 / 397) = 0.0251.
    assert "| `searched-int8.tflite` | int8 | 93.00 ± 2.51 % |" in card
    assert f"`{shipped[1].result.sha256[:16]}…`" in card
    assert "No int8 file of full: It computes something else." in card
    assert "image: int8 [1, 8, 8, 1], scale 0.00392157, zero point -128" in card
    found = shipped[1].result.agreement
    errors = f"{found.max_abs_error:.3g} | {found.mean_abs_error:.3g} | 100 images"
    # The network after a training of the scheme and that before it: two numbers, both named.
    assert "| file | same class | largest error | mean error | on | same class as the float network |" in card
    assert f"| `searched-int8.tflite` | {found.class_agreement:.1%} | {errors} | 12.3% |" in card
    assert "tfmeta export --workdir=w" in card and "searcher: genetic" in card
    assert "Images of 8 × 8, grey, stretched to that size" in card


def measured(median_ms, started_at, memory_mb):
    device = {"name": "Pixel 8", "runtime": "benchmark_model", "runtime_version": "abc"}
    startup = {"init_ms": 1.25, "first_inference_ms": 0.5, "peak_memory_mb": memory_mb}
    measurement = {"device": device, "options": {"threads": 2}, "started_at": started_at, "num_runs": 60, **startup}
    return {"median_ms": median_ms, "p90_ms": 0.3, "verdict": "OK", "measurement": measurement}


def test_the_card_tells_latency_start_and_memory_and_each_device_once(made):
    manifest = bundle.read_manifest(made / "manifest.json")
    first, second, _ = manifest["files"]
    first["latency"] = measured(0.25, "2026-03-01T10:00:00Z", 4.25)
    second["latency"] = measured(0.125, "2026-03-01T10:00:09Z", None)
    card = model_card(manifest, PREPROCESSING)
    assert "| 0.250 / 0.300 ms (60 runs, OK) | 1.250 + 0.500 ms | 4.2 MiB |" in card
    assert "| 0.125 / 0.300 ms (60 runs, OK) | 1.250 + 0.500 ms | not told |" in card
    assert "| not measured | not measured | not measured |" in card
    assert card.count("Pixel 8") == 1
    assert "Latency: Pixel 8, benchmark_model abc, 2 thread(s), 2026-03-01. Peak memory" in card


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        (("searched", "full"), ["`searched`: its channels were chosen by a search: 0.5", "`full`: nothing was pruned"]),
        (("full",), ["`full`: nothing was pruned"]),
        (("front00", "front01", "front01"), ["`front00`, `front01`: networks of the search's front"]),
    ],
)
def test_the_card_says_what_each_network_is(networks, told, made):
    manifest = bundle.read_manifest(made / "manifest.json")
    for file, network in zip(manifest["files"], networks, strict=False):
        file["model"] = network
    del manifest["files"][len(networks) :]
    card = model_card(manifest, PREPROCESSING)
    assert "two_convolutions, trained on digits.\n\n- `" in card
    lines = [line for line in card.splitlines() if line.startswith("- ")]
    assert len(lines) == len(told)
    assert all(line.startswith(f"- {text}") for line, text in zip(lines, told, strict=True))


@pytest.mark.parametrize("schemes", [(), ("int8",), ("fp32", "int8_qat"), ("clustered",)])
def test_versions_of_packages_that_only_some_files_need(schemes):
    versions = bundle.installed_versions(schemes)
    trained = {"tf-keras", "tensorflow-model-optimization"}
    assert trained & set(versions) == (trained if "int8_qat" in schemes or "clustered" in schemes else set())
    assert set(bundle.installed_versions(schemes, mixed=True)) == {*versions, "litert-quantizer"}


def test_the_manifest_names_the_versions_of_a_scheme_that_trains(shipped, tmp_path):
    refused = [Refused("searched", "sparse", "No.", "abc")]
    manifest = bundle.write_manifest(tmp_path / "manifest.json", shipped, refused, command="")
    assert "tf-keras" in manifest["versions"]
    assert "tf-keras" not in bundle.write_manifest(tmp_path / "manifest.json", shipped, command="")["versions"]


def test_the_manifest_names_the_version_of_what_mixes_precisions(shipped, tmp_path):
    mixed = [dataclasses.replace(shipped[0], result=dataclasses.replace(shipped[0].result, scheme="mixed_2"))]
    assert "litert-quantizer" in bundle.write_manifest(tmp_path / "manifest.json", mixed, command="")["versions"]
    assert "litert-quantizer" not in bundle.write_manifest(tmp_path / "manifest.json", shipped, command="")["versions"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_python_snippet_answers_as_the_file_does(made, digits, scheme):
    module = load(made / "snippets" / f"searched_{scheme}.py")
    pixels = np.round(digits[2][:50] * 255).astype(np.uint8)
    # 0..255 becomes 0..1, which the network was trained on; then the file's own answer, as probabilities.
    logits = verify.outputs(made / f"searched-{scheme}.tflite", pixels.astype(np.float32) / np.float32(255))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    classifier = module.Classifier()
    received = np.stack([classifier.probabilities(image) for image in pixels])
    np.testing.assert_allclose(received, powers / powers.sum(axis=1, keepdims=True), atol=2e-3)
    best = classifier.classify(pixels[0], count=2)
    assert best[0][0] == LABELS[int(received[0].argmax())] and best[0][1] > best[1][1]
    right = np.mean([received[i].argmax() == digits[3][i] for i in range(50)])
    assert right > 0.8


def test_the_python_snippet_runs_as_a_program(made, digits, tmp_path):
    picture = np.kron(np.round(digits[2][0, ..., 0] * 255).astype(np.uint8), np.ones((5, 5), np.uint8))
    save(picture, tmp_path / "digit.png")  # five times as large: it is shrunk again
    command = [sys.executable, str(made / "snippets" / "searched_int8.py"), str(tmp_path / "digit.png")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    classifier = load(made / "snippets" / "searched_int8.py").Classifier()
    label, probability = classifier.classify(np.round(digits[2][0] * 255).astype(np.uint8))[0]
    assert done.stdout.startswith(f"{tmp_path / 'digit.png'}: {label} {probability:.1%}, ")


def test_the_python_snippet_refuses_what_is_not_its_own(made, tmp_path):
    module = load(made / "snippets" / "searched_int8.py")
    with pytest.raises(ValueError, match="is not the file that this program was written for"):
        module.Classifier(made / "searched-fp32.tflite")
    with pytest.raises(ValueError, match=r"Expected uint8 \[8, 8, 1\], grey\. Received: float32 \[8, 8, 1\]"):
        module.Classifier().classify(np.zeros((8, 8, 1), np.float32))


def test_pictures_are_padded_where_they_were_in_training(made, tmp_path):
    from tfmeta.export import flatbuffer
    from tfmeta.export.python_snippet import python_snippet

    padded = dataclasses.replace(PREPROCESSING, fit="pad")
    file = made / "searched-int8.tflite"
    (tmp_path / "padded.py").write_text(python_snippet(file.name, files.sha256(file), flatbuffer.read(file), padded))
    save(np.full((6, 4), 200, np.uint8), tmp_path / "small.png")
    expected = np.zeros((8, 8), np.uint8)
    expected[1:7, 2:6] = 200
    np.testing.assert_array_equal(load(tmp_path / "padded.py").read_picture(tmp_path / "small.png")[..., 0], expected)


def test_the_kotlin_snippet_has_the_numbers_of_its_file(made, shipped):
    text = (made / "snippets" / "SearchedInt8Io.kt").read_text()
    assert "class SearchedInt8Io(context: Context" in text
    assert (
        f'const val SHA256 = "{shipped[2].result.sha256}"' in text
        and 'const val FILE = "searched-int8_io.tflite"' in text
    )
    (image,), (output,) = shipped[2].result.contents.inputs.values(), shipped[2].result.contents.outputs.values()
    scale, zero = image.quantization.scale[0], image.quantization.zero_point[0]
    stored = f"((scaled / {scale:.9g}f).roundToInt() + ({zero})).coerceIn(-128, 127)"
    assert f"input.put({stored}.toByte())" in text
    scale, zero = output.quantization.scale[0], output.quantization.zero_point[0]
    assert f"(output.get() - ({zero})) * {scale:.9g}f" in text
    assert "val scaled = value * 0.00392156863f" in text
    assert '"nine \\$",' in text  # else it would begin a template
    assert "softmax(answer)" in text and "input.putFloat" not in text
    assert "input.putFloat(scaled)" in (made / "snippets" / "SearchedInt8.kt").read_text()
    for name in ("SearchedInt8.kt", "SearchedInt8Io.kt"):
        text = (made / "snippets" / name).read_text()
        assert all(text.count(left) == text.count(right) for left, right in ("{}", "()", "[]"))


def test_a_full_disk_at_any_moment_leaves_no_half_bundle(shipped, tmp_path, monkeypatch):
    old, new = shipped[:1], shipped[1:2]
    write(tmp_path / "whole", new)
    whole = contents(tmp_path / "whole")
    synced = files._sync
    left = [0]

    def full(path):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(path)

    write(tmp_path / "main", old)
    before = contents(tmp_path / "main")
    monkeypatch.setattr(files, "_sync", full)
    for count in range(100):
        left[0] = count
        try:
            write(tmp_path / "main", new)
        except OSError as error:
            assert error.errno == errno.ENOSPC
        else:
            break
        # Only the last sync, of the folder above, comes when the new bundle has taken its place already.
        assert contents(tmp_path / "main") in (before, whole)
        assert sorted(os.listdir(tmp_path)) == ["main", "whole"]
    assert 15 < count < 99 and contents(tmp_path / "main") == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount")
def test_a_disk_that_is_full_indeed(shipped, tmp_path):
    # Room for one of the three files and a half.
    room = shipped[0].result.size_bytes + shipped[1].result.size_bytes // 2
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        with pytest.raises(OSError, match="No space left on device") as told:
            write(tmp_path / "main", shipped)
        assert str(told.value.filename).startswith(str(tmp_path / "main"))
        assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:9], r"the network answers \[10\]\. Received: 9 labels \(zero, one, two …\)"),
        ((), "Expected a label of one line for each class. Received: none"),
        ((*LABELS[:9], "two\nlines"), "Received: 'two"),
    ],
)
def test_labels_that_do_not_fit_the_classes(labels, message, reader, digits, tmp_path):
    with pytest.raises(ExportError, match=message):
        preprocessing = dataclasses.replace(PREPROCESSING, labels=labels)
        export_tflite(reader, tmp_path / "m.tflite", "fp32", digits[0][:100], preprocessing=preprocessing)
    assert not list(tmp_path.iterdir())


def test_images_of_another_size_than_the_network_takes(reader, digits, tmp_path):
    preprocessing = dataclasses.replace(PREPROCESSING, height=9)
    with pytest.raises(ExportError, match=r"images of \[9, 8, 1\]\. Received: \[8, 8, 1\]"):
        export_tflite(reader, tmp_path / "m.tflite", "fp32", digits[0][:100], preprocessing=preprocessing)


@pytest.fixture
def result(reader, digits, tmp_path):
    return export_tflite(reader, tmp_path / "searched-int8.tflite", calibration=digits[0][:100])


def test_manifest_has_the_numbers_of_a_file(result, tmp_path):
    shipped = Shipped("searched", result, 0.93, 397, {"median_ms": 0.2}, widths=(16, 32))
    written = bundle.write_manifest(tmp_path / "manifest.json", [shipped], command="tfmeta export")
    manifest = bundle.read_manifest(tmp_path / "manifest.json")
    assert manifest["command"] == "tfmeta export"
    assert set(manifest["versions"]) >= {"tfmeta", "tensorflow", "keras", "python"}
    (entry,) = manifest["files"]
    assert entry["file"] == "searched-int8.tflite"
    assert entry["sha256"] == files.sha256(result.path) == written["files"][0]["sha256"]
    assert entry["size_bytes"] == result.path.stat().st_size
    assert entry["test_accuracy"] == 0.93 and entry["test_images"] == 397
    assert entry["latency"] == {"median_ms": 0.2} and entry["widths"] == [16, 32]
    # A scheme that does not train converts the float network itself.
    assert entry["agreement"]["class_agreement"] == result.agreement.class_agreement
    assert entry["float_agreement"] == entry["agreement"]
    assert entry["inputs"]["image"] == {
        "tensor": "serving_default_image:0",
        "shape": [1, 8, 8, 1],
        "dtype": "float32",
        "quantization": None,
    }
    # The dense layer has a scale a channel, which older runtimes compute wrongly.
    assert entry["minimum_runtime"]["version"] == "2.10.0"
    # Two convolutions, each with one scale a channel.
    conv = {"op": "CONV_2D", "version": 3, "count": 2, "weights": "int8 per channel"}
    assert conv in entry["operators"]


def test_what_was_not_measured_is_null(result, tmp_path):
    bundle.write_manifest(tmp_path / "manifest.json", [Shipped("full", result)], command="")
    (entry,) = bundle.read_manifest(tmp_path / "manifest.json")["files"]
    assert entry["latency"] is None and entry["test_accuracy"] is None and entry["widths"] is None


@pytest.mark.parametrize("change", ["remove", "edit"])
def test_file_that_is_not_the_verified_one_is_not_listed(change, result, tmp_path):
    if change == "remove":
        result.path.unlink()
    else:
        result.path.write_bytes(b"other")
    with pytest.raises(ExportError, match="as it was verified"):
        bundle.write_manifest(tmp_path / "manifest.json", [Shipped("full", result)], command="")
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(("text", "message"), [(None, "No manifest"), ("{", "not valid JSON"), ("[]", "with 'files'")])
def test_manifest_that_cannot_be_read(text, message, tmp_path):
    path = tmp_path / "manifest.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ExportError, match=message):
        bundle.read_manifest(path)
