"""A small report with every kind of number in it, also missing ones."""

from __future__ import annotations

import pytest

from tfmeta.report.data import (
    FileRow,
    GroupWidth,
    Latency,
    Missing,
    ReportData,
    Row,
    TrialPoint,
)


@pytest.fixture
def data() -> ReportData:
    no_device = Missing("not measured: no device")
    return ReportData(
        network="mobilenet",
        data_set="digits",
        budget="at most 1 M MACs",
        rows=(
            Row("searched", 980_000, 12_345, 0.8, 0.95, 45_678, Latency(0.4123, 0.4678)),
            Row("random", 990_000, 12_000, 0.78, 0.94, 44_000, Latency(0.41, 0.5, "NOISY")),
            Row("uniform", 1_000_000, 13_000, 0.7, Missing("not retrained"), 45_000, no_device),
            Row("full", 4_000_000, 50_000, test_accuracy=0.97),
        ),
        files=(FileRow("searched", "int8", 45_678, 0.94, 0.99, no_device, "1.14.0"),),
        trials=(
            TrialPoint(500_000, 0.6, "genetic"),
            TrialPoint(600_000, 0.5, "random"),
            TrialPoint(980_000, 0.8, "genetic"),
            TrialPoint(1_200_000, 0.9, "random", feasible=False),
        ),
        groups=(GroupWidth("stem", 32, 24), GroupWidth("block_1", 64, 16)),
        how=(("Latency", "on the host, 1 thread"),),
        versions={"keras": "3.15.1", "tensorflow": "2.21.0"},
        command="tfmeta run --workdir=runs/x",
        created="2026-11-20",
        search_images=500,
        test_images=10_000,
    )
