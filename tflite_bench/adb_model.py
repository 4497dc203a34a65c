"""A model on a phone, timed by the ``benchmark_model`` there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from tflite_bench import phone_run
from tflite_bench.adb_phone import Adb
from tflite_bench.benchmark_binaries import Executable
from tflite_bench.binary_model import BinaryModel, Finished, Tool
from tflite_bench.block import Block
from tflite_bench.device import LoadedModel
from tflite_bench.errors import DeviceError, DeviceLostError
from tflite_bench.model_file import ModelFile
from tflite_bench.op_profile import OpProfile
from tflite_bench.phone_files import PhoneFiles
from tflite_bench.types import BenchOptions

MODEL_SUFFIX, PROGRAM_SUFFIX = ".tflite", ".benchmark_model"
_ATTEMPTS = 2
# What the connection, the start of the shell and the reading of the result may take beside the program.
_AROUND_SECS = 20.0
_CANNOT_START_CODES = (126, 127)


class PhoneTool:
    """The program on one phone, with one model put beside it.

    Attributes:
        stale_reason: why a run may have timed something else, or "".
    """

    def __init__(
        self,
        adb: Adb,
        files: PhoneFiles,
        executable: Executable,
        file: ModelFile,
        *,
        mask: int | None,
        tools: frozenset[str],
        watched: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Puts the model, and the program where it is missing, onto the phone.

        Args:
            adb: the way to the phone.
            files: its files.
            executable: the program for it, on this computer.
            file: the model.
            mask: cores to run on, or None for all.
            tools: the programs that the phone has, see `Identity`.
            watched: gives a context manager that takes note of a lost phone.

        Raises:
            DeviceError: a file cannot be put there.
        """
        self.stale_reason = ""
        self._adb = adb
        self._files = files
        self._executable = executable
        self._file = file
        self._mask = mask
        self._size_bytes = file.size_bytes + executable.size_bytes
        self._tools = tools
        self._watched = watched
        with watched():
            self._model = files.put(file.path, file.sha256, MODEL_SUFFIX)
            self._program = files.put(executable.path, executable.sha256, PROGRAM_SUFFIX)
        files.hold(self._model)

    def tool(self, hang_secs: float) -> Tool:
        """Returns what `BinaryModel` needs."""
        # Old tools write no such file, and phones without base64 cannot send it; it only confirms what is printed.
        result = f"{self._files.folder}/{self._file.sha256[:16]}.result" if "base64" in self._tools else None
        return Tool(self.execute, self._model, result, hang_secs, self.close)

    def execute(self, arguments: Sequence[str], limit_secs: float) -> Finished:
        """Runs the program once, on files that are checked right before.

        Raises:
            DeviceLostError: the phone went away, or the program did not end in time and was killed.
            DeviceError: the program cannot be started, or the phone does not keep the files that it was given.
        """
        run = self._run(arguments, limit_secs)
        with self._watched():
            for attempt in range(_ATTEMPTS):
                if attempt:
                    self._files.forget()
                    self._files.put(self._file.path, self._file.sha256, MODEL_SUFFIX)
                    self._files.put(self._executable.path, self._executable.sha256, PROGRAM_SUFFIX)
                answer = self._answer(run, limit_secs)
                if not answer.stale:
                    break
        if not answer.ran:
            raise DeviceError(
                f"{answer.stale}. They were pushed again and are wrong again: the storage of the phone "
                f"{self._adb.serial} is damaged, or another program writes to {self._files.folder}."
            )
        self.stale_reason = self.stale_reason or answer.stale
        if answer.exit_code in _CANNOT_START_CODES:
            words = " ".join(answer.stderr.split()) or f"exit code {answer.exit_code}"
            raise DeviceError(
                f"The phone {self._adb.serial} cannot start {self._executable.path} ({self._executable.abi}): {words}."
            )
        return Finished(answer.stdout, answer.stderr, answer.exit_code, answer.result)

    def close(self) -> None:
        """Gives up the model; it stays on the phone as long as there is room."""
        self._files.release(self._model)

    def _run(self, arguments: Sequence[str], limit_secs: float) -> phone_run.PhoneRun:
        flag = "--result_file_path="
        results = [argument.removeprefix(flag) for argument in arguments if argument.startswith(flag)]
        return phone_run.PhoneRun(
            folder=self._files.folder,
            program=self._program,
            program_sha256=self._executable.sha256,
            model=self._model,
            model_sha256=self._file.sha256,
            arguments=arguments,
            result=results[0] if results else None,
            mask=self._mask,
            limit_secs=math.ceil(limit_secs) if "timeout" in self._tools else None,
        )

    def _answer(self, run: phone_run.PhoneRun, limit_secs: float) -> phone_run.PhoneAnswer:
        marker = phone_run.new_marker()
        begin = time.monotonic()
        result = self._adb.shell(
            phone_run.command(run, marker), limit_secs + _AROUND_SECS + self._files.hash_secs(self._size_bytes)
        )
        answer = phone_run.read(result, marker)
        if answer.timed_out(run, time.monotonic() - begin):
            raise DeviceLostError(
                f"benchmark_model did not end within {limit_secs:.0f} s on the phone {self._adb.serial} with "
                f"{self._file.path.name}; it was killed."
            )
        return answer


class AdbModel(LoadedModel):
    """A model on a phone.

    Attributes:
        flavour: which of the two programs times it.
    """

    def __init__(self, options: BenchOptions, file: ModelFile, tool: PhoneTool, hang_secs: float, flavour: str) -> None:
        """Runs the program once, see `BinaryModel`."""
        self._tool = tool
        self._inner = BinaryModel(file, options, tool.tool(hang_secs), flavour=flavour)
        self.file = file
        self.startup = self._inner.startup
        self.delegation = self._inner.delegation
        self.flavour = self._inner.flavour

    @property
    def stale_reason(self) -> str:
        """Why a block may be of another file."""
        return self._tool.stale_reason

    def run(self, num_runs: int, min_secs: float, max_secs: float) -> Block:
        """Returns the block of one run of the program."""
        return self._inner.run(num_runs, min_secs, max_secs)

    def profile(self) -> OpProfile:
        """Returns the times of single operators, see `BinaryModel.profile`."""
        return self._inner.profile()

    def close(self) -> None:
        """Gives up the model."""
        self._inner.close()
