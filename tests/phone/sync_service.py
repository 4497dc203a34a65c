"""The service ``sync:`` — push, pull, stat and list, in both versions of each."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.phone.transport import Stream, StreamClosed

if TYPE_CHECKING:
    from tests.phone.phone import Phone

_CHUNK = 1 << 16
_WORDS = struct.Struct("<4sI")
_STAT_V2 = struct.Struct("<4sIQQIIIIQqqq")
_NO_SPACE = "write failed: No space left on device"


class _Refused(Exception):
    """What the other side is told with FAIL."""


class SyncService:
    """One ``sync:`` stream."""

    def __init__(self, phone: Phone, stream: Stream) -> None:
        self._phone = phone
        self._stream = stream
        self._buffer = bytearray()
        self._ended = True  # whether the file that is being sent has come to its end
        self._mtime = 0
        self._answers = {
            b"STAT": self._stat_v1,
            b"STA2": lambda path: self._stat_v2(b"STA2", path),
            b"LST2": lambda path: self._stat_v2(b"LST2", path),
            b"LIST": self._list_v1,
            b"LIS2": self._list_v2,
            b"SEND": self._send_v1,
            b"SND2": self._send_v2,
            b"RECV": self._receive,
            b"RCV2": self._receive_v2,
        }

    def run(self) -> None:
        """Answers requests until QUIT, an unknown one, or the end of the stream."""
        try:
            while True:
                name, length = _WORDS.unpack(self._exactly(_WORDS.size))
                if name == b"QUIT" or name not in self._answers:
                    break
                self._answers[name](os.fsdecode(self._exactly(length)))
        except StreamClosed:
            pass
        finally:
            self._stream.close()

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            data = self._stream.read()
            if not data:
                raise StreamClosed
            self._buffer += data
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    def _stat(self, path: str, follow: bool = False) -> os.stat_result | OSError:
        try:
            return os.stat(self._phone.path(path), follow_symlinks=follow)
        except OSError as error:
            return error

    def _stat_v1(self, path: str) -> None:
        found = self._stat(path)
        words = (0, 0, 0) if isinstance(found, OSError) else (found.st_mode, found.st_size, int(found.st_mtime))
        self._stream.write(struct.pack("<4s3I", b"STAT", *words))

    def _stat_v2(self, name: bytes, path: str) -> None:
        self._stream.write(_pack_v2(name, self._stat(path, follow=name == b"STA2")))

    def _entries(self, path: str) -> Iterator[tuple[bytes, os.stat_result | OSError]]:
        folder = self._phone.path(path)
        if folder.is_dir():
            for name in (".", "..", *sorted(os.listdir(folder))):
                yield os.fsencode(name), self._stat(f"{path}/{name}")

    def _list_v1(self, path: str) -> None:
        for name, found in self._entries(path):
            if not isinstance(found, OSError):
                words = (found.st_mode, found.st_size, int(found.st_mtime), len(name))
                self._stream.write(struct.pack("<4s4I", b"DENT", *words) + name)
        self._stream.write(struct.pack("<4s4I", b"DONE", 0, 0, 0, 0))

    def _list_v2(self, path: str) -> None:
        for name, found in self._entries(path):
            self._stream.write(_pack_v2(b"DNT2", found) + struct.pack("<I", len(name)) + name)
        self._stream.write(b"DONE" + bytes(_STAT_V2.size))

    def _receive_v2(self, path: str) -> None:
        self._exactly(_WORDS.size)  # RCV2 again, and flags: no compression is offered
        self._receive(path)

    def _receive(self, path: str) -> None:
        try:
            with self._phone.path(path).open("rb") as file:
                while data := file.read(_CHUNK):
                    self._stream.write(_WORDS.pack(b"DATA", len(data)) + data)
                    self._phone.watch_pull(file.tell())
        except OSError as error:
            self._fail(f"open failed: {error.strerror}")
        else:
            self._stream.write(_WORDS.pack(b"DONE", 0))

    def _send_v2(self, path: str) -> None:
        _, mode, _ = struct.unpack("<4sII", self._exactly(12))
        self._take(path, mode)

    def _send_v1(self, path_and_mode: str) -> None:
        path, _, mode = path_and_mode.rpartition(",")
        self._take(path, int(mode))

    def _take(self, path: str, mode: int) -> None:
        """Writes the file that follows, or reads past it and says why not."""
        self._ended = False
        refusal = None
        try:
            self._write(path, mode)
        except _Refused as error:
            refusal = str(error)
        except OSError as error:
            refusal = f"couldn't create file: {error.strerror}"
        if refusal is not None:
            for _ in self._data():
                pass
            self._fail(refusal)
        else:
            self._stream.write(_WORDS.pack(b"OKAY", 0))

    def _write(self, path: str, mode: int) -> None:
        self._phone.check_writable(path)
        target = self._phone.path(path)
        if target.is_dir():
            raise IsADirectoryError(0, "Is a directory")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if stat.S_ISLNK(mode):
            target.symlink_to(os.fsdecode(b"".join(self._data())).rstrip("\0"))
            return
        try:
            self._write_data(target)
        except StreamClosed:
            # What adbd does where the stream ends early; where the phone itself dies, the part stays.
            if not self._phone.faults.keep_partial:
                target.unlink(missing_ok=True)
            raise
        except _Refused:
            target.unlink(missing_ok=True)
            raise
        target.chmod(stat.S_IMODE(mode) & 0o777)
        os.utime(target, (self._mtime, self._mtime))

    def _write_data(self, target: Path) -> None:
        written = 0
        with target.open("wb", buffering=0) as file:
            for data in self._data():
                faults = self._phone.faults
                space = faults.no_space_after
                if space is not None and written + len(data) > space:
                    file.write(data[: max(space - written, 0)])
                    raise _Refused(_NO_SPACE)
                if faults.stall_push_after is not None and written >= faults.stall_push_after:
                    self._stall()
                written += len(data)
                file.write(self._phone.take_bit_flip(data))

    def _stall(self) -> None:
        """Reads nothing more, as a phone that hangs, until the stream ends or the fault is over."""
        while not self._stream.closed and self._phone.faults.stall_push_after is not None:
            self._phone.wait(0.02)
        if self._stream.closed:
            raise StreamClosed

    def _data(self) -> Iterator[bytes]:
        """Yields the file's content and keeps the time that comes at its end."""
        while not self._ended:
            name, length = _WORDS.unpack(self._exactly(_WORDS.size))
            if name == b"DONE":
                self._mtime = length
                self._ended = True
            elif name == b"DATA" and length <= _CHUNK:
                yield self._exactly(length)
            else:
                self._phone.violations.append(f"sync {name!r} {length}")
                raise StreamClosed

    def _fail(self, text: str) -> None:
        data = os.fsencode(text)
        self._stream.write(_WORDS.pack(b"FAIL", len(data)) + data)


def _pack_v2(name: bytes, found: os.stat_result | OSError) -> bytes:
    if isinstance(found, OSError):
        return _STAT_V2.pack(name, found.errno or 0, *[0] * 10)
    return _STAT_V2.pack(
        name,
        0,
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_nlink,
        2000,  # the user "shell"
        2000,
        found.st_size,
        int(found.st_atime),
        int(found.st_mtime),
        int(found.st_ctime),
    )
