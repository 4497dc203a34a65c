"""One lock a phone, so that two processes of this user never measure on it at the same time."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import sys
import time
from typing import IO, Any

from tflite_bench.cache import cache_folder, told
from tflite_bench.errors import DeviceBusyError

_ATTEMPTS, _PAUSE_SECS = 3, 0.05


def phone_key(serial: str) -> str:
    """Returns a name for the files about one phone: a serial number may hold any character."""
    return hashlib.sha256(serial.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a phone.

    Attributes:
        pid: the process, or 0 where it did not say.
        command: its command line.
    """

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid or '?'} ({self.command or 'unknown command'})"


class PhoneLock:
    """The lock of one phone, held until `release`, or until the process ends, in whatever way."""

    def __init__(self, serial: str, shown: str) -> None:
        """Takes the lock.

        Args:
            serial: the phone's own serial number: adb may know it under several names.
            shown: what to call it in messages.

        Raises:
            DeviceBusyError: another process, or another device of this one, holds it.
            DeviceError: the lock's file cannot be written.
        """
        self._file: IO[str] | None = None
        path = _lock_file(serial)
        try:
            with told(path):
                self._take(path, shown)
        except BaseException:
            self.release()
            raise

    def _take(self, path: pathlib.Path, shown: str) -> None:
        self._file = path.open("a+", encoding="utf-8")
        if not any(map(_tried_again, [self._file] * _ATTEMPTS)):
            holder = _read_holder(self._file)
            raise DeviceBusyError(
                f"The phone {shown} is in use by {holder}. Two measurements at a time would disturb each other: wait "
                "for it, stop it, or take another phone."
            )
        self._file.truncate(0)
        json.dump({"pid": os.getpid(), "command": " ".join(sys.argv)}, self._file)
        self._file.flush()

    def release(self) -> None:
        """Gives the phone to others; a second call does nothing."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # of a full disk, where the name of the holder is left to write
                self._file.close()  # the last descriptor: with it goes the lock
            self._file = None


def holder(serial: str) -> Holder | None:
    """Returns who holds the phone, or None.

    Raises:
        DeviceError: the lock's file cannot be opened.
    """
    path = _lock_file(serial)
    with told(path), path.open("a+", encoding="utf-8") as file:
        return None if _try_lock(file) else _read_holder(file)


def _lock_file(serial: str) -> pathlib.Path:
    # Never removed: a process that still waits for the old file would hold another lock than one with the new file.
    return cache_folder("locks") / f"{phone_key(serial)}.lock"


def _tried_again(file: IO[str]) -> bool:
    # `holder` takes the lock for an instant to see whether it is free.
    locked = _try_lock(file)
    if not locked:
        time.sleep(_PAUSE_SECS)
    return locked


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(file: IO[str]) -> Holder:
    file.seek(0)
    try:
        data: Any = json.loads(file.read())
        return Holder(int(data["pid"]), str(data["command"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, "")
