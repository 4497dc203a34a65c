"""A private adb server, and the real adb client on it."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.phone.tree import folders_of_the_dead

# Names another adb client to test with than that of the package adbutils.
OTHER_CLIENT = "TEST_ADB"


class _HasSerial(Protocol):
    @property
    def serial(self) -> str: ...


class AdbServer:
    """An adb server with a port and a HOME of its own. Leaving the context ends it and deletes its files.

    Attributes:
        path: the adb binary.
        environment: what a process needs in its environment to use this server.
    """

    def __init__(self, path: str | None = None) -> None:
        import adbutils  # takes a while

        self.path = path or os.environ.get(OTHER_CLIENT) or adbutils.adb_path()
        for folder in folders_of_the_dead(Path(tempfile.gettempdir()), "adb"):
            _end(folder)
        self.folder = Path(tempfile.mkdtemp(prefix=f"adb_{os.getpid()}_"))
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.environment = {
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "HOME": str(self.folder),
            "ANDROID_ADB_LOG_PATH": str(self.folder / "adb.log"),
            # No looking for phones on cables and in the network, which takes seconds: only what is connected to.
            "ADB_USB": "0",
            "ADB_LIBUSB": "0",
            "ADB_MDNS": "0",
            "ADB_EMU": "0",
        }
        atexit.register(self.close)  # where nobody did
        self.start()

    def start(self) -> None:
        """Starts the server."""
        self.adb("start-server")

    def adb(self, *arguments: str, timeout: float = 30, **more: object) -> subprocess.CompletedProcess[str]:
        """Runs the client and returns what it printed, whatever its exit code."""
        settings: dict[str, object] = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        if "input" in more:
            del settings["stdin"]
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [self.path, *arguments], env=self._all_variables(), timeout=timeout, check=False, **(settings | more)
        )

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts the client."""
        return subprocess.Popen(
            [self.path, *arguments],
            env=self._all_variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def connect(self, phone: _HasSerial) -> None:
        """Connects to a phone and waits until adb calls it a device."""
        said = self.adb("connect", phone.serial)
        self.wait_for_state(phone, "device", said.stdout + said.stderr)

    def state(self, phone: _HasSerial) -> str:
        """Returns what adb calls the phone: device, offline, unauthorized or, where it is not known, ""."""
        for line in self.adb("devices").stdout.splitlines():
            serial, _, state = line.partition("\t")
            if serial == phone.serial:
                return state
        return ""

    def wait_for_state(self, phone: _HasSerial, wanted: str, hint: str = "", timeout: float = 15) -> None:
        """Waits until adb calls the phone ``wanted``."""
        deadline = time.monotonic() + timeout
        while (state := self.state(phone)) != wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Expected {phone.serial} to be {wanted!r}. It is {state!r}. {hint}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends the server, as a person does; the next client starts another, which knows no phone."""
        self.adb("kill-server")

    @contextlib.contextmanager
    def used(self) -> Iterator[Self]:
        """Within, this process uses the server."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield self
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def close(self) -> None:
        """Ends the server, also one that does not listen any more."""
        atexit.unregister(self.close)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.adb("kill-server", timeout=5)
        _end(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _all_variables(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith(("ADB_", "ANDROID_"))}
        return others | self.environment


def _end(folder: Path) -> None:
    """Ends the server that has this HOME, and deletes it."""
    deadline = time.monotonic() + 5
    while (found := _processes(folder)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    shutil.rmtree(folder, ignore_errors=True)


def _processes(folder: Path) -> list[int]:
    """Returns adb's processes with this HOME."""
    mark = f"HOME={folder}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                name = os.path.basename(os.readlink(f"{entry.path}/exe"))
                if name == "adb" and mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
