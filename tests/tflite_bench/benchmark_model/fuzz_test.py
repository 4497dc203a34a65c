"""Laws of reading ``benchmark_model``, over outputs of any numbers and over damaged ones.

Whatever arrives, there is either a `BenchError` or an `Output` whose every number was in what arrived.
"""

from __future__ import annotations

import dataclasses
import math
import re

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.tflite_bench.benchmark_model.captured import FLAVOURS, captured, output, result_of
from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model import result_file
from tflite_bench.benchmark_model.failure import failure
from tflite_bench.benchmark_model.op_profile import OpProfile, parse_profile
from tflite_bench.benchmark_model.output import Output, parse
from tflite_bench.errors import BenchError, OutputError
from tflite_bench.statistics.block import Block

QUICK = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
GENUINE = [
    "01_normal_fp32",
    "06_xnnpack_true",
    "20_peak_memory",
    "31_single_run_no_warmup",
    "L01_normal",
    "L16_multi_signature",
]
PROFILES = ["10_opprof_default", "12_opprof_xnnpack_false", "14_opprof_csv_stdout", "L04_use_profiler"]
OPTIONS = st.sampled_from(
    [
        BenchOptions(),
        BenchOptions(delegate="gpu"),
        BenchOptions(delegate="none"),
        BenchOptions(require_full_delegation=True),
    ]
)
TIMES = st.lists(st.integers(1, 10**8), min_size=1, max_size=40)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def _numbers(text: str) -> list[float]:
    """All numbers of a text, also those within longer ones, as damage may join two."""
    runs = [float(number) for number in _NUMBER.findall(text)]
    return runs


def _require_origin(value: float, text_numbers: list[float]) -> None:
    assert any(math.isclose(value, number, rel_tol=1e-9) for number in text_numbers), value


def _require_origins(got: Output, text: str) -> None:
    numbers = _numbers(text)
    for block in (got.block, got.warmup):
        if block is not None:
            _require_origin(block.count, numbers)
            for name in ("first", "last", "min", "p5", "median", "p95", "max", "mean"):
                _require_origin(getattr(block, f"{name}_ms") * 1e3, numbers)
            assert 0 < block.min_ms <= block.p5_ms <= block.median_ms <= block.p95_ms <= block.max_ms
    _require_origin(got.init_ms, numbers)
    if got.peak_memory_mb is not None:
        _require_origin(got.peak_memory_mb, numbers)


