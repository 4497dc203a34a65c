"""The stand-in for ``benchmark_model``: flags in, the genuine lines out, an engine that infers in between."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Protocol

from tests.phone import bench_profile, bench_text
from tests.phone.bench_flags import LITERT, OLD, BadFlag, Parsed, flags_of, parse
from tests.phone.bench_profile import Operator

_MOST_INFERENCES = 200_000  # of a model that takes no time
_FAILED = "Benchmarking failed."


class ModelRefused(Exception):
    """The runtime cannot load the model; the arguments are the lines that it says."""


class Engine(Protocol):
    """What infers."""

    operators: Sequence[Operator]

    @property
    def peak_mb(self) -> float:
        """The resident memory at its highest, in units of 2**20 bytes."""

    @property
    def secs(self) -> float:
        """The time by the engine's clock."""

    def load(self, path: str, threads: int, xnnpack: bool) -> int:
        """Loads the model and returns how long that took, in microseconds. Raises ModelRefused."""

    def infer(self) -> int:
        """Infers once and returns how long that took, in microseconds."""


@dataclasses.dataclass(frozen=True)
class Delegates:
    """What the delegates of a phone do: "full", "partial", "none", "refused" or "unsupported"."""

    gpu: str = "unsupported"
    nnapi: str = "unsupported"


