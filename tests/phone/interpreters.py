"""The daemon's end of `interpreter_server`: one such process for all phones, as long as one of them needs it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent.parent


class Interpreters:
    """The process, started with the first job and ended when the last phone that used it is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def job(self, phone_id: str) -> socket.socket:
        """Returns one end of the socket of a new job."""
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with self._lock, other:
            self._users.add(phone_id)
            if self._line is None:
                self._start()
            if self._line is not None:
                socket.send_fds(self._line, [b"j"], [other.fileno()])
        return own

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Within, the process stays when the last phone is closed."""
        with self._lock:
            self._users.add("kept")
        try:
            yield
        finally:
            self.leave("kept")

    def leave(self, phone_id: str) -> None:
        """Ends the process when no other phone has used it."""
        with self._lock:
            self._users.discard(phone_id)
            if self._users or self._process is None or self._line is None:
                return
            self._line.close()
            self._process.wait()
            self._process = self._line = None

    def _start(self) -> None:
        self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path])}
        with other:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("interpreter_server.py")), str(other.fileno())],
                stdin=subprocess.DEVNULL,
                env=variables,
                pass_fds=[other.fileno()],
            )


INTERPRETERS = Interpreters()
