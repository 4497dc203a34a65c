from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tflite_bench.host import runtime


def test_the_embedded_model_is_one_relu() -> None:
    interpreter = runtime.interpreter_class()(model_content=runtime.ONE_RELU)
    interpreter.allocate_tensors()
    for value in (-2.0, 3.0):
        interpreter.set_tensor(0, np.float32([value]))
        interpreter.invoke()
        assert interpreter.get_tensor(1) == max(value, 0.0)


def test_only_the_greeting_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with runtime._without_greeting():
        os.write(2, runtime._GREETING + b"\nWARNING: first\n")
        os.write(2, b"ERROR: second\n")
    assert capfd.readouterr().err == "WARNING: first\nERROR: second\n"


def test_what_is_written_before_an_error_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="broken"), runtime._without_greeting():
        os.write(2, b"ERROR: because\n")
        raise RuntimeError("broken")
    assert capfd.readouterr().err == "ERROR: because\n"


def test_a_fresh_process_starts_silently() -> None:
    code = "from tflite_bench.host import runtime; runtime.interpreter_class()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
