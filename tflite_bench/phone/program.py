"""The ``benchmark_model`` on a phone, with a model put beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from tflite_bench.adb.connection import Adb, NoAnswerError
from tflite_bench.benchmark_model.binaries import Executable
from tflite_bench.benchmark_model.loaded import Finished, Tool
from tflite_bench.errors import DeviceError, DeviceHungError
from tflite_bench.model_file import ModelFile
from tflite_bench.phone import run as phone_run
from tflite_bench.phone.files import PhoneFiles

MODEL_SUFFIX, PROGRAM_SUFFIX = ".tflite", ".benchmark_model"
_ATTEMPTS = 2
# What the connection, the start of the shell and the reading of the result may take beside the program.
_AROUND_SECS = 20.0
_CANNOT_START_CODES = (126, 127)


class PhoneTool(Tool):
    """The program on one phone, with one model put beside it."""

    def __init__(
        self,
        adb: Adb,
        files: PhoneFiles,
        executable: Executable,
        file: ModelFile,
        *,
        mask: int | None,
        tools: frozenset[str],
        hang_secs: float,
        watched: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Puts the model, and the program where it is missing, onto the phone.

        Args:
            adb: the way to the phone.
            files: its files.
            executable: the program for it, on this computer.
            file: the model.
            mask: cores to run on, or None for all.
            hang_secs: see `Tool`.
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
        self.hang_secs = hang_secs
        # Old tools write no such file, and phones without base64 cannot send it; it only confirms what is printed.
        self.result_file = f"{files.folder}/{file.sha256[:16]}.result" if "base64" in tools else None
        self._size_bytes = file.size_bytes + executable.size_bytes
        self._tools = tools
        self._watched = watched
        with watched():
            self.model = files.put(file.path, file.sha256, MODEL_SUFFIX)
            self._program = files.put(executable.path, executable.sha256, PROGRAM_SUFFIX)
        files.hold(self.model)

    def execute(self, arguments: Sequence[str], limit_secs: float) -> Finished:
        """Runs the program once, on files that are checked right before, see `tflite_bench.phone.run`.

        Raises:
            DeviceLostError: the phone went away.
            DeviceHungError: the program did not end in time and was killed.
            DeviceError: the program cannot be started, or the phone does not keep the files that it was given.
        """
        pair = self._program, self.model
        with self._watched():
            for attempt in range(_ATTEMPTS):
                if attempt:
                    self._files.forget()
                    self._files.put(self._file.path, self._file.sha256, MODEL_SUFFIX)
                    self._files.put(self._executable.path, self._executable.sha256, PROGRAM_SUFFIX)
                answer = self._answer(self._run(arguments, limit_secs), limit_secs)
                self._files.seen[pair] = answer.seen
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
        self._files.release(self.model)

    def _run(self, arguments: Sequence[str], limit_secs: float) -> phone_run.PhoneRun:
        return phone_run.PhoneRun(
            folder=self._files.folder,
            program=self._program,
            program_sha256=self._executable.sha256,
            model=self.model,
            model_sha256=self._file.sha256,
            arguments=arguments,
            result=self.result_file,
            mask=self._mask,
            known=self._files.seen.get((self._program, self.model), ""),
            limit_secs=math.ceil(limit_secs) if "timeout" in self._tools else None,
        )

    def _answer(self, run: phone_run.PhoneRun, limit_secs: float) -> phone_run.PhoneAnswer:
        marker = phone_run.new_marker()
        begin = time.monotonic()
        hung = (
            f"benchmark_model did not end within {limit_secs:.0f} s on the phone {self._adb.serial} with "
            f"{self._file.path.name}; it was killed. Measure less at a time, or raise hang_secs."
        )
        try:
            result = self._adb.shell(
                phone_run.command(run, marker), limit_secs + _AROUND_SECS + self._files.hash_secs(self._size_bytes)
            )
        except NoAnswerError as error:
            if not self._adb.answers():
                raise
            self._files.end_leftovers()
            raise DeviceHungError(hung) from error
        answer = phone_run.read(result, marker)
        if answer.timed_out(run, time.monotonic() - begin):
            raise DeviceHungError(hung)
        return answer
