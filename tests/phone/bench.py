"""``benchmark_model`` on a phone: the stand-in's speed, its faults, and the file that is pushed in its place."""

from __future__ import annotations

import dataclasses
import marshal
import math
import select
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.phone import interpreter_server
from tests.phone.bench_flags import TFLITE
from tests.phone.bench_profile import Operator
from tests.phone.bench_tool import Delegates, Tool
from tests.phone.calls import Call, Killed, ProgramGone
from tests.phone.interpreters import INTERPRETERS

if TYPE_CHECKING:
    from tests.phone.phone import Phone

_SCRIPT = """#!/bin/sh
# Stands in for benchmark_model on a phone made of software: asks the phone's daemon to do its work.
# {note}
if [ -z "$PHONE_SOCKET" ]; then
  echo "This file only runs on the phone of tests/phone." >&2
  exit 126
fi
exec "$PHONE_PYTHON" -IS "$PHONE_CLIENT" benchmark_model "$0" {flavour} "$@"
"""
_OPERATORS = (
    Operator("Convolution (NHWC, F32) IGEMM", "Delegate/Convolution (NHWC, F32) IGEMM:0", 5.0),
    Operator("Convolution (NHWC, F32) DWConv", "Delegate/Convolution (NHWC, F32) DWConv:1", 2.0),
    Operator("Fully Connected (NC, F32) GEMM", "Delegate/Fully Connected (NC, F32) GEMM:2", 1.5),
    Operator("Add (ND)", "Delegate/Add (ND):3", 0.4),
    Operator("Fully Connected (NC, F32) GEMM", "Delegate/Fully Connected (NC, F32) GEMM:4", 1.0),
    Operator("Softmax (NC, F32)", "Delegate/Softmax (NC, F32):5", 0.1),
)
_NAP_SECS = 0.002
_GOLDEN_ANGLE = 2.399963


@dataclasses.dataclass(frozen=True)
class Bench:
    """How fast the phone is.

    Attributes:
        latency_us: one inference on its fastest core, in microseconds, or what tells that for a model file; None
            really runs the model with LiteRT.
        time_scale: how much of that time really passes; 0 answers at once.
        noise: how far latencies stray from it, to both sides, as a share.
        init_us: loading a model, in microseconds.
        first_factor: how much longer the first inference of a process takes.
        peak_mb: the peak memory that it tells.
        delegates: what GPU and NNAPI do.
    """

    latency_us: float | Callable[[Path], float] | None = 2000.0
    time_scale: float = 0.0
    noise: float = 0.01
    init_us: int = 5000
    first_factor: float = 1.5
    peak_mb: float = 23.5
    delegates: Delegates = dataclasses.field(default_factory=Delegates)


def write_benchmark_model(folder: Path, flavour: str = TFLITE, note: str = "") -> Path:
    """Writes the file that is pushed as ``benchmark_model`` and returns its path.

    It is no ELF file, so its ABI has to be told: ``arm64-v8a=PATH``.

    Args:
        folder: where to.
        flavour: "tflite", "litert", or "old" for one that tells no percentiles.
        note: makes the file another one.
    """
    path = folder / "benchmark_model"
    path.write_text(_SCRIPT.format(flavour=flavour, note=note), encoding="utf-8")
    path.chmod(0o755)
    return path


class _End(Exception):
    """A fault ends the program."""

    def __init__(self, result: int | Killed) -> None:
        super().__init__()
        self.result = result


