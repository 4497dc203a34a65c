"""Files run in another process, which may end without an answer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests import nets
from tfmeta.errors import ExportError
from tfmeta.export import isolated, litert, verify


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return nets.written(tmp_path_factory.mktemp("files"), "fp32", "fp16")


def test_the_answers_are_those_of_this_process(files):
    path, other = files
    assert isolated.coverage(path) == litert.coverage(path)
    images = np.random.default_rng(0).random((20, 8, 8, 1), np.float32)
    expected = verify.agreement_of([(verify.outputs(path, images), verify.outputs(other, images))])
    assert isolated.agreement(other, path, images) == expected and expected.max_abs_error > 0.0
    with pytest.raises(ExportError, match=r"Received: \[9, 8, 1\]"):
        isolated.agreement(other, path, np.zeros((2, 9, 8, 1), np.float32))
    with pytest.raises(ExportError, match="LiteRT cannot run"):
        isolated.coverage(path.parent / "none.tflite")


def test_one_process_serves_all(files):
    isolated.coverage(files[0])
    process = isolated._child()._process
    isolated.coverage(files[1])
    assert isolated._child()._process is process


def test_a_file_that_ends_the_process(files, tmp_path, ended_by):
    ended_by("bad.tflite")
    images = np.zeros((2, 8, 8, 1), np.float32)
    with pytest.raises(ExportError, match=r"bad\.tflite' or '.*fp32\.tflite' ended the process \(SIGKILL\)"):
        isolated.agreement(tmp_path / "bad.tflite", files[0], images)
    assert isolated.coverage(files[0]) is not None


def test_an_error_of_the_process_is_not_blamed_on_a_file(files, ended_by, monkeypatch):
    argv = [sys.executable, "-c", "raise SystemExit(3)"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    monkeypatch.setattr(isolated, "_started", lambda: subprocess.Popen(argv, **pipes))
    with pytest.raises(RuntimeError, match="failed with exit code 3"):
        isolated.coverage(files[0])


def test_a_file_does_not_answer_for_the_one_before_it(files, ended_by):
    # The second call finds a process that the first file has spoiled.
    ended_by("fp16.tflite", before="fp32.tflite")
    assert isolated.coverage(files[0]) is not None
    assert isolated.coverage(files[1]) is not None
