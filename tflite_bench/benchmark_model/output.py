"""What the output of TFLite's ``benchmark_model`` and of LiteRT's program of the same name says. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model import result_file as result_files
from tflite_bench.benchmark_model.arguments import MAX_INT32, Runs
from tflite_bench.benchmark_model.count_line import near
from tflite_bench.benchmark_model.delegates import delegation
from tflite_bench.benchmark_model.failure import FAILED, failure
from tflite_bench.benchmark_model.lines import Asked, read_lines
from tflite_bench.errors import DeviceError, OutputError
from tflite_bench.statistics.block import Block
from tflite_bench.types import Delegation

_KB_PER_MB = 1024
_STD_ROUNDED_MS = 1.1e-3  # the text has whole microseconds
_UNCONSUMED = re.compile(r"Unconsumed cmdline flags: (.*)")
_FLAG = re.compile(r"(?:^| )--?(\w+)(?==)")
# Without these a run is still what was asked for.
_OPTIONAL_FLAGS = frozenset({"result_file_path"})


@dataclasses.dataclass(frozen=True)
class Output:
    """What one run of the program told.

    Attributes:
        flavour: which of the two programs it was, `TFLITE` or `LITERT`.
        block: the timed inferences.
        warmup: those before, or None where there were none.
        init_ms: loading the model, building the interpreter and allocating its tensors.
        first_inference_ms: the first inference of the warm-up, or None where there was none.
        peak_memory_mb: how far the resident memory rose, in units of 2**20 bytes, or None where it was not told.
        delegation: what the delegate took over, or None where it was not told.
        warnings: what it warned of although it went on.
    """

    flavour: str
    block: Block
    warmup: Block | None
    init_ms: float
    first_inference_ms: float | None
    peak_memory_mb: float | None
    delegation: Delegation | None
    warnings: tuple[str, ...] = ()


def parse(
    stdout: str,
    stderr: str,
    exit_code: int,
    options: BenchOptions,
    *,
    runs: Runs | None = None,
    result: bytes | None = None,
) -> Output:
    """Returns what the program told, if all of it agrees and is what was asked for.

    Args:
        stdout: what it printed; also what it printed on standard error, where the two cannot be told apart.
        stderr: what it printed on standard error.
        exit_code: as a shell has it, 128 + N where signal N ended it.
        options: what was asked for.
        runs: how long it was told to measure; not checked when None.
        result: content of the result file, or None where there is none.

    Raises:
        ModelFileError: the program cannot run the model.
        DeviceError: the program failed, or ran the model otherwise than asked for: times of the CPU are never
            returned for a delegate that was asked for and did not run.
        DeviceLostError: the program or the model is no longer there.
        OutputError: the output is cut off, garbled, contradicts itself or the result file, is not of this run,
            or lacks the median, which tools before November 2024 do not print.
    """
    if exit_code != 0 or FAILED in f"{stdout}\n{stderr}":
        raise failure(stdout, stderr, exit_code)
    lines = read_lines(stdout, stderr)
    _require_flags(lines.texts)
    delegated = delegation(lines.texts, options)
    if lines.timed is None:
        raise OutputError("Expected at least one inference. Received: count=0, as of a dry run.")
    if runs is not None:
        _require_asked("warm-up", lines.warmup_asked, runs.warmup_runs, runs.warmup_min_secs, runs.max_secs)
        _require_asked("timed part", lines.timed_asked, runs.num_runs, runs.min_secs, runs.max_secs)
    warmup = None if lines.warmup is None else lines.warmup.to_block()
    output = Output(
        flavour=lines.flavour,
        block=lines.timed.to_block(),
        warmup=warmup,
        init_ms=lines.init_ms,
        first_inference_ms=None if warmup is None else warmup.first_ms,
        peak_memory_mb=lines.memory_mb,
        delegation=delegated,
        warnings=lines.warnings,
    )
    if lines.saved != (result is not None):
        told = "saved" if lines.saved else "did not save"
        raise OutputError(f"Expected a result file exactly where it was saved. Received: benchmark_model {told} one.")
    if result is not None:
        _compare(output, result_files.decode(result))
    return output


def _require_flags(texts: Sequence[str]) -> None:
    for text in texts:
        if match := _UNCONSUMED.fullmatch(text):
            unknown = sorted(set(_FLAG.findall(match.group(1))) - _OPTIONAL_FLAGS)
            if unknown:
                raise DeviceError(
                    f"This benchmark_model does not know --{', --'.join(unknown)}, so it measured something else. "
                    "Use a newer one, or another delegate."
                )


def _require_asked(part: str, asked: Asked, num_runs: int, min_secs: float, max_secs: float) -> None:
    agree = asked.num_runs == min(num_runs, MAX_INT32) and all(
        told is None or near(told, secs) for told, secs in ((asked.min_secs, min_secs), (asked.max_secs, max_secs))
    )
    if not agree:
        raise OutputError(
            f"Expected a {part} of {num_runs} inferences and {min_secs:g} s, at most {max_secs:g} s. "
            f"Received: {asked.num_runs} inferences, {asked.min_secs} s, {asked.max_secs} s. "
            "This is the output of another run."
        )


def _compare(output: Output, result: result_files.Result) -> None:
    """Raises an error where text and result file, which keeps 24 bits of a number, do not agree."""
    block, warmup = output.block, output.warmup
    pairs = {
        "avg_ms": block.mean_ms,
        "min_ms": block.min_ms,
        "max_ms": block.max_ms,
        "stddev_ms": block.std_ms,
        "median_ms": block.median_ms,
        "p5_ms": block.p5_ms,
        "p95_ms": block.p95_ms,
        "init_ms": output.init_ms,
        "first_inference_ms": 0.0 if warmup is None else warmup.first_ms,
        "average_warm_up_ms": 0.0 if warmup is None else warmup.mean_ms,
        "num_runs": block.count,
        "num_warmup_runs": 0 if warmup is None else warmup.count,
    }
    for name, value in pairs.items():
        told = getattr(result, name)
        tolerance = _STD_ROUNDED_MS if name == "stddev_ms" else 0.0
        if told is not None and not near(told, value, tolerance):
            raise OutputError(f"Expected text and result file to agree. Received {name}: {value:g} and {told:g}.")