@given(times=TIMES, warmup=TIMES, flavour=st.sampled_from(FLAVOURS), saved=st.booleans(), init_us=st.integers(0, 10**7))
@example(times=[1, 2], warmup=[3, 3], flavour="tflite", saved=True, init_us=0)
@QUICK
def test_what_a_program_prints_is_what_is_read(
    times: list[int], warmup: list[int], flavour: str, saved: bool, init_us: int
) -> None:
    result = result_of(times, warmup, init_us) if saved else None
    stdout, stderr = output(times, warmup, flavour=flavour, saved=saved, init_us=init_us)
    got = parse(stdout, stderr, 0, BenchOptions(), result=result)
    assert got.warmup is not None
    for block, values in ((got.block, times), (got.warmup, warmup)):
        in_order = sorted(values)
        assert block == Block(
            count=len(values),
            first_ms=values[0] / 1e3,
            last_ms=values[-1] / 1e3,
            min_ms=min(values) / 1e3,
            p5_ms=in_order[len(values) * 5 // 100] / 1e3,
            median_ms=in_order[len(values) * 50 // 100] / 1e3,
            p95_ms=in_order[len(values) * 95 // 100] / 1e3,
            max_ms=max(values) / 1e3,
            mean_ms=block.mean_ms,
            std_ms=block.std_ms,
        )
        mean = sum(values) / len(values) / 1e3
        assert math.isclose(block.mean_ms, mean, rel_tol=1e-5)
        variance = sum((value / 1e3 - mean) ** 2 for value in values) / len(values)
        assert abs(block.std_ms - math.sqrt(variance)) <= 1e-3 + 1e-5 * block.max_ms
    assert got.first_inference_ms == warmup[0] / 1e3
    assert math.isclose(got.init_ms, init_us / 1e3, rel_tol=1e-5)


@st.composite
def damaged(draw: st.DrawFn, names: list[str]) -> tuple[str, str]:
    """A genuine output with some lines lost, doubled, moved, torn, mixed or overwritten."""
    run = captured(draw(st.sampled_from(names)))
    streams = [run.stdout, run.stderr]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.sampled_from([0, 0, 0, 1]))
        streams[at] = _damage(draw, streams[at], captured(draw(st.sampled_from(names))).stdout)
    return streams[0], streams[1]


def _damage(draw: st.DrawFn, text: str, other: str) -> str:
    how = draw(
        st.sampled_from(["cut", "behead", "lose", "double", "swap", "letter", "digit", "insert", "mix", "append"])
    )
    place = draw(st.integers(0, max(len(text) - 1, 0)))
    lines = text.split("\n")
    line, line2 = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    if how == "cut":
        return text[:place]
    if how == "behead":
        return text[place:]
    if how == "lose":
        return "\n".join(lines[:line] + lines[line + 1 :])
    if how == "double":
        return "\n".join([*lines[: line + 1], *lines[line:]])
    if how == "swap":
        lines[line], lines[line2] = lines[line2], lines[line]
        return "\n".join(lines)
    if how == "letter":
        return text[:place] + draw(st.characters()) + text[place + 1 :]
    if how == "digit":
        digits = [found.start() for found in re.finditer(r"\d", text)] or [0]
        at = digits[place % len(digits)]
        return text[:at] + draw(st.sampled_from("0123456789-.e")) + text[at + 1 :]
    if how == "insert":
        return text[:place] + draw(st.text(max_size=20)) + text[place:]
    if how == "mix":
        others = other.split("\n")
        return "\n".join(part for pair in zip(lines, others, strict=False) for part in pair)
    return text + other


@given(streams=damaged(GENUINE), options=OPTIONS)
@settings(parent=QUICK, max_examples=250)
def test_damage_gives_an_error_or_numbers_that_were_there(streams: tuple[str, str], options: BenchOptions) -> None:
    try:
        got = parse(*streams, 0, options)
    except BenchError as error:
        assert str(error) and len(str(error)) < 1000
    else:
        _require_origins(got, "\n".join(streams))


@given(name=st.sampled_from(GENUINE), share=st.floats(0, 1), which=st.integers(0, 1))
@settings(parent=QUICK, max_examples=120)
def test_a_part_of_an_output_is_an_error_or_gives_the_same_times(name: str, share: float, which: int) -> None:
    run = captured(name)
    streams = [run.stdout, run.stderr]
    whole = parse(*streams, 0, BenchOptions())
    streams[which] = streams[which][: int(share * len(streams[which]))]
    try:
        got = parse(*streams, 0, BenchOptions())
    except OutputError:
        return
    assert dataclasses.replace(got, peak_memory_mb=whole.peak_memory_mb, delegation=whole.delegation) == whole
    assert got.peak_memory_mb in (None, whole.peak_memory_mb)


@given(stdout=st.text(), stderr=st.text(), code=st.integers(-300, 300), result=st.none() | st.binary(max_size=40))
@QUICK
def test_noise_is_an_error(stdout: str, stderr: str, code: int, result: bytes | None) -> None:
    try:
        parse(stdout, stderr, code, BenchOptions(), result=result)
    except BenchError:
        return
    raise AssertionError("noise became a measurement")


@given(streams=damaged(GENUINE), code=st.integers(1, 255))
@QUICK
def test_a_failed_run_gives_no_times_whatever_it_printed(streams: tuple[str, str], code: int) -> None:
    try:
        parse(*streams, code, BenchOptions())
    except BenchError as error:
        assert str(error) == str(failure(*streams, code))
        return
    raise AssertionError("a failed run became a measurement")


@given(streams=damaged(PROFILES))
@settings(parent=QUICK, max_examples=250)
def test_a_damaged_profile_gives_an_error_or_numbers_that_were_there(streams: tuple[str, str]) -> None:
    try:
        got = parse_profile(*streams)
    except BenchError as error:
        assert len(str(error)) < 1000
        return
    assert isinstance(got, OpProfile) and got.rows and got.num_runs > 0
    numbers = _numbers("\n".join(streams))
    for row in (*got.rows, *got.init, *got.inner):
        # LiteRT's program counts the calls of all inferences.
        _require_origin(row.avg_ms / (row.calls or 1), numbers)


@given(data=st.binary(max_size=200))
@QUICK
def test_any_bytes_are_a_result_or_an_error(data: bytes) -> None:
    try:
        got = result_file.decode(data)
    except OutputError:
        return
    assert all(math.isfinite(value) for value in dataclasses.astuple(got) if value is not None)


@given(times=TIMES, cut=st.integers(0, 200), at=st.integers(0, 200), byte=st.integers(0, 255))
@QUICK
def test_a_damaged_result_file_is_an_error_or_agrees(times: list[int], cut: int, at: int, byte: int) -> None:
    data = bytearray(result_of(times, [12_000]))
    data[at % len(data)] = byte
    stdout, stderr = output(times, [12_000], saved=True)
    whole = parse(*output(times, [12_000]), 0, BenchOptions())
    try:
        got = parse(stdout, stderr, 0, BenchOptions(), result=bytes(data[: len(data) - cut % len(data)]))
    except OutputError:
        return
    assert got == whole
