"""A small report with every kind of number in it, also missing ones."""

from __future__ import annotations

import pytest

from tests.report import making
from tfmeta.report.data import (
    FileRow,
    GroupWidth,
    Latency,
    LatencyPoint,
    Missing,
    MixedRow,
    OperatorShare,
    OpTime,
    ReportData,
    Row,
)

SHA256 = "0123456789abcdef" * 4


@pytest.fixture
def data() -> ReportData:
    no_device = Missing("not measured: no device")
    return ReportData(
        network="mobilenet",
        data_set="digits",
        budget="at most 1 M MACs",
        rows=(
            making.row("searched", 980_000, 12_345, 0.8, 0.95, 45_678, Latency(0.4123, 0.4678), widths=(24, 16)),
            making.row("random", 990_000, 12_000, 0.78, 0.94, 44_000, Latency(0.41, 0.5, "NOISY"), widths=(16, 24)),
            making.row("uniform", 1_000_000, 13_000, 0.7, Missing("not retrained"), 45_000, no_device, widths=(16, 32)),
            Row("full", 4_000_000, 50_000, test_accuracy=0.97, widths=(32, 64), values={"macs": 4e6}),
        ),
        files=(
            FileRow(
                "searched",
                "int8",
                45_678,
                0.94,
                0.99,
                0.97,
                no_device,
                "1.14.0",
                "export/main/searched-int8.tflite",
                SHA256,
            ),
            FileRow(
                "full",
                "fp32",
                200_000,
                latency=Latency(1.25, 1.5, "NOISY", 12_345, 2.5, 1.75, 4.25),
                operators=(OpTime("CONV_2D", 4, 0.75, 0.6), OpTime("FULLY_CONNECTED", 1, 0.5, 0.4)),
            ),
        ),
        mixed=(
            MixedRow("searched", "int16", None, 180_000, 0.81, 0.951, 1.0, 1.0, "OK", False),
            MixedRow("searched", "int16", 2, 60_000, 0.805, 0.949, 0.5, 0.5, "OK", True),
        ),
        trials=(
            making.trial(500_000, 0.6, "genetic", widths=(8, 16), latency=0.25),
            making.trial(600_000, 0.5, "random", widths=(16, 8)),
            making.trial(980_000, 0.8, "genetic", generation=1, widths=(24, 16), latency=0.4),
            making.trial(1_200_000, 0.9, "random", feasible=False, widths=(32, 48)),
        ),
        axes=making.AXES,
        groups=(GroupWidth("stem", 32, 24), GroupWidth("block_1", 64, 16)),
        how=(("Latency", "on the host, 1 thread"),),
        predictions=(
            LatencyPoint(0.3, 0.01, 0.32, "held out"),
            LatencyPoint(0.5, 0.02, 0.45, "search"),
        ),
        operators=(OperatorShare("CONV_2D 1x1", 4, 0.7, 0.55),),
        staircase=making.staircase(("conv float32", 8), ("dense int8", 1)),
        options=(("search main", "generations 2, seed 0"),),
        versions={"keras": "3.15.1", "tensorflow": "2.21.0"},
        command="tfmeta run --workdir=runs/x",
        created="2026-11-20",
        search_images=500,
        test_images=10_000,
    )
