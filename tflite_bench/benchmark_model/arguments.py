"""The arguments of TFLite's ``benchmark_model`` and of LiteRT's program of the same name. Pure."""

from __future__ import annotations

import dataclasses

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.lines import LITERT, TFLITE
from tflite_bench.errors import OptionsError

MAX_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Runs:
    """How long one run of the program warms up and measures, with the meaning of `BenchOptions`."""

    num_runs: int
    min_secs: float
    max_secs: float
    warmup_runs: int
    warmup_min_secs: float


def arguments(
    model: str,
    options: BenchOptions,
    runs: Runs,
    *,
    result_file: str | None = None,
    profile: bool = False,
    flavour: str = TFLITE,
) -> list[str]:
    """Returns the program's arguments, without its own name.

    XNNPACK is asked for explicitly, though it is the default: only then the classic tool says what it took over.

    Args:
        model: path of the model, as the program sees it.
        options: threads and delegate; which cores to use is for the caller to arrange.
        runs: how long to measure.
        result_file: path that the program may write its result to.
        profile: print the times of single operators.
        flavour: which of the two programs it is.

    Raises:
        OptionsError: the program cannot do what the options ask for.
    """
    values: dict[str, object] = {
        "graph": model,
        "num_threads": options.threads,
        "num_runs": min(runs.num_runs, MAX_INT32),
        "min_secs": f"{runs.min_secs:.9g}",
        "max_secs": f"{runs.max_secs:.9g}",
        "warmup_runs": min(runs.warmup_runs, MAX_INT32),
        "warmup_min_secs": f"{runs.warmup_min_secs:.9g}",
    }
    flags = (_litert_flags if flavour == LITERT else _tflite_flags)(options)
    if profile:
        flags["use_profiler" if flavour == LITERT else "enable_op_profiling"] = True
    values |= {name: str(value).lower() for name, value in flags.items()}
    if result_file is not None:
        values["result_file_path"] = result_file
    return [f"--{name}={value}" for name, value in values.items()]


def _tflite_flags(options: BenchOptions) -> dict[str, bool]:
    if options.delegate == "none":
        if options.require_full_delegation:
            raise OptionsError("Expected a delegate with require_full_delegation. Received: delegate='none'.")
        return {"use_xnnpack": False}
    flags = {f"use_{options.delegate}": True}
    return {**flags, "require_full_delegation": True} if options.require_full_delegation else flags


def _litert_flags(options: BenchOptions) -> dict[str, bool]:
    if options.delegate == "gpu":
        # With the CPU left on it refuses to require full delegation.
        full = options.require_full_delegation
        return {"use_gpu": True, **({"use_cpu": False, "require_full_delegation": True} if full else {})}
    if options.delegate != "xnnpack" or options.require_full_delegation:
        wish = "require_full_delegation" if options.delegate == "xnnpack" else f"delegate={options.delegate!r}"
        raise OptionsError(
            f"Expected delegate 'xnnpack', or 'gpu' with or without require_full_delegation. Received: {wish}. "
            "LiteRT's benchmark_model knows no other; use the TFLite one for it."
        )
    return {"use_cpu": True}
