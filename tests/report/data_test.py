"""What the data of a report refuse."""

from __future__ import annotations

import pytest

from tfmeta.errors import UserError
from tfmeta.report.data import FileRow, Latency, MixedRow, OpTime, ReportData, Row, TrialPoint


@pytest.mark.parametrize(
    "make",
    [
        lambda value: Row("net", 1, 1, test_accuracy=value),
        lambda value: FileRow("net", "int8", 1, agreement=value),
        lambda value: FileRow("net", "int8", 1, float_agreement=value),
        lambda value: TrialPoint({"macs": 1.0, "accuracy": value}, "random"),
        lambda value: OpTime("CONV_2D", 1, 1.0, value),
        lambda value: MixedRow("net", "float", 1, 1, value, 0.5, 1.0, 1.0, "OK", False),
    ],
)
@pytest.mark.parametrize("value", [91.2, -0.1, float("nan")])
def test_accuracy_that_is_no_part(make, value):
    with pytest.raises(UserError, match="Expected an accuracy between 0 and 1"):
        make(value)


def test_latency_that_is_no_number():
    with pytest.raises(UserError, match="Expected finite latencies"):
        Latency(1.0, float("nan"))


def test_cost_of_nothing():
    with pytest.raises(UserError, match="MACs and params above 0 for net"):
        Row("net", 0, 1)


def test_rows_of_one_name():
    with pytest.raises(UserError, match="Received: net, net"):
        ReportData("net", "digits", "none", (Row("net", 1, 1), Row("net", 2, 2)))
