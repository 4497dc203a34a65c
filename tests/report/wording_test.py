"""Numbers as text."""

from __future__ import annotations

import pytest

from tfmeta.report import wording
from tfmeta.report.data import Latency, Missing


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (1234, "1.23 k"),
        (12_345, "12.3 k"),
        (123_456, "123 k"),
        (4.1e7, "41.0 M"),
        (2.5e9, "2.50 G"),
        (Missing("not counted"), "not counted"),
    ],
)
def test_count(value, text):
    assert wording.count(value) == text


@pytest.mark.parametrize(("value", "text"), [(999, "999 B"), (1000, "1.00 kB"), (3.9e6, "3.90 MB")])
def test_size(value, text):
    assert wording.size(value) == text


@pytest.mark.parametrize(
    ("value", "p50", "p90"),
    [
        (Latency(0.01234, 0.1), "0.012 ms", "0.100 ms"),
        (Latency(1.5, 12.34, "NOISY"), "1.50 ms (NOISY)", "12.3 ms (NOISY)"),
        (Missing("no phone"), "no phone", "no phone"),
    ],
)
def test_latency(value, p50, p90):
    assert (wording.p50(value), wording.p90(value)) == (p50, p90)


@pytest.mark.parametrize(
    ("value", "start", "memory"),
    [
        (Latency(1.0, 1.0, "OK", 5, 12.34, 0.5, 4.25), "12.3 + 0.500 ms", "4.2 MiB"),
        (Latency(1.0, 1.0, "OK", 5, 12.34, 0.5), "12.3 + 0.500 ms", "not told"),
        (Latency(1.0, 1.0), "not recorded", "not told"),
    ],
)
def test_what_a_file_takes_before_its_steady_state(value, start, memory):
    assert (wording.start(value), wording.memory(value)) == (start, memory)


@pytest.mark.parametrize(("value", "text"), [(12.5e6, "12.5 M"), (2000, "2 k"), (0, "0")])
def test_tick(value, text):
    assert wording.tick(value) == text


def test_percent():
    assert wording.percent(0.91249) == "91.2 %"
    assert wording.text(Missing("not known")) == "not known"
