from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tflite_bench.host.memory import PeakMemory


@pytest.mark.skipif(not pathlib.Path("/proc/self/clear_refs").exists(), reason="the system does not tell")
def test_each_use_sees_its_own_peak() -> None:
    # The largest first: a high-water mark that was never reset would show 0 for the others.
    for megabytes in (64, 32, 32):
        peaks = [_peak_of(megabytes) for _ in range(5)]
        # The kernel counts pages in batches a processor, hence not to the byte. Where memory is scarce it takes pages
        # that are not in use from the process meanwhile, which hides a part of the peak, but not every time.
        assert megabytes - 4 <= max(peaks)
        assert min(peaks) <= megabytes + 8


def _peak_of(megabytes: int) -> float:
    with PeakMemory() as memory:
        filled = np.ones(megabytes * 2**20, np.uint8)
        del filled
    assert memory.mb is not None
    return memory.mb
