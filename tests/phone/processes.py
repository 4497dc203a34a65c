"""The phone's processes: those on this machine that carry its mark in their environment."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from pathlib import Path

MARK = "PHONE_ID"
_CLIENT = str(Path(__file__).with_name("client.py"))


@dataclasses.dataclass(frozen=True)
class Process:
    """One process, named as the phone would name it.

    Attributes:
        pid: its number, the same on the phone and on this machine.
        parent: its parent's number.
        arguments: its command line.
    """

    pid: int
    parent: int
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The program's file name."""
        return os.path.basename(self.arguments[0])

    @property
    def line(self) -> str:
        """The command line with blanks between."""
        return " ".join(self.arguments)


def of_phone(phone_id: str) -> list[Process]:
    """Returns the living processes of a phone, by number."""
    mark = f"{MARK}={phone_id}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    process = _read(int(entry.name))
                    if process:
                        found.append(process)
    return sorted(found, key=lambda process: process.pid)


def kill_all(phone_id: str) -> None:
    """Kills a phone's processes until none is left."""
    deadline = time.monotonic() + 5
    while (found := of_phone(phone_id)) and time.monotonic() < deadline:
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.002)


def _read(pid: int) -> Process | None:
    arguments = [os.fsdecode(part) for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    if not arguments or status[0] == "Z":
        return None
    if _CLIENT in arguments:
        arguments = arguments[arguments.index(_CLIENT) + 1 :]
        if arguments[0] == "benchmark_model":  # the program's own path comes next
            del arguments[0]
    return Process(pid, int(status[1]), tuple(arguments))
