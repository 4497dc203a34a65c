"""Other programs, run with a deadline, each in a process group of its own that is never left running."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

_CHUNK_BYTES = 1 << 16
# One that has closed its output is ending already.
_ENDING_SECS = 5.0


class Cut(enum.Enum):
    """Why a program was killed."""

    LATE = "it did not end in time"
    FLOOD = "it printed without end"
    STOPPED = "it was stopped"


@dataclasses.dataclass(frozen=True)
class Ran:
    """What one run of a program left.

    Attributes:
        stdout, stderr: what it printed, as far as it was read.
        exit_code: as `subprocess.Popen.returncode` has it.
        cut: why it was killed, or None where it ended by itself.
    """

    stdout: bytes
    stderr: bytes
    exit_code: int
    cut: Cut | None


class Runner:
    """Runs programs, until another thread says stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, and `resume` was not."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Kills what runs, and what is started from now on."""
        with self._lock:
            self._stopped.set()
            for process in self._running:
                if process.returncode is None:
                    _kill(process)

    def resume(self) -> None:
        """Takes `stop` back."""
        self._stopped.clear()

    def wait(self, secs: float) -> None:
        """Sleeps until then, or until `stop`."""
        self._stopped.wait(secs)

    def run(
        self,
        argv: Sequence[str],
        deadline_secs: float,
        max_bytes: int,
        *,
        folder: str | None = None,
        leaves_daemons: bool = False,
        starting: AbstractContextManager[object] | None = None,
    ) -> Ran:
        """Returns what one run left. It sleeps meanwhile, so as not to disturb what is timed.

        The program's group is gone on return, and also when an exception, such as Ctrl-C, ends the waiting. Were this
        process killed, the program would end as soon as it prints: nobody reads its pipes.

        Args:
            argv: the program's path, and its arguments.
            deadline_secs: after so many seconds it is killed.
            max_bytes: likewise when it has printed so much.
            folder: where it runs; here, when None.
            leaves_daemons: whether what it started may live on, where it ends by itself.
            starting: entered while it is started.

        Raises:
            OSError: it cannot be started.
        """
        process: subprocess.Popen[bytes] | None = None
        try:
            with self._lock, starting or contextlib.nullcontext():
                process = subprocess.Popen(
                    list(argv),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,  # some read what they find there, and fail where it is closed
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C goes to this process, which then ends the program in order
                )
                self._running.add(process)
                if self.stopped:
                    _kill(process)
            stdout, stderr, cut = _read_all(process, time.monotonic() + deadline_secs, max_bytes)
            if cut is None and leaves_daemons:
                try:
                    process.wait(_ENDING_SECS)
                except subprocess.TimeoutExpired:
                    cut = Cut.LATE
        finally:
            if process is not None:
                self._end(process)
        return Ran(stdout, stderr, process.returncode, Cut.STOPPED if self.stopped else cut)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if process.returncode is None:
                # Before it is waited for, as its number can be another's afterwards. One that is ending keeps its code.
                _kill(process)
                process.wait()
            self._running.discard(process)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    # macOS does not let one signal a process that has ended but was not waited for.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _read_all(process: subprocess.Popen[bytes], deadline: float, max_bytes: int) -> tuple[bytes, bytes, Cut | None]:
    """Returns both streams when both have ended, or why they were not read to their ends."""
    outputs = {"stdout": bytearray(), "stderr": bytearray()}
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, name)
        cut = None
        while selector.get_map() and cut is None:
            left_secs = deadline - time.monotonic()
            ready = selector.select(left_secs) if left_secs > 0 else []
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK_BYTES)
                outputs[key.data] += chunk
                if not chunk:
                    selector.unregister(key.fileobj)
            if not ready:
                cut = Cut.LATE
            elif sum(map(len, outputs.values())) > max_bytes:
                cut = Cut.FLOOD
    return bytes(outputs["stdout"]), bytes(outputs["stderr"]), cut
