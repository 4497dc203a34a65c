"""A model that a ``benchmark_model`` executable times, wherever that executable runs.

Each block is one run of the program: a fresh process that loads the model, warms up and prints the
statistics of its times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tflite_bench import benchmark_model
from tflite_bench.benchmark_model import Output, Runs
from tflite_bench.block import Block
from tflite_bench.device import LoadedModel
from tflite_bench.errors import DeviceError
from tflite_bench.model_file import ModelFile
from tflite_bench.notices import tell
from tflite_bench.types import BenchOptions, Startup

# A process starts with empty caches and sleeping threads, and its first inferences still pack weights. This much
# of its own warm-up, or less where the options ask for less, each block gets besides the model's at loading.
BLOCK_WARMUP_SECS = 0.2
# A block may take this many times as long as loading made one expect before it counts as hanging: phones throttle.
_PATIENCE = 4


@dataclasses.dataclass(frozen=True)
class Finished:
    """What one run of the program left.

    Attributes:
        stdout, stderr: what it printed; all in ``stdout`` where the two cannot be told apart.
        exit_code: as a shell has it: 128 + N where signal N ended it.
        result: content of the file named by ``--result_file_path``, or None where it wrote none.
    """

    stdout: str
    stderr: str
    exit_code: int
    result: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Tool:
    """How a ``benchmark_model`` executable is reached, with one model put where it can read it.

    Attributes:
        execute: runs the program with the arguments (without its own name), for at most the given seconds, and
            returns what it left. It removes ``result_file`` first, so that no file of an earlier run is taken for
            this one's; it raises `DeviceLostError` where the device went away, and `DeviceError` where the program
            cannot be started or did not end in time (having killed it).
        model: the model's path as the program sees it.
        result_file: likewise a path that the program may write to, or None.
        hang_secs: seconds that a run may take beyond what it is meant to take.
        close: takes the model away again; called once.
    """

    execute: Callable[[Sequence[str], float], Finished]
    model: str
    result_file: str | None
    hang_secs: float
    close: Callable[[], None]


class BinaryModel(LoadedModel):
    """A model that a ``benchmark_model`` executable can read.

    Attributes:
        flavour: which of the two programs of that name it turned out to be; pass it on to the next model.
    """

    def __init__(
        self, file: ModelFile, options: BenchOptions, tool: Tool, *, flavour: str = benchmark_model.TFLITE
    ) -> None:
        """Runs the program once: warmed up as the options say, with one timed inference.

        Raises:
            ModelFileError: the program refuses the model.
            OptionsError: it cannot do what the options ask for.
            DeviceError: it fails, or runs the model otherwise than asked for.
        """
        raise NotImplementedError

    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        """Returns the block of one run of the program, after a short warm-up of its own (`BLOCK_WARMUP_SECS`)."""
        raise NotImplementedError

    def close(self) -> None:
        """Takes the model away from where the program reads it; a second call does nothing."""
