from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tflite_bench.host.memory import PeakMemory


@pytest.mark.skipif(not pathlib.Path("/proc/self/clear_refs").exists(), reason="the system does not tell")
def test_each_use_sees_its_own_peak() -> None:
    # The largest first: a high-water mark that was never reset would show 0 for the others.
    for megabytes in (64, 32, 32):
        with PeakMemory() as memory:
            filled = np.ones(megabytes * 2**20, np.uint8)
            del filled
        assert memory.mb is not None
        # The kernel counts pages in batches a processor, hence not to the byte.
        assert megabytes - 4 <= memory.mb <= megabytes + 8
