"""What can happen to the output of ``benchmark_model``: functions for the fault ``bench_output``."""

from __future__ import annotations

import re

_COUNT = re.compile(rb"count=\d+ .*")


def garbage(output: bytes) -> bytes:
    """Something else altogether."""
    return bytes(32 + byte * 167 % 95 for byte in output[:2000]) + b"\n"


def binary(output: bytes) -> bytes:
    """Not even text."""
    return bytes(byte * 167 % 256 for byte in output[:2000])


def empty(output: bytes) -> bytes:
    """Nothing."""
    return b""


def truncated(output: bytes) -> bytes:
    """Cut in the middle of a number of the second statistics line."""
    second = _last_count(output)
    return output[: output.index(b" avg=", second) + 6] if b" avg=" in output[second:] else output[: second + 10]


def interleaved(output: bytes) -> bytes:
    """Two copies of the program wrote at the same time."""
    pieces = [output[at : at + 37] for at in range(0, len(output), 37)]
    return b"".join(piece for pair in zip(pieces, [b"", *pieces], strict=False) for piece in pair)


def nan(output: bytes) -> bytes:
    """The statistics are no numbers."""
    return _in_last_count(output, rb"(avg|median|min)=\S+", rb"\1=nan")


def zero(output: bytes) -> bytes:
    """All inferences took no time."""
    second = _last_count(output)
    line = _COUNT.match(output, second)
    count = re.match(rb"count=\d+", output[second:])
    if not line or not count:
        return output
    return output[:second] + count[0] + b" curr=0(all same) p5=0 median=0 p95=0" + output[line.end() :]


def negative(output: bytes) -> bytes:
    """A clock ran backwards."""
    return _in_last_count(output, rb"(min|median)=", rb"\1=-")


def contradictory(output: bytes) -> bytes:
    """The median lies above the greatest."""
    return _in_last_count(output, rb"median=(\d+)", rb"median=\g<1>00")


def _last_count(output: bytes) -> int:
    places = [match.start() for match in _COUNT.finditer(output)]
    return places[1] if len(places) > 1 else len(output)


def _in_last_count(output: bytes, pattern: bytes, replacement: bytes) -> bytes:
    second = _last_count(output)
    line = _COUNT.match(output, second)
    if not line:
        return output
    return output[:second] + re.sub(pattern, replacement, line[0]) + output[line.end() :]
