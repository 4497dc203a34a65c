"""How the phone's programs reach the daemon: each is a process that hands its standard streams over and waits."""

from __future__ import annotations

import contextlib
import dataclasses
import marshal
import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping

_DESCRIPTORS = 3


@dataclasses.dataclass(frozen=True)
class Killed:
    """The program dies of a signal."""

    signal: int


@dataclasses.dataclass(frozen=True)
class Becomes:
    """The program becomes another one."""

    command: list[str]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


class ProgramGone(Exception):
    """The process was killed."""


class Call:
    """One running program, and what it is given.

    Attributes:
        program: its name.
        arguments: without the name.
        folder: where it runs.
        environment: its variables.
        fds: its standard input, output and error.
    """

    def __init__(self, line: socket.socket) -> None:
        head, fds, _, _ = socket.recv_fds(line, 4, _DESCRIPTORS)
        self.fds: list[int] = list(fds)
        self.line = line
        size = int.from_bytes(head, "little")
        question = b""
        while len(question) < size:
            data = line.recv(size - len(question))
            if not data:
                raise ProgramGone
            question += data
        self.program, self.arguments, self.folder, self.environment = marshal.loads(question)

    def out(self, text: str | bytes) -> None:
        """Writes to standard output.

        Raises:
            ProgramGone: nobody reads it.
        """
        self._write(self.fds[1], text)

    def err(self, text: str | bytes) -> None:
        """Writes to standard error.

        Raises:
            ProgramGone: nobody reads it.
        """
        self._write(self.fds[2], text)

    def sleep(self, secs: float | None) -> None:
        """Waits; None waits for ever.

        Raises:
            ProgramGone: the process was killed meanwhile.
        """
        if secs is None or secs > 0:
            readable, _, _ = select.select([self.line], [], [], secs)
            if readable:
                raise ProgramGone

    def answer(self, result: int | Killed | Becomes) -> None:
        """Tells the process how it ends."""
        if isinstance(result, Killed):
            frame = b"K" + bytes([result.signal])
        elif isinstance(result, Becomes):
            frame = b"E" + marshal.dumps((list(result.command), dict(result.environment)))
        else:
            frame = b"X" + bytes([result])
        with contextlib.suppress(OSError):
            self.line.sendall(frame)

    def close(self) -> None:
        """Gives up the streams."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        self.line.close()

    def _write(self, fd: int, text: str | bytes) -> None:
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError as error:
            raise ProgramGone from error


class CallServer:
    """Listens for programs and runs ``answer(call)`` for each in a thread of its own."""

    def __init__(self, answer: Callable[[Call], int | Killed | Becomes]) -> None:
        self.name = f"phone-{uuid.uuid4()}"
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind("\0" + self.name)  # no file: nothing to clean up
        self._listener.listen(64)
        self._calls: set[threading.Thread] = set()
        self._thread = threading.Thread(target=self._serve, name="phone calls", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening and waits for the running calls; their processes must be killed before."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        deadline = time.monotonic() + 5
        for thread in list(self._calls):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(line,), name="phone program", daemon=True)
            self._calls.add(thread)
            thread.start()

    def _run(self, line: socket.socket) -> None:
        call = None
        try:
            call = Call(line)
            call.answer(self._answer(call))
        except (ProgramGone, OSError):
            if call:
                call.answer(Killed(13))  # SIGPIPE, where it is alive still
        finally:
            if call:
                call.close()
            line.close()
            self._calls.discard(threading.current_thread())
