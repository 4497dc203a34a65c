"""What every test runs under: quiet TensorFlow, plots without a window, fixed examples."""

import gc
import os
import signal
import subprocess
import sys

import hypothesis
import numpy as np
import pytest

# Before anything imports these packages.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# Started in the background, this process would hand ignored signals on to all that the tests start.
for number, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# No deadline: the first example of a test pays for the import of TensorFlow.
hypothesis.settings.register_profile("tfmeta", deadline=None, derandomize=True, max_examples=30, database=None)
hypothesis.settings.load_profile("tfmeta")


# Arguments: the name of the file that ends the process, and of one that must have run before, or "".
_ENDED = """
import os, signal, sys
from tfmeta.export import isolated

name, before = sys.argv[1:]
found, seen = isolated._found, {""}

def ended(paths, **rest):
    names = {os.path.basename(path) for path in paths}
    if name in names and before in seen:
        os.kill(os.getpid(), signal.SIGKILL)
    seen.update(names)
    return found(paths, **rest)

isolated._found = ended
isolated._serve()
"""


@pytest.fixture
def ended_by(monkeypatch):
    """Returns (name, before) -> None: the process that runs files is ended by the file of that name."""
    from tfmeta.export import isolated

    def arrange(name: str, before: str = "") -> None:
        argv = [sys.executable, "-c", _ENDED, name, before]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        monkeypatch.setattr(isolated, "_started", lambda: subprocess.Popen(argv, env=environment, **pipes))

    isolated._child().end()
    yield arrange
    isolated._child().end()


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that gives the same numbers in every test and every run."""
    return np.random.default_rng(20191027)


@pytest.fixture(autouse=True, scope="module")
def _free_keras_memory():
    """Lets go of the graphs that a test module made, so that memory does not grow."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
        gc.collect()
        gc.freeze()  # what is left stays to the end: the next collection need not look at it again
