"""Why a run of ``benchmark_model`` failed, from what it printed and its exit code."""

from __future__ import annotations

import re

from tflite_bench.benchmark_model import delegates
from tflite_bench.benchmark_model.count_line import shown
from tflite_bench.benchmark_model.lines import texts_of
from tflite_bench.errors import BenchError, DeviceError, DeviceLostError, ModelFileError

FAILED = "Benchmarking failed."  # the last line of a run that failed
_NOT_FOUND, _NOT_EXECUTABLE, _TIMED_OUT, _SIGNAL = 127, 126, 124, 128
# Their numbers on Linux, and so on Android, whatever they are here.
_SIGKILL = 9
_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    11: "SIGSEGV",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    31: "SIGSYS",
}
_SHOWN_ERRORS = 3
_NODE = re.compile(r"Node number \d+ \(([^()]{1,100})\) failed to (\w+)")
_ACCELERATOR = re.compile(r"gpu|^LITERT_|nnapi", re.IGNORECASE)

# What the program or the runtime says, the kind of error, and what to tell; {0} stands for the first group.
_SAYINGS: tuple[tuple[str, type[BenchError], str], ...] = (
    (r"Could not open '", DeviceLostError, "The model file is no longer where it was put for benchmark_model."),
    (r"not a valid Flatbuffer", ModelFileError, "The model is damaged or cut off. Export or copy it again."),
    (r"Model provided has model identifier", ModelFileError, "The file is no TFLite model. Export or copy it again."),
    (r"[Mm]map of ", ModelFileError, "The file is empty or cannot be read. Export or copy it again."),
    (
        r"unresolved custom op: (\S{1,100}?)\.?(?:\s|$)",
        ModelFileError,
        "The model needs the custom operation {0}, which this benchmark_model does not have.",
    ),
    (
        r"Didn't find op for builtin opcode '(\w{1,100})' version '\d+'",
        ModelFileError,
        "The model's operation {0} is of a version that this benchmark_model is too old for. "
        "Use a newer one, or export the model for an older runtime.",
    ),
    (
        r"Signature not specified or incorrect",
        ModelFileError,
        "The model has several signatures. Export it with one.",
    ),
    (
        r"(CANNOT LINK EXECUTABLE.{0,200}|error while loading shared libraries.{0,200})",
        DeviceError,
        "benchmark_model lacks a library: {0}. Use one that is built for this device.",
    ),
    (
        r"Failed to parse flag '(\w{1,100})'",
        DeviceError,
        "benchmark_model does not understand the flag --{0}. Use a newer one.",
    ),
)


def failure(stdout: str, stderr: str, exit_code: int) -> BenchError:
    """Returns the error that tells why a run failed: whether it is the model's or the device's fault, and what to do.

    Args:
        stdout: what it printed.
        stderr: likewise.
        exit_code: as a shell has it, 128 + N where signal N ended the program.
    """
    texts, errors = texts_of(stdout, stderr)
    last = _last(errors) or _last(texts) or "it printed nothing"
    return (
        _delegate_failure(texts, last)
        or _operator_failure(texts, last)
        or _known_failure(texts)
        or _exit_failure(exit_code, last)
    )


def _delegate_failure(texts: list[str], last: str) -> BenchError | None:
    said = "\n".join(texts)
    if refused := re.search(r"Failed to apply (\w{1,30}) delegate", said):
        # After the line "... operations are not supported by GPU delegate:", one line an operation.
        operators = {match.group(1) for text in texts if (match := re.match(r"(\w{1,60}): O[Pp]", text))}
        if operators:
            listed = ", ".join(sorted(operators))
            return ModelFileError(f"The delegate {refused.group(1)} cannot run the model's operations {listed}.")
        return DeviceError(f"The delegate {refused.group(1)} refuses the model: {last}.")
    if "Disallowed CPU fallback detected" in said:
        if reason := delegates.unsupported(texts):
            return DeviceError(f"benchmark_model says: {reason} Use another delegate or another benchmark_model.")
        return ModelFileError(
            "Expected all of the model on the delegate. Received less. "
            "Replace the other operators, or measure without require_full_delegation."
        )
    return None


def _operator_failure(texts: list[str], last: str) -> BenchError | None:
    said = "\n".join(texts)
    node = _NODE.search(said)
    name = node.group(1) if node else "unknown"
    if "Select TensorFlow op" in said:
        return ModelFileError(
            f"The model needs the TensorFlow operation {name}, which no plain TFLite runtime has. "
            "Convert it again without SELECT_TF_OPS, or replace that operation in the network."
        )
    if node is None or "unresolved custom op" in said:
        return None
    if _ACCELERATOR.search(name):
        return DeviceError(f"The delegate {name} failed to {node.group(2)}: {last}.")
    return ModelFileError(f"The model's operation {name} failed to {node.group(2)}: {last}.")


def _known_failure(texts: list[str]) -> BenchError | None:
    said = "\n".join(texts)
    for pattern, kind, text in _SAYINGS:
        if match := re.search(pattern, said):
            return kind(text.format(*(shown(group)[1:-1] for group in match.groups())))
    return None


def _exit_failure(exit_code: int, last: str) -> BenchError:
    if exit_code == _NOT_FOUND:
        return DeviceLostError(f"benchmark_model is no longer where it was put, or lacks its loader: {last}.")
    if exit_code == _NOT_EXECUTABLE:
        return DeviceError(f"benchmark_model cannot be executed: {last}. Use one that is built for this device.")
    if exit_code == _TIMED_OUT:
        return DeviceError("benchmark_model did not end in time and was stopped. Measure less, or raise hang_secs.")
    if exit_code == _SIGNAL + _SIGKILL:
        return DeviceError(
            "benchmark_model was killed (SIGKILL), as systems do when memory runs out. "
            "Use a smaller model, or end other programs on the device."
        )
    if name := _SIGNALS.get(exit_code - _SIGNAL):
        return DeviceError(
            f"benchmark_model crashed ({name}): {last}. "
            "Check that the model is whole and that benchmark_model is built for this device."
        )
    return DeviceError(f"benchmark_model failed with exit code {exit_code}: {last}.")


def _last(texts: list[str]) -> str:
    told = [text for text in texts if text.strip() and text != FAILED][-_SHOWN_ERRORS:]
    return shown(" / ".join(told)) if told else ""
