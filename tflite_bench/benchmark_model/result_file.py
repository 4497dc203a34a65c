"""The result file of ``benchmark_model``: the protocol buffer message ``tflite.tools.benchmark.BenchmarkResult``.

The wire format: https://protobuf.dev/programming-guides/encoding. The message has numbers only, in three messages
within it, so reading it takes less than a dependency on protobuf, whose generated code asks for one version of it.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterator

from tflite_bench.errors import OutputError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
# Field numbers of the message and of the messages within it.
_FIELDS = {
    2: {
        1: "avg_ms",
        2: "min_ms",
        3: "max_ms",
        4: "stddev_ms",
        5: "median_ms",
        6: "p5_ms",
        7: "p95_ms",
        8: "init_ms",
        9: "first_inference_ms",
        10: "average_warm_up_ms",
    },
    3: {1: "init_footprint_kb", 2: "overall_footprint_kb", 3: "peak_mem_mb"},
    4: {1: "model_size_mb", 2: "num_runs", 3: "num_warmup_runs", 4: "throughput_mb_per_sec"},
}


@dataclasses.dataclass(frozen=True)
class Result:
    """The numbers of a result file; None where it lacks one."""

    avg_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    stddev_ms: float | None = None
    median_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None
    init_ms: float | None = None
    first_inference_ms: float | None = None
    average_warm_up_ms: float | None = None
    init_footprint_kb: float | None = None
    overall_footprint_kb: float | None = None
    peak_mem_mb: float | None = None
    model_size_mb: float | None = None
    num_runs: float | None = None
    num_warmup_runs: float | None = None
    throughput_mb_per_sec: float | None = None


def decode(data: bytes) -> Result:
    """Returns the numbers of a result file.

    Raises:
        OutputError: it is cut off, no such message, or a number of it is none.
    """
    values: dict[str, float] = {}
    for number, content in _fields(data):
        names = _FIELDS.get(number)
        if names is None:
            continue  # of a newer version
        if not isinstance(content, bytes):
            raise OutputError(f"Expected a message in field {number} of the result file. Received a number.")
        for inner, value in _fields(content):
            if inner in names:
                if isinstance(value, bytes) or not math.isfinite(value):
                    raise OutputError(f"Expected a number as {names[inner]} of the result file. Received: {value!r}.")
                values[names[inner]] = value
    if "median_ms" not in values or "num_runs" not in values:
        raise OutputError("Expected median_ms and num_runs in the result file. Received none: it is cut off or empty.")
    return Result(**values)


def _fields(data: bytes) -> Iterator[tuple[int, float | bytes]]:
    """Yields the number of each field of a message, with its content."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, float(value)
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise OutputError(f"Expected a protocol buffer as result file. Received a field of kind {kind}.")
        end = at + size
        if end > len(data):
            raise OutputError(
                f"Expected {size} more bytes in the result file. Received {len(data) - at}: it is cut off."
            )
        yield key >> 3, data[at:end] if kind == _BYTES else struct.unpack("<f" if size == 4 else "<d", data[at:end])[0]
        at = end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number that begins at ``at``, and where it ends: 7 bits a byte, lowest first."""
    value = 0
    for place, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise OutputError("Expected a whole number in the result file. Received one that does not end: it is cut off.")