class Tool:
    """One run of the program.

    Args:
        flavour: which program it is, see `bench_flags`.
        folder: where relative paths begin.
        out, err: take what it writes, line by line.
    """

    def __init__(
        self, flavour: str, folder: str, delegates: Delegates, out: Callable[[str], None], err: Callable[[str], None]
    ) -> None:
        self._flavour = flavour
        self._folder = folder
        self._delegates = delegates
        self._out, self._err = out, err

    def run(self, arguments: Sequence[str], engine: Engine) -> int:
        """Does it, and returns the exit code."""
        self._info("STARTING!")
        try:
            flags = parse(self._flavour, arguments)
        except BadFlag as error:
            return self._fail(str(error), *self._usage())
        if flags.unconsumed:
            self._out(f"WARN: Unconsumed cmdline flags: {' '.join(flags.unconsumed)}\n")
        if self._flavour == LITERT:
            return self._run_litert(flags, engine)
        if flags.values["help"]:
            return self._fail(*self._usage())
        mode = str(flags.values.get("op_profiling_output_mode", "stdout"))
        if mode not in ("stdout", "csv", "proto"):
            said = f"Output mode{mode} is not supported. Supported values are: 'stdout', 'csv' and 'proto'."
            return self._fail(said)
        if not flags.values["graph"]:
            return self._fail("Please specify the name of your TF Lite input file with --graph")
        return self._run_classic(flags, engine)

    def _run_classic(self, flags: Parsed, engine: Engine) -> int:
        values = flags.values
        self._info(*flags.echo)
        graph = str(values["graph"])
        try:
            size = _size_of(os.path.join(self._folder, graph))
            init_us = engine.load(os.path.join(self._folder, graph), int(values["num_threads"]), _uses_xnnpack(flags))
        except ModelRefused as error:
            return self._fail(*error.args[0], f"Failed to load model {graph}")
        self._info(f"Loaded model {graph}", "Using signature: serving_default")
        if refusal := self._apply_delegates(flags, engine):
            return self._fail(refusal)
        self._info(f"The input model file size (MB): {bench_text.number(size / 1e6)}")
        self._info(f"Initialized session in {bench_text.number(init_us / 1e3)}ms.")
        warmup_us, times_us = self._measure(flags, engine)
        self._info(*bench_text.summary_lines(init_us, warmup_us, times_us))
        peak_mb = engine.peak_mb if values["report_peak_memory_footprint"] else None
        if peak_mb:
            self._info(*bench_text.peak_lines(peak_mb))
        if values["enable_op_profiling"] and times_us:
            self._profile(flags, engine, init_us, times_us)
        self._save_result(flags, init_us, warmup_us, times_us, size, peak_mb)
        return 0

    def _run_litert(self, flags: Parsed, engine: Engine) -> int:
        values = flags.values
        self._info(*flags.echo)
        graph = str(values["graph"])
        self._err("INFO: [environment.cc:36] Creating LiteRT environment with options\n")
        self._err(f"INFO: [benchmark_litert_model.cc:271] Loading model from: {graph}\n")
        if values["require_full_delegation"] and values["use_cpu"]:
            said = "Requesting full delegation and CPU acceleration are incompatible."
            self._err(f"ERROR: [benchmark_litert_model.cc:98] {said}\n")
            return 134
        try:
            size = _size_of(os.path.join(self._folder, graph))
            init_us = engine.load(os.path.join(self._folder, graph), int(values["num_threads"]), True)
        except ModelRefused as error:
            return self._fail(*error.args[0])
        said = "Flatbuffer model initialized directly from incoming litert model."
        self._err(f"INFO: [compiled_model.cc:831] {said}\n")
        self._info(f"The input model file size (MB): {bench_text.number(size / 1e6)}")
        self._info(f"Initialized session in {bench_text.number(init_us / 1e3)}ms.")
        warmup_us, times_us = self._measure(flags, engine)
        peak_mb = engine.peak_mb if values["report_peak_memory_footprint"] else None
        for line in bench_text.litert_lines(init_us, warmup_us, times_us, size, peak_mb):
            self._err(f"INFO: {line}\n")
        self._save_result(flags, init_us, warmup_us, times_us, size, peak_mb)
        return 0

    def _measure(self, flags: Parsed, engine: Engine) -> tuple[list[int], list[int]]:
        values = flags.values
        longest = float(values["max_secs"])
        blocks = []
        for runs, least in (("warmup_runs", "warmup_min_secs"), ("num_runs", "min_secs")):
            num_runs, min_secs = int(values[runs]), float(values[least])
            if values["dry_run"]:
                num_runs, min_secs = 0, -1.0
            self._info(bench_text.running_line(num_runs, min_secs, longest))
            times_us: list[int] = []
            start = engine.secs
            while (len(times_us) < num_runs or engine.secs - start < min_secs) and engine.secs - start <= longest:
                if len(times_us) == _MOST_INFERENCES:
                    break
                times_us.append(engine.infer())
            self._info(bench_text.count_line(times_us, percentiles=self._flavour != OLD))
            self._out("\n")
            blocks.append(times_us)
        return blocks[0], blocks[1]

    def _apply_delegates(self, flags: Parsed, engine: Engine) -> str | None:
        """Says what the delegates take over; returns why the program gives up, if it does."""
        values, nodes = flags.values, len(engine.operators)
        wanted = [
            ("use_gpu", "GPU", "TfLiteGpuDelegateV2", self._delegates.gpu),
            ("use_nnapi", "NNAPI", "TfLiteNnapiDelegate", self._delegates.nnapi),
        ]
        full = False
        for flag, name, kernel, does in wanted:
            if not values[flag]:
                continue
            if does == "unsupported":
                self._out(f"WARN: {name} acceleration is unsupported on this platform.\n")
                continue
            self._info(f"{name} delegate created.")
            if does == "refused":
                return f"Failed to apply {name} delegate."
            taken, kernels = {"full": (nodes, 1), "partial": (max(nodes - 2, 1), 2), "none": (0, 0)}[does]
            self._replaced(taken, nodes, kernel, kernels)
            self._explicitly(name, does, kernels)
            full |= does == "full"
        explicitly = "use_xnnpack" in flags.given
        if not full and _uses_xnnpack(flags):
            self._err("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
            self._replaced(nodes, nodes, "TfLiteXNNPackDelegate", 1)
            if explicitly:
                self._info("XNNPACK delegate created.")
                self._explicitly("XNNPACK", "full", 1)
                full = True
        return "Disallowed CPU fallback detected." if values["require_full_delegation"] and not full else None

    def _replaced(self, taken: int, nodes: int, kernel: str, partitions: int) -> None:
        self._err(
            f"VERBOSE: Replacing {taken} out of {nodes} node(s) with delegate ({kernel}) node, "
            f"yielding {partitions} partitions for subgraph 0.\n"
        )

    def _explicitly(self, name: str, does: str, kernels: int) -> None:
        if does == "none":
            said = (
                f"Though {name} delegate is explicitly applied, the model graph will not be executed by the delegate."
            )
        else:
            how = "completely executed by the delegate"
            if does == "partial":
                how = f"partially executed by the delegate w/ {kernels} delegate kernels"
            said = f"Explicitly applied {name} delegate, and the model graph will be {how}."
        self._info(said)

    def _profile(self, flags: Parsed, engine: Engine, init_us: int, times_us: Sequence[int]) -> None:
        csv = flags.values.get("op_profiling_output_mode") == "csv"
        file = str(flags.values.get("op_profiling_output_file", "")) if csv else ""
        blocks = [
            bench_profile.init_block(init_us, csv),
            bench_profile.run_block(engine.operators, times_us, csv),
        ]
        if file and _write(os.path.join(self._folder, file), "".join(blocks).encode()):
            return
        for block in blocks:
            self._info(block.removesuffix("\n"))

    def _save_result(
        self, flags: Parsed, init_us: int, warmup: Sequence[int], times: Sequence[int], size: int, peak: float | None
    ) -> None:
        path = str(flags.values.get("result_file_path", ""))
        if not path:
            return
        data = bench_text.result_file(init_us, warmup, times, size, peak)
        place = {100: "", 177: "", 181: ""}
        if self._flavour == LITERT:
            place = {line: f"[benchmark_litert_model.h:{line}] " for line in place}
            tell: Callable[[str], None] = self._err
        else:
            tell = self._out
            tell(f"INFO: Saving benchmark result to: {path}\n")
        if not _write(os.path.join(self._folder, path), data):
            self._err(f"ERROR: {place[100]}Failed to save benchmark result to: {path}\n")
            return
        if self._flavour == LITERT:
            tell(f"INFO: {place[177]}Saving benchmark result to: {path}\n")
        tell(f"INFO: {place[181]}Saved benchmark result to: {path}\n")

    def _usage(self) -> list[str]:
        rows = [f"\t--{f.name}={f.default}\t{f.kind}\toptional\t{f.label}" for f in flags_of(self._flavour)]
        return ["usage: ./benchmark_model <flags>\nFlags:\n" + "\n".join(rows) + "\n"]

    def _info(self, *lines: str) -> None:
        for line in lines:
            self._out(f"INFO: {line}\n")

    def _fail(self, *lines: str) -> int:
        for line in (*lines, _FAILED):
            self._err(f"ERROR: {line}\n")
        return 1


def _uses_xnnpack(flags: Parsed) -> bool:
    """Given either way, the flag switches the runtime's own delegate off; "true" then applies it again."""
    return "use_xnnpack" not in flags.given or bool(flags.values["use_xnnpack"])


def _size_of(path: str) -> int:
    """Returns the size of a file that begins like a model.

    Raises:
        ModelRefused: it does not.
    """
    empty = "The model allocation is null/empty"
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            size = os.fstat(file.fileno()).st_size
    except IsADirectoryError:
        raise ModelRefused(["Mmap of '3' at offset '0' failed with error '19'.", empty]) from None
    except OSError:
        raise ModelRefused([f"Could not open '{path}'.", empty]) from None
    if not size:
        raise ModelRefused(["mmap of size 0 requested.", empty])
    if head[4:] != b"TFL3":
        raise ModelRefused(["The model is not a valid Flatbuffer buffer"])
    return size


def _write(path: str, data: bytes) -> bool:
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError:
        return False
    return True