class SimulatedEngine:
    """Takes the time that `Bench` says, longer where the phone is hot, asleep, or confined to slow cores."""

    def __init__(self, phone: Phone, call: Call) -> None:
        self.operators: Sequence[Operator] = _OPERATORS
        self.inferences = 0
        self.secs = 0.0
        self._phone = phone
        self._call = call
        self._bench = phone.bench
        self.peak_mb = self._bench.peak_mb
        self._begin = time.monotonic()
        tops = phone.hardware.tops_khz
        cores = int(call.environment.get("PHONE_CORES", "0"), 16)
        reachable = [top for core, top in enumerate(tops) if not cores or cores >> core & 1]
        self._slowness = max(tops) / max(reachable)

    def load(self, path: str, threads: int, xnnpack: bool) -> int:
        """Takes no notice of what the model is, besides asking `Bench` for its latency."""
        speed = self._bench.latency_us
        self._latency_us = speed(Path(path)) if callable(speed) else float(speed or 0)
        self._slowness *= 1.0 if xnnpack else 3.0
        return self._bench.init_us

    def infer(self) -> int:
        """Returns the next latency and, as the scale says, waits for so long."""
        heat = self._phone.state.factor(self.inferences)
        stray = 1.0 + self._bench.noise * math.sin(self.inferences * _GOLDEN_ANGLE)
        first = 1.0 if self.inferences else self._bench.first_factor
        self.inferences += 1
        taken_us = self._latency_us * self._slowness * heat * stray * first
        self.secs += taken_us / 1e6
        ahead_secs = self._begin + self.secs * self._bench.time_scale - time.monotonic()
        if ahead_secs > _NAP_SECS:
            self._call.sleep(ahead_secs)
        return round(taken_us)


class _Output:
    """Passes lines on, until a fault strikes in the middle of the measurement."""

    def __init__(self, phone: Phone, call: Call) -> None:
        self._phone = phone
        self._call = call
        self._faults = phone.bench_faults()
        self._held: list[str] = []
        self._blocks = 0

    def out(self, text: str) -> None:
        faults = self._faults
        if faults.bench_output:
            self._held.append(text)
        else:
            self._call.out(text)
        if not text.startswith("INFO: Running benchmark"):
            return
        self._blocks += 1
        if self._blocks == 2:
            self._phone.measures()
            if faults.bench_exit is not None:
                self._call.err("ERROR: Benchmarking failed.\n")
                raise _End(faults.bench_exit)
            if faults.bench_signal is not None:
                raise _End(Killed(faults.bench_signal))
            if faults.bench_hangs:
                self._call.sleep(None)

    def end(self) -> None:
        if self._faults.bench_output:
            self._call.out(self._faults.bench_output("".join(self._held).encode("utf-8", "surrogateescape")))


def run(phone: Phone, call: Call) -> int | Killed:
    """Runs the program for `programs`; its arguments are its own path, its flavour, and those that it was given."""
    _, flavour, *arguments = call.arguments
    output = _Output(phone, call)
    root = str(phone.root)
    phone.benchmarks.append([argument.replace(root, "") for argument in arguments])
    try:
        if phone.bench.latency_us is None:
            result = _run_litert(phone, call, output, flavour, arguments)
        else:
            engine = SimulatedEngine(phone, call)
            tool = Tool(flavour, call.folder, phone.bench.delegates, output.out, call.err)
            try:
                result = tool.run(arguments, engine)
            finally:
                phone.state.work(engine.inferences, engine.secs)
    except _End as end:
        result = end.result
    output.end()
    return result


def _run_litert(phone: Phone, call: Call, output: _Output, flavour: str, arguments: Sequence[str]) -> int | Killed:
    """Lets the server of interpreters do it, and passes on what it writes."""
    delegates = dataclasses.astuple(phone.bench.delegates)
    with INTERPRETERS.job(phone.id) as line:
        line.send(marshal.dumps((flavour, call.folder, list(arguments), delegates, phone.state.slowness())))
        while True:
            readable, _, _ = select.select([line, call.line], [], [])
            if call.line in readable:
                raise ProgramGone
            data = line.recv(1 << 20)
            if not data:
                return Killed(9)
            kind, value = marshal.loads(data)
            if kind == interpreter_server.OUT:
                output.out(value)
            elif kind == interpreter_server.ERR:
                call.err(value)
            elif kind == interpreter_server.SIGNAL:
                return Killed(value)
            else:
                code, inferences = value
                phone.state.work(inferences)
                return int(code)
