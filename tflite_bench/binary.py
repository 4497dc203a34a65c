"""The device ``binary:PATH``: a ``benchmark_model`` executable on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import os
import pathlib
import secrets
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence

from tflite_bench import host_cores
from tflite_bench.benchmark_model import TFLITE
from tflite_bench.binary_model import BinaryModel, Finished, Tool
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import DeviceError, ModelFileError, OptionsError
from tflite_bench.host_info import machine_info
from tflite_bench.model_file import ModelFile, read_model_file
from tflite_bench.op_profile import OpProfile
from tflite_bench.types import BenchOptions, DeviceInfo

_CHUNK_BYTES = 1 << 16
_MAX_OUTPUT_BYTES = 16 << 20  # some megabytes are the most that a profile of a large model takes
_MAX_RESULT_BYTES = 1 << 20
_SIGNAL = 128


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
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._stopped = False

    def run(self, arguments: Sequence[str], limit_secs: float, folder: str, cores: frozenset[int]) -> Finished:
        """Returns what one run printed and its exit code.

        Its process group is gone on return, and also when an exception, such as Ctrl-C, ends the waiting. Were this
        process killed, the program would end as soon as it prints: nobody reads its pipes.

        Args:
            arguments: without its own name.
            limit_secs: the time it may take.
            folder: where it runs.
            cores: on which it runs; empty leaves that to the system.

        Raises:
            DeviceError: it cannot be started, was changed, did not end in time, or printed without end.
        """
        process = self._start([str(self.path), *arguments], folder, cores)
        try:
            stdout, stderr = _read_all(process, limit_secs)
        finally:
            self._end(process)
        if self._stopped:
            raise DeviceError("benchmark_model was stopped.")
        code = process.returncode
        return Finished(stdout, stderr, code if code >= 0 else _SIGNAL - code)

    def stop(self) -> None:
        """Kills what runs; nothing can be run afterwards."""
        with self._lock:
            self._stopped = True
            for group in self._running:
                _kill(group)

    def _start(self, words: list[str], folder: str, cores: frozenset[int]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise DeviceError("benchmark_model was stopped.")
            try:
                if _identity(self.path) != self._identity:
                    raise DeviceError(f"{self.path} was replaced while it was in use. Measure again.")
                with host_cores.on_cores(cores):
                    process = subprocess.Popen(
                        words,
                        cwd=folder,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        start_new_session=True,
                    )
            except OSError as error:
                why = "it is no program for this machine" if error.errno == errno.ENOEXEC else error.strerror
                raise DeviceError(f"Cannot start {self.path}: {why}.") from error
            self._running.add(process.pid)
            return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            # Before it is waited for, as its number can be another's afterwards. One that has closed its output is
            # ending already, and keeps its exit code.
            _kill(process.pid)
            process.wait()
            self._running.discard(process.pid)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


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
    """Returns the executable at the path ``argument`` as a device.

    Raises:
        OptionsError: there is no such file.
        DeviceError: it is not executable.
    """
    if not argument:
        raise OptionsError("Expected the path of a benchmark_model executable: binary:PATH. Received: 'binary'.")
    return BinaryDevice(pathlib.Path(argument), options)


def _kill(group: int) -> None:
    # macOS does not let one signal a process that has ended but was not waited for.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


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


def _read_all(process: subprocess.Popen[bytes], limit_secs: float) -> tuple[str, str]:
    """Returns both streams, when both have ended; it sleeps in between, so as not to disturb the times."""
    deadline = time.monotonic() + limit_secs
    chunks: dict[int, list[bytes]] = {}
    size = 0
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, chunks.setdefault(pipe.fileno(), []))
        while selector.get_map():
            left_secs = deadline - time.monotonic()
            ready = selector.select(left_secs) if left_secs > 0 else []
            if not ready:
                raise DeviceError(
                    f"benchmark_model did not end within {limit_secs:.0f} s and was killed. "
                    "Measure less at a time, or raise hang_secs."
                )
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK_BYTES)
                key.data.append(chunk)
                size += len(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
            if size > _MAX_OUTPUT_BYTES:
                raise DeviceError(
                    "benchmark_model prints without end and was killed. Check that it is the right program."
                )
    stdout, stderr = (b"".join(parts).decode(errors="replace") for parts in chunks.values())
    return stdout, stderr
