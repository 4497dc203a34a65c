"""What every test runs under: quiet TensorFlow, plots without a window, fixed examples."""

import gc
import os
import signal
import sys

import hypothesis
import numpy as np
import pytest

# Before anything imports these packages.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# Started in the background (nohup), this process would hand the ignored signal on to all that the tests start.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No deadline: the first example of a test pays for the import of TensorFlow.
hypothesis.settings.register_profile("tfmeta", deadline=None, derandomize=True, max_examples=30, database=None)
hypothesis.settings.load_profile("tfmeta")


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
