"""The command line of ``benchmark_model``: which flags there are, and how it reads and echoes them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

INT, FLOAT, BOOL, TEXT = "int32", "float", "bool", "string"
TFLITE, LITERT, OLD = "tflite", "litert", "old"

Value = int | float | bool | str


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag: its name, what the program calls it when it echoes it, its kind and its default."""

    name: str
    label: str
    kind: str
    default: Value


# Those that both programs have, in the order in which they are echoed.
_BASE = (
    Flag("num_runs", "Min num runs", INT, 50),
    Flag("min_secs", "Min runs duration (seconds)", FLOAT, 1.0),
    Flag("max_secs", "Max runs duration (seconds)", FLOAT, 150.0),
    Flag("run_delay", "Inter-run delay (seconds)", FLOAT, -1.0),
    Flag("run_frequency", "Number of prorated runs per second", FLOAT, -1.0),
    Flag("num_threads", "Num threads", INT, -1),
    Flag("use_caching", "Use caching", BOOL, False),
    Flag("benchmark_name", "Benchmark name", TEXT, ""),
    Flag("output_prefix", "Output prefix", TEXT, ""),
    Flag("warmup_runs", "Min warmup runs", INT, 1),
    Flag("warmup_min_secs", "Min warmup runs duration (seconds)", FLOAT, 0.5),
    Flag("dry_run", "Run w/o invoking kernels", BOOL, False),
    Flag("report_peak_memory_footprint", "Report the peak memory footprint", BOOL, False),
    Flag("memory_footprint_check_interval_ms", "Memory footprint check interval (ms)", INT, 50),
)
_VERBOSE = Flag("verbose", "Log parameter values verbosely", BOOL, False)
_HELP = Flag("help", "print out all supported flags", BOOL, False)
_RESULT = Flag("result_file_path", "File path to save the benchmark result in binary proto format", TEXT, "")
_CLASSIC = (
    Flag("graph", "Graph", TEXT, ""),
    Flag("signature_to_run_for", "Signature to run", TEXT, ""),
    Flag("input_layer", "Input layers", TEXT, ""),
    Flag("input_layer_shape", "Input shapes", TEXT, ""),
    Flag("input_layer_value_range", "Input value ranges", TEXT, ""),
    Flag("input_layer_value_files", "Input value files", TEXT, ""),
    Flag("allow_fp16", "Allow fp16", BOOL, False),
    Flag("require_full_delegation", "Require full delegation", BOOL, False),
    Flag("enable_op_profiling", "Enable op profiling", BOOL, False),
    Flag("op_profiling_output_mode", "Op profiling output mode.", TEXT, "stdout"),
    Flag("op_profiling_output_file", "Op profiling output file.", TEXT, ""),
    Flag("max_profiling_buffer_entries", "Max initial profiling buffer entries", INT, 1024),
    Flag("profiling_output_csv_file", "CSV File to export profiling data to", TEXT, ""),
    Flag("print_preinvoke_state", "Print pre-invoke interpreter state", BOOL, False),
    Flag("list_signatures", "List signatures from the provided model", BOOL, False),
    _RESULT,
)
_DELEGATES = (
    Flag("max_delegated_partitions", "Max number of delegated partitions", INT, 0),
    Flag("min_nodes_per_partition", "Min nodes per partition", INT, 0),
    Flag("delegate_serialize_dir", "Directory for delegate serialization", TEXT, ""),
    Flag("delegate_serialize_token", "Model-specific token/key for delegate serialization.", TEXT, ""),
    Flag("external_delegate_path", "External delegate path", TEXT, ""),
    Flag("use_gpu", "Use gpu", BOOL, False),
    Flag("gpu_precision_loss_allowed", "Allow lower precision in gpu", BOOL, True),
    Flag("use_nnapi", "Use NNAPI", BOOL, False),
    Flag("nnapi_accelerator_name", "NNAPI accelerator name", TEXT, ""),
    Flag("use_xnnpack", "Use xnnpack", BOOL, False),
    Flag("xnnpack_force_fp16", "xnnpack_force_fp16", BOOL, False),
)
_THREADS = Flag("num_threads", "#threads used for CPU inference", INT, -1)
_NEW = {"op_profiling_output_mode", "op_profiling_output_file", "result_file_path"}
# LiteRT's program does not echo these.
_LITERT = (
    Flag("graph", "", TEXT, ""),
    Flag("use_cpu", "", BOOL, True),
    Flag("use_gpu", "", BOOL, False),
    Flag("use_npu", "", BOOL, False),
    Flag("use_profiler", "", BOOL, False),
    Flag("require_full_delegation", "", BOOL, False),
    Flag("signature_index", "", INT, 0),
    Flag(_RESULT.name, "", TEXT, ""),
)


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A command line that was read.

    Attributes:
        values: of all flags.
        given: names of the flags that were given.
        echo: the lines that tell those that were given.
        unconsumed: arguments that mean nothing to the program.
    """

    values: dict[str, Value]
    given: frozenset[str]
    echo: tuple[str, ...]
    unconsumed: tuple[str, ...]


class BadFlag(Exception):
    """A flag has a value that cannot be read; the text is what the program says."""


def flags_of(flavour: str) -> tuple[Flag, ...]:
    """Returns the flags of a program, in the order in which it echoes them."""
    if flavour == LITERT:
        return (_VERBOSE, *_BASE, *_LITERT)
    flags = (_VERBOSE, *_BASE, *_CLASSIC, _HELP, _THREADS, *_DELEGATES)
    return tuple(flag for flag in flags if flavour != OLD or flag.name not in _NEW)


def parse(flavour: str, arguments: Sequence[str]) -> Parsed:
    """Returns what ``arguments`` say. The first of several counts.

    Raises:
        BadFlag: a value cannot be read.
    """
    flags = flags_of(flavour)
    known = {flag.name: flag for flag in flags}
    given: dict[str, Value] = {}
    unconsumed = []
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if name == "help" and flavour != LITERT and argument.startswith("--"):
            given[name] = True
        elif not argument.startswith("--") or not equals or name not in known or name in given:
            unconsumed.append(argument)
        else:
            given[name] = _read(known[name], text, argument)
    values = {flag.name: flag.default for flag in flags} | given
    every = bool(values["verbose"])
    always = ("verbose", "signature_to_run_for")
    echo = tuple(
        f"{flag.label}: [{_show(values[flag.name])}]"
        for flag in flags
        if flag.label and (every or flag.name in given or flag.name in always)
    )
    return Parsed(values, frozenset(given), echo, tuple(unconsumed))


def _read(flag: Flag, text: str, argument: str) -> Value:
    """Reads as C++ streams do: as far as it is a number; nothing is zero."""
    if flag.kind == TEXT:
        return text
    if flag.kind == BOOL:
        if text in ("true", "1", "false", "0"):
            return text in ("true", "1")
    elif not text:
        return 0 if flag.kind == INT else 0.0
    elif flag.kind == INT:
        if found := re.match(r"\s*[-+]?\d+", text):
            return int(found[0])
    elif found := re.match(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text):
        return float(found[0])
    raise BadFlag(f"Failed to parse flag '{flag.name}' against argv '{argument}'")


def _show(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{value:.6g}" if isinstance(value, float) else str(value)
