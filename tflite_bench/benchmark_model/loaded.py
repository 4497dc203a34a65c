"""A model that a ``benchmark_model`` executable times, wherever that executable runs.

Each block is one run of the program: a fresh process that loads the model, warms up and prints the statistics of its
times.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.arguments import Runs, arguments
from tflite_bench.benchmark_model.lines import TFLITE, flavour_of
from tflite_bench.benchmark_model.op_profile import OpProfile, parse_profile
from tflite_bench.benchmark_model.output import Output, parse
from tflite_bench.device import LoadedModel
from tflite_bench.errors import DeviceError, ModelFileError, OutputError
from tflite_bench.messages import tell
from tflite_bench.model_file import ModelFile
from tflite_bench.statistics.block import Block
from tflite_bench.types import Startup

# A process starts with cold caches, sleeping threads and slow clocks, and its first inferences still pack weights. So
# every block has a warm-up of its own: as many inferences as the options ask for, but at least one, and as many
# seconds, but at most these. All of the options' seconds would often be more than the block itself.
BLOCK_WARMUP_SECS = 0.2
# A run that takes longer than so many times what loading made one expect is taken for hanging: phones throttle.
_PATIENCE = 4
_MS_PER_SEC = 1e3


@dataclasses.dataclass(frozen=True)
class Finished:
    """What one run of the program left.

    Attributes:
        stdout: what it printed; all of it where the streams cannot be told apart.
        stderr: what it printed on standard error.
        exit_code: as a shell has it: 128 + N where signal N ended the program.
        result: content of the file that ``Tool.result_file`` names, or None where the program wrote none.
    """

    stdout: str
    stderr: str
    exit_code: int
    result: bytes | None = None


class Tool(Protocol):
    """A ``benchmark_model`` executable, with one model put where it can read it.

    Attributes:
        model: the model's path as the program sees it.
        result_file: likewise a path that the program can write to, or None.
        hang_secs: seconds that a run may take beyond what it is meant to take.
        stale_reason: why a run may have timed another file than the one that was asked for, or "".
    """

    model: str
    result_file: str | None
    hang_secs: float
    stale_reason: str

    def execute(self, arguments: Sequence[str], limit_secs: float) -> Finished:
        """Runs the program with ``arguments`` for at most ``limit_secs`` seconds, and returns what it left.

        ``result_file`` is removed before, so that the file of an earlier run is never taken for this one's.

        Raises:
            DeviceLostError: the device went away.
            DeviceHungError: the program did not end in time and was killed.
            DeviceError: the program cannot be started.
        """

    def close(self) -> None:
        """Takes the model away again; called once, also where loading the model fails."""


class BinaryModel(LoadedModel):
    """A model that a ``benchmark_model`` executable can read.

    Attributes:
        flavour: which of the two programs of that name it turned out to be. Given to the next model of the same
            executable, it saves a run.
    """

    def __init__(self, file: ModelFile, options: BenchOptions, tool: Tool, *, flavour: str = TFLITE) -> None:
        """Runs the program once: warmed up as the options say, with one timed inference.

        Raises:
            ModelFileError: the program cannot run the model.
            OptionsError: the program cannot do what the options ask for.
            DeviceError: it fails, or does something else than what the options ask for.
        """
        self.file = file
        self.flavour = flavour
        self._options = options
        self._tool = tool
        self._closed = False
        self._inference_secs = 0.0
        try:
            # One warm-up inference at least: the first one is to be told.
            output = self._call(
                Runs(
                    num_runs=1,
                    min_secs=0.0,
                    max_secs=options.max_secs,
                    warmup_runs=max(options.warmup_runs, 1),
                    warmup_min_secs=options.warmup_min_secs,
                )
            )
            if output.warmup is None or output.first_inference_ms is None:
                raise OutputError("Expected a warm-up of at least one inference. Received: count=0.")
        except BaseException:
            self.close()
            raise
        self._inference_secs = max(output.warmup.mean_ms, output.block.mean_ms) / _MS_PER_SEC
        self._init_secs = output.init_ms / _MS_PER_SEC
        if any("Falling back to OpenGL" in text for text in output.warnings):
            tell(f"{file.path.name}: the GPU delegate runs with OpenGL, as the device has no OpenCL that it can use.")
        self._started: list[Output] = [output]
        self.startup = self._startup()
        self.delegation = output.delegation

    @property
    def stale_reason(self) -> str:
        """Why a block may be of another file."""
        return self._tool.stale_reason

    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        """Returns the block of one run of the program, after a short warm-up of its own (`BLOCK_WARMUP_SECS`)."""
        output = self._call(self._runs(num_runs, min_secs, max_secs))
        self._started.append(output)
        self.startup = self._startup()
        return output.block

    def _startup(self) -> Startup:
        """What starting cost, over all runs: each of them is a new process."""

        def median(values: Iterable[float | None]) -> float | None:
            known = [value for value in values if value is not None]
            return statistics.median(known) if known else None

        started = self._started
        return Startup(
            statistics.median(each.init_ms for each in started),
            median(each.first_inference_ms for each in started) or 0.0,
            median(each.peak_memory_mb for each in started),
            len(started),
            started[0].warmup,
        )

    def profile(self) -> OpProfile:
        """Returns the times of single operators, over as many inferences as the options ask for.

        Telling them slows the model down a little, so these times are not for comparing with others.

        Raises:
            OutputError: the program prints no such times.
            DeviceError: it may have run another file.
        """
        options = self._options
        runs = self._runs(options.num_runs, options.min_secs, options.max_secs)
        with _told_of(self.file):
            finished = self._execute(runs, profile=True)
            self._parse(finished, runs)
            profile = parse_profile(finished.stdout, finished.stderr)
        if self.stale_reason:
            raise DeviceError(self.stale_reason)
        return profile

    def close(self) -> None:
        """Takes the model away from where the program reads it; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._tool.close()

    def _runs(self, num_runs: int, min_secs: float, max_secs: float) -> Runs:
        return Runs(
            num_runs=num_runs,
            min_secs=min_secs,
            max_secs=max_secs,
            warmup_runs=max(self._options.warmup_runs, 1),
            warmup_min_secs=min(self._options.warmup_min_secs, BLOCK_WARMUP_SECS),
        )

    def _call(self, runs: Runs) -> Output:
        with _told_of(self.file):
            return self._parse(self._execute(runs), runs)

    def _execute(self, runs: Runs, *, profile: bool = False) -> Finished:
        if self._closed:
            raise DeviceError(f"{self.file.path.name} was closed: load it again.")
        finished = self._execute_as(self.flavour, runs, profile)
        told = flavour_of(finished.stdout, finished.stderr)
        if told is not None and told != self.flavour:  # it shows when it runs, and the other one has other flags
            self.flavour = told
            finished = self._execute_as(told, runs, profile)
        return finished

    def _execute_as(self, flavour: str, runs: Runs, profile: bool) -> Finished:
        tool = self._tool
        words = arguments(
            tool.model, self._options, runs, result_file=tool.result_file, profile=profile, flavour=flavour
        )
        return tool.execute(words, self._limit_secs(runs))

    def _parse(self, finished: Finished, runs: Runs) -> Output:
        return parse(
            finished.stdout,
            finished.stderr,
            finished.exit_code,
            self._options,
            runs=runs,
            result=finished.result,
        )

    def _limit_secs(self, runs: Runs) -> float:
        """Returns after how many seconds a run is taken for hanging."""
        if self._inference_secs == 0:  # loading: nothing is known of the model yet
            warmup_secs = runs.max_secs if runs.warmup_runs > 1 else runs.warmup_min_secs
            return warmup_secs + self._tool.hang_secs
        meant_secs = self._init_secs
        for num_runs, min_secs in ((runs.warmup_runs, runs.warmup_min_secs), (runs.num_runs, runs.min_secs)):
            needed_secs = max(min_secs, num_runs * self._inference_secs)
            meant_secs += min(needed_secs, runs.max_secs) + self._inference_secs
        return _PATIENCE * meant_secs + self._tool.hang_secs


@contextlib.contextmanager
def _told_of(file: ModelFile) -> Iterator[None]:
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"Cannot run {file.path}: {error}") from error
