"""The device ``binary:PATH``, or ``binary`` for what was fetched: a ``benchmark_model`` executable on this machine."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import pathlib
import platform
import secrets
import tempfile
from collections.abc import Sequence

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.fetch import FLAVOURS, TARGETS, cached
from tflite_bench.benchmark_model.lines import TFLITE
from tflite_bench.benchmark_model.loaded import BinaryModel, Finished, Tool
from tflite_bench.benchmark_model.op_profile import OpProfile
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import DeviceError, DeviceHungError, ModelFileError, OptionsError
from tflite_bench.host import cores as host_cores
from tflite_bench.host.info import machine_info
from tflite_bench.model_file import ModelFile, read_model_file
from tflite_bench.process import Cut, Runner
from tflite_bench.types import DeviceInfo

_CHUNK_BYTES = 1 << 16
_MAX_OUTPUT_BYTES = 16 << 20  # some megabytes are the most that a profile of a large model takes
_MAX_RESULT_BYTES = 1 << 20
_SIGNAL = 128
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


class Program:
    """An executable file, run in a process group of its own and never left running."""

    def __init__(self, path: pathlib.Path) -> None:
        """Looks at the file.

        Raises:
            OptionsError: there is no such file.
            DeviceError: it cannot be executed.
        """
        self.path = path.expanduser().absolute()
        try:
            with self.path.open("rb") as file:
                self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            self._identity = _identity(self.path)
        except OSError as error:
            raise OptionsError(
                f"Expected the path of a benchmark_model executable after 'binary:'. "
                f"Received: {str(path)!r} ({error.strerror})."
            ) from error
        if not os.access(self.path, os.X_OK):
            raise DeviceError(f"{self.path} is not executable. Run: chmod +x {str(self.path)!r}")
        self._runner = Runner()

    def run(self, arguments: Sequence[str], limit_secs: float, folder: str, cores: frozenset[int]) -> Finished:
        """Returns what one run printed and its exit code, see `Runner.run`.

        Args:
            arguments: without its own name.
            limit_secs: the time it may take.
            folder: where it runs.
            cores: on which it runs; empty leaves that to the system.

        Raises:
            DeviceHungError: it did not end in time.
            DeviceError: it cannot be started, was changed, was stopped, or printed without end.
        """
        if self._runner.stopped:
            raise DeviceError("benchmark_model was stopped.")
        try:
            if _identity(self.path) != self._identity:
                raise DeviceError(f"{self.path} was replaced while it was in use. Measure again.")
            argv = [str(self.path), *arguments]
            on_cores = host_cores.on_cores(cores)
            ran = self._runner.run(argv, limit_secs, _MAX_OUTPUT_BYTES, folder=folder, starting=on_cores)
        except OSError as error:
            why = "it is no program for this machine" if error.errno == errno.ENOEXEC else error.strerror
            raise DeviceError(f"Cannot start {self.path}: {why}.") from error
        if ran.cut is Cut.STOPPED:
            raise DeviceError("benchmark_model was stopped.")
        if ran.cut is Cut.FLOOD:
            raise DeviceError("benchmark_model prints without end and was killed. Check that it is the right program.")
        if ran.cut is Cut.LATE:
            raise DeviceHungError(
                f"benchmark_model did not end within {limit_secs:.0f} s and was killed. "
                "Measure less at a time, or raise hang_secs."
            )
        code = ran.exit_code if ran.exit_code >= 0 else _SIGNAL - ran.exit_code
        return Finished(ran.stdout.decode(errors="replace"), ran.stderr.decode(errors="replace"), code)

    def stop(self) -> None:
        """Kills what runs; nothing can be run afterwards."""
        self._runner.stop()


class _LocalTool(Tool):
    """The executable, with a copy of one model in its folder."""

    def __init__(self, program: Program, file: ModelFile, folder: str, cores: frozenset[int], hang_secs: float) -> None:
        self.hang_secs = hang_secs
        self.stale_reason = ""
        self._program, self._folder, self._cores = program, folder, cores
        # Under a name of its own: a path may hold anything, also what looks like a line of output.
        base = pathlib.Path(folder) / secrets.token_hex(8)
        self._copied, self._result = base.with_suffix(".tflite"), base.with_suffix(".result")
        self.model, self.result_file = self._copied.name, self._result.name
        try:
            _copy(file, self._copied)
        except BaseException:
            self.close()
            raise

    def execute(self, arguments: Sequence[str], limit_secs: float) -> Finished:
        self._result.unlink(missing_ok=True)
        finished = self._program.run(arguments, limit_secs, self._folder, self._cores)
        return dataclasses.replace(finished, result=_read_result(self._result))

    def close(self) -> None:
        for path in (self._copied, self._result):
            path.unlink(missing_ok=True)


class BinaryDevice(Device):
    """This machine, with a ``benchmark_model`` executable."""

    def __init__(self, path: pathlib.Path, options: DeviceOptions) -> None:
        """Makes a folder for models and results.

        Raises:
            OptionsError: there is no such file.
            DeviceError: it is not executable.
        """
        self._program = Program(path)
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="tflite_bench_")
        self._flavour = TFLITE

    def info(self) -> DeviceInfo:
        """Returns the description of this machine and of the executable."""
        return machine_info("binary", "benchmark_model", self._program.sha256[:16])

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> BinaryModel:
        """Returns the model, having been run once as ``options`` say."""
        file = read_model_file(model)
        cores = host_cores.chosen_cores(options.pin)
        tool = _LocalTool(self._program, file, self._folder.name, cores, self._options.hang_secs)
        loaded = BinaryModel(file, options, tool, flavour=self._flavour)
        self._flavour = loaded.flavour
        return loaded

    def profile(self, model: str | os.PathLike[str], options: BenchOptions | None = None) -> OpProfile:
        """Returns how long each operator of ``model`` takes."""
        with self.load(model, options or BenchOptions()) as loaded:
            return loaded.profile()

    def conditions(self) -> Conditions | None:
        """Returns the clocks of the cores, or None where the system does not tell."""
        return host_cores.clocks()

    def interrupt(self) -> None:
        """Kills the run that another thread waits for; only `close` may follow."""
        self._program.stop()

    def close(self) -> None:
        """Removes the folder of models and results."""
        self._program.stop()
        self._folder.cleanup()


def open_binary(argument: str, options: DeviceOptions) -> BinaryDevice:
    """Returns the executable at the path ``argument`` as a device; without one, that of this system in the cache.

    Raises:
        OptionsError: there is no such file.
        DeviceError: it is not executable, or none was fetched.
        DownloadError: the one in the cache was changed.
    """
    return BinaryDevice(pathlib.Path(argument) if argument else _fetched(), options)


def _fetched() -> pathlib.Path:
    target = f"{platform.system().lower()}-{_MACHINES.get(platform.machine().lower(), platform.machine().lower())}"
    if target not in TARGETS:
        raise OptionsError(
            f"Expected the path of a benchmark_model executable: binary:PATH. Received: 'binary', but nobody publishes "
            f"one for this system ({target})."
        )
    for flavour in FLAVOURS:
        found = cached(target, flavour)
        if found is not None:
            return found.path
    raise DeviceError(
        "No benchmark_model for this machine was fetched. Get the official one with 'tflite-bench fetch "
        f"--abi={target}', or name your own: binary:PATH."
    )


def _identity(path: pathlib.Path) -> tuple[int, int, int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _copy(file: ModelFile, copied: pathlib.Path) -> None:
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as source, copied.open("wb") as target:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                target.write(chunk)
    except OSError as error:
        raise DeviceError(
            f"Cannot copy {file.path} to {copied.parent}: {error.strerror}. Set TMPDIR to a folder with room."
        ) from error
    if digest.hexdigest() != file.sha256:
        raise ModelFileError(f"{file.path} was changed while it was read. Measure it when it is finished.")


def _read_result(path: pathlib.Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_RESULT_BYTES)
    except FileNotFoundError:
        return None
