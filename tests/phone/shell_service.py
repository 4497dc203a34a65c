"""The services that run a command: ``shell,v2``, the older ``shell`` and ``exec``."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import struct
import subprocess
import threading
from typing import TYPE_CHECKING

from tests.phone.transport import Stream, StreamClosed

if TYPE_CHECKING:
    from tests.phone.phone import Phone
    from tests.phone.tree import Tree

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_HEADER = struct.Struct("<BI")
_CHUNK = 1 << 16
_SHELL = "/bin/sh"
# What makes the phone's shell stay between its parent and the program: anything but one plain command.
_COMPOUND = re.compile(r"[;&|\n(){}`]|^\s*(?:if|for|while|until|case|!)\b")
_FIRST_WORD = re.compile(r"\s*('[^']+'|[\w./-]+)(?=\s|$)")
_BUILT_IN = frozenset(
    re.findall(
        r"\S+",
        """
        . : [ alias bg break cd command continue echo eval exec exit export false fg getopts hash jobs kill let local
        printf pwd read readonly return set shift test times trap true type ulimit umask unalias unset wait
        """,
    )
)
_SINGLE_QUOTED = re.compile(r"'[^']*'")


class ShellService:
    """One command on the phone.

    Args:
        phone: where it runs.
        stream: where its output goes and its input comes from.
        command: the line for the phone's shell; empty for a shell that reads its lines from the stream.
        v2: with exit code, a standard error of its own and an input that can be closed.
        lines_end_with_cr: old phones give a terminal, which ends lines with CR LF.
    """

    def __init__(self, phone: Phone, stream: Stream, command: str, *, v2: bool, lines_end_with_cr: bool = False):
        self._phone = phone
        self._stream = stream
        self._v2 = v2
        self._lines_end_with_cr = lines_end_with_cr
        self._to_phone, self._from_phone = phone.tree.translator()
        self._wake_read, self._wake_write = os.pipe()
        self._waking = threading.Lock()
        self._done = False
        stream.on_close = self._wake
        self._process = subprocess.Popen(
            [_SHELL, "-c", _as_android_runs(phone.tree, self._to_phone(command))] if command else [_SHELL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if v2 else subprocess.STDOUT,
            cwd=phone.tree.root,
            env=phone.environment(),
            bufsize=0,
            start_new_session=True,
        )

    def run(self) -> None:
        """Passes output on until it ends; then tells the exit code."""
        reader = threading.Thread(target=self._feed, name="phone stdin", daemon=True)
        reader.start()
        try:
            if self._stream.closed:  # before it could wake us
                raise StreamClosed
            self._pump()
            self._tell_exit()
        except StreamClosed:
            # adbd sends it to its child alone: what a shell has started lives on.
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)
        finally:
            self._stream.close()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe:
                    pipe.close()
            self._process.wait()
            reader.join()
            with self._waking:
                self._done = True
                os.close(self._wake_read)
                os.close(self._wake_write)

    def _wake(self) -> None:
        with self._waking:
            if not self._done:
                os.write(self._wake_write, b"x")

    def _feed(self) -> None:
        """Passes input on."""
        buffer = bytearray()
        stdin = self._process.stdin
        while data := self._stream.read():
            buffer += data
            if not self._v2:
                self._write(bytes(buffer))
                buffer.clear()
                continue
            while len(buffer) >= _HEADER.size:
                kind, length = _HEADER.unpack_from(buffer)
                if len(buffer) < _HEADER.size + length:
                    break
                payload = bytes(buffer[_HEADER.size : _HEADER.size + length])
                del buffer[: _HEADER.size + length]
                if kind == _STDIN:
                    self._write(payload)
                elif kind == _CLOSE_STDIN and stdin:
                    stdin.close()
        if stdin:
            with contextlib.suppress(OSError):
                stdin.close()

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # the program does not read, or has ended
            while data and self._process.stdin:
                data = data[self._process.stdin.write(data) :]

    def _pump(self) -> None:
        outputs = {self._process.stdout: _STDOUT, self._process.stderr: _STDERR}
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            for pipe in outputs:
                if pipe:
                    selector.register(pipe, selectors.EVENT_READ, (outputs[pipe], self._from_phone()))
            while len(selector.get_map()) > 1:
                for key, _ in selector.select():
                    if key.fd == self._wake_read:
                        raise StreamClosed
                    kind, translate = key.data
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        selector.unregister(key.fileobj)
                    self._send(kind, translate(data))

    def _send(self, kind: int, data: bytes) -> None:
        if not data:
            return
        if self._lines_end_with_cr:
            data = data.replace(b"\n", b"\r\n")
        self._phone.watch_output(data)
        self._stream.write(_HEADER.pack(kind, len(data)) + data if self._v2 else data)

    def _tell_exit(self) -> None:
        code = self._process.wait()
        if self._v2:
            code = 128 - code if code < 0 else code
            self._stream.write(_HEADER.pack(_EXIT, 1) + bytes([code]))


def _as_android_runs(tree: Tree, command: str) -> str:
    """Returns the command so that the host's shell keeps its process where the phone's does.

    Android's shell becomes a single plain program, and stays beside all else. Others never do the former, or do it
    with the last one of several programs, too.
    """
    if _COMPOUND.search(_SINGLE_QUOTED.sub("", command)):
        return f"{command}\nexit $?"
    first = _FIRST_WORD.match(command)
    if not first or first[1] in _BUILT_IN:
        return command
    place = tree.root if "/" in first[1] else tree.path("/system/bin")
    return f"exec {command}" if (place / first[1].strip("'")).exists() else command
