"""An Android phone as far as adb sees it: a daemon that the real adb client connects to over TCP."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.phone import processes, programs
from tests.phone.bench import Bench
from tests.phone.calls import CallServer
from tests.phone.faults import Faults
from tests.phone.hardware import Hardware
from tests.phone.interpreters import INTERPRETERS
from tests.phone.shell_service import ShellService
from tests.phone.state import State
from tests.phone.sync_service import SyncService
from tests.phone.transport import AUTH, CNXN, PUBLIC_KEY, SIGNATURE, Connection, Stream
from tests.phone.tree import Tree

_CLIENT = str(Path(__file__).with_name("client.py"))
_FAULTS = {field.name for field in dataclasses.fields(Faults)}


class Phone:
    """A phone that listens on this machine. Leaving the context kills all of its processes and deletes its files.

        with AdbServer() as server, Phone(Hardware(model="Pixel 7")) as phone:
            server.connect(phone)
            server.adb("-s", phone.serial, "shell", "getprop ro.product.model")
            phone.set(no_space_after=0)

    Args:
        hardware: what it is made of.
        bench: how fast it is; may be set to another one at any time.
        old: speak protocol version 0x01000000, with payloads of 4 KiB.
        faults: fields of `Faults`.

    Attributes:
        serial: what adb calls it: address and port.
        commands: all command lines that its shell was given.
        pushes: all paths that were pushed to.
        benchmarks: the arguments of each call of ``benchmark_model``.
        violations: what broke the protocol.
        programs: where programs are looked for before its own, with a colon at the end.
        state: settings, modes and heat.
        tree: the file system.
    """

    def __init__(
        self, hardware: Hardware | None = None, *, bench: Bench | None = None, old: bool = False, **faults: Any
    ) -> None:
        self.hardware = hardware or Hardware()
        self.bench = bench or Bench()
        self.old = old
        self.faults = Faults(**faults)
        self.id = uuid.uuid4().hex
        self.commands: list[str] = []
        self.pushes: list[str] = []
        self.benchmarks: list[list[str]] = []
        self.violations: list[str] = []
        self.programs = ""
        self.tree = Tree()
        self.state = State(self)
        programs.install(self.tree, self.hardware)
        self._calls = CallServer(functools.partial(programs.run, self))
        self._lock = threading.RLock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._services: set[threading.Thread] = set()
        self._timers: set[threading.Timer] = set()
        self._thawed = threading.Event()
        self._thawed.set()
        self._closed = threading.Event()
        self._bytes_to_cut: int | None = None
        self._planned: list[tuple[int, Callable[[], object]]] = []
        # Holds the port while nobody listens, so that connecting is refused and nobody else takes it.
        self._guard = _bound(0)
        self.port: int = self._guard.getsockname()[1]
        self._listener: socket.socket | None = None
        self._before = self.tree.snapshot()
        self._arm(self.faults)
        self.listen()
        atexit.register(self.close)  # where nobody did

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def root(self) -> Path:
        """The folder that is the phone's /."""
        return self.tree.root

    @property
    def processes(self) -> list[processes.Process]:
        """What runs on the phone."""
        return processes.of_phone(self.id)

    @property
    def settings(self) -> dict[str, dict[str, str]]:
        """What ``settings put`` has put, by namespace and name."""
        return self.state.settings

    def path(self, path: str) -> Path:
        """Returns where a path of the phone lies on this machine."""
        return self.tree.path(path)

    def changes(self) -> dict[str, str]:
        """Returns "new", "changed" or "gone" for each file that is not as it was when the phone was made."""
        now = self.tree.snapshot()
        own = self.state.own_files()
        found = {path: "new" if path not in self._before else "changed" for path in now if path not in own}
        found = {path: word for path, word in found.items() if self._before.get(path) != now[path]}
        return found | {path: "gone" for path in self._before if path not in now}

    # What a test does to it.

    def set(self, **faults: Any) -> None:
        """Changes fields of `Faults`; those that are not named stay."""
        unknown = set(faults) - _FAULTS
        if unknown:
            raise TypeError(f"Expected fields of Faults. Received: {sorted(unknown)}.")
        with self._lock:
            self.faults = dataclasses.replace(self.faults, **faults)
            waiting = [connection for connection in self._connections if not connection.ready]
        if "cut_after_bytes" in faults:
            self._bytes_to_cut = None
        self._arm(Faults(**faults))
        self.state.refresh()
        if faults.get("unauthorized") is False or faults.get("silent") is False:
            for connection in waiting:
                connection.greet()

    def at_benchmark(self, count: int, action: Callable[[], object]) -> None:
        """Does something, such as `cut`, in the middle of the measurement of the ``count``-th next benchmark."""
        with self._lock:
            self._planned.append((len(self.benchmarks) + count, action))

    def heal(self) -> None:
        """Ends all faults."""
        self.set(**{name: getattr(Faults(), name) for name in _FAULTS})
        self.thaw()

    def cut(self, away_secs: float | None = 0.0, *, reset: bool = False) -> None:
        """Cuts every line, and listens again after ``away_secs``; None never does."""
        with self._lock:
            if away_secs != 0:
                self._stop_listening()
            for connection in self._connections:
                connection.cut(reset=reset)
        if away_secs:
            self._later(away_secs, self.listen)

    def freeze(self) -> None:
        """From now on nothing is read or sent, while the lines stay up."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Ends what ``freeze`` began."""
        self._thawed.set()

    def reboot(self, away_secs: float = 0.5, services_secs: float = 0.5) -> None:
        """Kills what runs, forgets what a reboot forgets, and is gone for a while.

        Back again, it takes commands, but Android's services answer only after ``services_secs``.
        """
        self.cut(away_secs=None)
        processes.kill_all(self.id)
        self.state.boot()
        self.state.start_services_in(away_secs + services_secs)
        self._later(away_secs, self.listen)

    def listen(self) -> None:
        """Lets computers connect."""
        with self._lock:
            if self._listener is None and not self._closed.is_set():
                self._listener = _bound(self.port)
                self._listener.listen(16)
                threading.Thread(target=self._serve, args=(self._listener,), name="phone", daemon=True).start()

    def wait(self, secs: float) -> None:
        """Sleeps, but not longer than the phone lives."""
        self._closed.wait(secs)

    def close(self) -> None:
        """Ends everything; a second call does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        atexit.unregister(self.close)
        with self._lock:
            timers = list(self._timers)
        for timer in timers:
            timer.cancel()
        self._stop_listening()
        self.heal()
        self.cut()
        processes.kill_all(self.id)
        deadline = time.monotonic() + 5
        with self._lock:
            threads = [*self._connections.values(), *self._services]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        processes.kill_all(self.id)  # what a command started while it was being killed
        self._calls.close()
        INTERPRETERS.leave(self.id)
        self._guard.close()
        self.tree.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the parts of the phone ask.

    def environment(self, **more: str) -> dict[str, str]:
        """Returns the variables of the phone's programs."""
        root = self.tree.root
        return {
            "PATH": f"{self.programs}{root}/system/bin",
            "HOME": str(root),
            "TMPDIR": f"{root}/data/local/tmp",
            "HOSTNAME": self.hardware.device,
            "ANDROID_ROOT": "/system",
            "ANDROID_DATA": "/data",
            "LANG": "C.UTF-8",
            processes.MARK: self.id,
            "PHONE_ROOT": str(root),
            "PHONE_SOCKET": self._calls.name,
            "PHONE_PYTHON": sys.executable,
            "PHONE_CLIENT": _CLIENT,
            **more,
        }

    def check_writable(self, path: str) -> None:
        """Raises PermissionError where the user "shell" may not write."""
        self.pushes.append(path)
        if not self.tree.writable(path):
            raise PermissionError(13, "Permission denied")

    def take_bit_flip(self, data: bytes) -> bytes:
        """Returns ``data``, with a bit flipped where that fault is on."""
        with self._lock:
            if not self.faults.flip_bits or not data:
                return data
            self.faults = dataclasses.replace(self.faults, flip_bits=self.faults.flip_bits - 1)
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]

    def watch_output(self, data: bytes) -> None:
        """Called with what commands write, before it is sent."""
        wanted = self.faults.cut_at_output
        if wanted is not None and wanted in data:
            self._cut_by_fault(cut_at_output=None)

    def watch_pull(self, sent: int) -> None:
        """Called with how much of a file has been sent."""
        wanted = self.faults.cut_pull_after
        if wanted is not None and sent >= wanted:
            self._cut_by_fault(cut_pull_after=None)

    def bench_faults(self) -> Faults:
        """Returns the faults for one call of ``benchmark_model``, and counts it."""
        with self._lock:
            faults = self.faults
            if faults.bench_skip:
                self.faults = dataclasses.replace(faults, bench_skip=faults.bench_skip - 1)
            elif faults.bench_times is None:
                return faults
            elif faults.bench_times:
                self.faults = dataclasses.replace(faults, bench_times=faults.bench_times - 1)
                return faults
        return dataclasses.replace(faults, bench_output=None, bench_signal=None, bench_hangs=False, bench_exit=None)

    def measures(self) -> None:
        """Called by ``benchmark_model`` in the middle of its measurement."""
        with self._lock:
            due = [action for place, action in self._planned if place == len(self.benchmarks)]
            self._planned = [(place, action) for place, action in self._planned if place > len(self.benchmarks)]
        for action in due:
            action()

    # The lines.

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            connection = Connection(
                sock,
                banner=self.hardware.banner(),
                old=self.old,
                gate=self._thawed,
                received=self._count,
                opened=self._open,
            )
            thread = threading.Thread(target=self._talk, args=(connection,), name="phone line", daemon=True)
            with self._lock:
                if self._closed.is_set() or self._listener is not listener:
                    sock.close()
                    continue
                self._connections[connection] = thread
            thread.start()

    def _talk(self, connection: Connection) -> None:
        try:
            for message in connection.messages():
                if connection.ready:
                    connection.handle(message)
                elif message.command == CNXN:
                    connection.accept_version(message)
                    if self.faults.hangs_up:
                        break
                    if self.faults.unauthorized:
                        connection.ask_for_key()
                    elif not self.faults.silent:
                        connection.greet()
                elif message.command == AUTH and message.arg0 == SIGNATURE:
                    connection.ask_for_key()  # that key is not known here
                elif message.command == AUTH and message.arg0 == PUBLIC_KEY:
                    pass  # now the phone's user is asked
        finally:
            self.violations += connection.violations
            connection.close()
            with self._lock:
                del self._connections[connection]

    def _open(self, stream: Stream, service: str) -> None:
        faults = self.faults
        run = None if faults.refuse_services else self._service(stream, service)
        if faults.ignore_services:
            return
        if run is None:
            stream.refuse()
            return
        stream.accept()
        thread = threading.Thread(target=self._run_service, args=(run,), name=f"phone {service}", daemon=True)
        with self._lock:
            self._services.add(thread)
        thread.start()

    def _run_service(self, run: Callable[[], None]) -> None:
        try:
            run()
        finally:
            with self._lock:
                self._services.discard(threading.current_thread())

    def _service(self, stream: Stream, service: str) -> Callable[[], None] | None:
        kind, _, argument = service.partition(":")
        words = kind.split(",")
        if words[0] in ("shell", "exec"):
            if "v2" in words and "shell_v2" not in self.hardware.features:
                return None
            return functools.partial(self._shell, stream, argument, "v2" in words, words[0] == "shell")
        if kind == "sync":
            return SyncService(self, stream).run
        if kind == "reboot":
            return functools.partial(self._say, stream, "", self.reboot)
        if kind in ("root", "remount"):
            return functools.partial(self._say, stream, "adbd cannot run as root in production builds\n")
        return None

    def _shell(self, stream: Stream, command: str, v2: bool, terminal: bool) -> None:
        self.commands.append(command)
        faults = self.faults
        if faults.cut_at_command is not None and faults.cut_at_command in command:
            self._cut_by_fault(cut_at_command=None)
        if faults.hang_at is not None and faults.hang_at in command:
            while stream.read():
                pass
            return
        ShellService(self, stream, command, v2=v2, lines_end_with_cr=terminal and not v2 and self.old).run()

    def _say(self, stream: Stream, text: str, then: Callable[[], None] = lambda: None) -> None:
        if text:
            stream.write(text.encode())
        stream.close()
        then()

    def _count(self, connection: Connection, count: int) -> None:
        with self._lock:
            if self._bytes_to_cut is None:
                return
            self._bytes_to_cut -= count
            due = self._bytes_to_cut <= 0
            if due:
                again = self.faults.cut_after_bytes if self.faults.repeats else None
                self._bytes_to_cut = again
        if due:
            self._cut_by_fault(cut_after_bytes=None)

    def _cut_by_fault(self, **done: Any) -> None:
        """Cuts the line as the faults say; the fault is then over unless it repeats."""
        with self._lock:
            faults = self.faults
            if not faults.repeats:
                self.faults = dataclasses.replace(faults, **done)
        self.cut(faults.away_secs, reset=faults.reset)

    def _arm(self, faults: Faults) -> None:
        if faults.cut_after_bytes is not None:
            with self._lock:
                self._bytes_to_cut = faults.cut_after_bytes
        if faults.cut_after_secs is not None:
            self._later(faults.cut_after_secs, functools.partial(self._cut_by_fault, cut_after_secs=None))

    def _later(self, secs: float, action: Callable[[], None]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            if not self._closed.is_set():
                action()

        timer = threading.Timer(secs, act)
        timer.daemon = True
        with self._lock:
            self._timers.add(timer)
        timer.start()

    def _stop_listening(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock
