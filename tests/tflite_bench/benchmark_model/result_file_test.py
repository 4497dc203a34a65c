from __future__ import annotations

import dataclasses
import struct

import pytest

from tests.tflite_bench.benchmark_model.captured import result_of
from tflite_bench.benchmark_model.result_file import Result, decode
from tflite_bench.errors import OutputError

# Written byte by byte after the wire format: field 2 (latency_metrics) holds fields 1 to 10 as 32-bit floats,
# field 3 (memory_metrics) two whole numbers, field 4 (misc_metrics) a float and two whole numbers.
LATENCY = b"".join(
    bytes([number << 3 | 5]) + struct.pack("<f", value)
    for number, value in enumerate([12.5, 10.5, 20.25, 2.5, 11.5, 10.75, 19.5, 22.25, 12.0, 13.0], start=1)
)
MEMORY = b"\x08\xd4\xa5\x02" + b"\x10\x90\xb0\x02"  # 37588, 38928
MISC = b"\x0d" + struct.pack("<f", 13.875) + b"\x10\x4d" + b"\x18\x29"  # 77 and 41 inferences
FILE = b"\x12\x32" + LATENCY + b"\x1a\x08" + MEMORY + b"\x22\x09" + MISC


def test_every_number_is_read() -> None:
    assert decode(FILE) == Result(
        avg_ms=12.5,
        min_ms=10.5,
        max_ms=20.25,
        stddev_ms=2.5,
        median_ms=11.5,
        p5_ms=10.75,
        p95_ms=19.5,
        init_ms=22.25,
        first_inference_ms=12.0,
        average_warm_up_ms=13.0,
        init_footprint_kb=37588,
        overall_footprint_kb=38928,
        model_size_mb=13.875,
        num_runs=77,
        num_warmup_runs=41,
    )


def test_fields_in_another_order_or_of_newer_versions_are_no_matter() -> None:
    newer = b"\x0a\x03abc" + b"\x28\x01" + b"\x31" + bytes(8) + b"\x3d" + bytes(4)  # fields 1, 5, 6 and 7
    assert decode(newer + b"\x22\x09" + MISC + b"\x12\x32" + LATENCY) == dataclasses.replace(
        decode(FILE), init_footprint_kb=None, overall_footprint_kb=None
    )


def test_the_last_of_two_values_counts() -> None:
    again = b"\x12\x05" + b"\x2d" + struct.pack("<f", 9.5)
    assert decode(FILE + again) == dataclasses.replace(decode(FILE), median_ms=9.5)


def test_a_stand_in_writes_the_same_format() -> None:
    got = decode(result_of([10_000, 12_000, 11_000], [15_000], 20_000))
    assert (got.median_ms, got.num_runs, got.num_warmup_runs, got.init_ms) == (11.0, 3, 1, 20.0)


@pytest.mark.parametrize("size", range(len(FILE)))
def test_a_file_that_was_cut_off_is_refused_or_lacks_numbers(size: int) -> None:
    try:
        got = decode(FILE[:size])
    except OutputError:
        return
    whole = dataclasses.asdict(decode(FILE))
    assert all(value in (None, whole[name]) for name, value in dataclasses.asdict(got).items())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "Received none: it is cut off or empty"),
        (b"\x12\x32" + LATENCY, "median_ms and num_runs"),
        (b"\x10\x05", "a message in field 2 of the result file. Received a number"),
        (b"\x12\x02\x2a\x00", "a number as median_ms of the result file. Received: b''"),
        (b"\x12\x05\x2d" + struct.pack("<f", float("nan")), "a number as median_ms .* nan"),
        (b"\x12\x05\x2d" + struct.pack("<f", float("inf")), "a number as median_ms .* inf"),
        (b"\x13", "field of kind 3"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "one that does not end"),
        (b"\x12\xff", "one that does not end"),
        (b"\x12\xff\xff\xff\xff\x0f" + LATENCY, "4294967295 more bytes"),
        (b"GIF89a", "Expected"),
    ],
)
def test_what_is_no_such_file_is_told(data: bytes, text: str) -> None:
    with pytest.raises(OutputError, match=text):
        decode(data)
