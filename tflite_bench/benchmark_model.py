"""TFLite's ``benchmark_model`` and LiteRT's program of the same name: their arguments, and what their output says."""

from __future__ import annotations

import dataclasses

from tflite_bench.block import Block
from tflite_bench.types import BenchOptions, Delegation

TFLITE = "tflite"  # the classic tool: https://ai.google.dev/edge/litert/models/measurement
LITERT = "litert"  # LiteRT 2.x's, on the CompiledModel API
FLAVOURS = (TFLITE, LITERT)


@dataclasses.dataclass(frozen=True)
class Runs:
    """How long one run of the program warms up and measures, with the meaning of `BenchOptions`."""

    num_runs: int
    min_secs: float
    max_secs: float
    warmup_runs: int
    warmup_min_secs: float


@dataclasses.dataclass(frozen=True)
class Output:
    """What one run of the program told.

    Attributes:
        flavour: which of the two programs it was.
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


def arguments(
    model: str,
    options: BenchOptions,
    runs: Runs,
    *,
    result_file: str | None = None,
    profile: bool = False,
    flavour: str = TFLITE,
) -> list[str]:
    """Returns the program's arguments, without its own name."""
    raise NotImplementedError


def parse(
    stdout: str,
    stderr: str,
    exit_code: int,
    options: BenchOptions,
    *,
    runs: Runs | None = None,
    result: bytes | None = None,
) -> Output:
    """Returns what the program told."""
    raise NotImplementedError
