"""The phone's end of the ADB transport: messages over one TCP connection, and the streams in them.

A message is a header of six little-endian words (command, two arguments, length and checksum of the payload, and the
command inverted) and its payload. Each side sends WRTE only after the other has answered the WRTE before with OKAY:
that is the whole flow control. From version 0x01000001 on the checksum is left out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator

VERSION_WITH_CHECKSUM = 0x01000000
VERSION = 0x01000001
MAX_PAYLOAD = 1 << 20
MAX_PAYLOAD_OF_OLD = 4 << 10

_HEADER = struct.Struct("<6I")
CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3


class StreamClosed(Exception):
    """The other side closed the stream, or the connection is gone."""


class ConnectionGone(Exception):
    """Nothing more comes from, or goes to, the other side."""


@dataclasses.dataclass(frozen=True)
class Message:
    """One message; ``arg0`` and ``arg1`` mean what the command says."""

    command: int
    arg0: int = 0
    arg1: int = 0
    data: bytes = b""

    def pack(self, with_checksum: bool) -> bytes:
        checksum = sum(self.data) & 0xFFFFFFFF if with_checksum else 0
        header = (self.command, self.arg0, self.arg1, len(self.data), checksum, self.command ^ 0xFFFFFFFF)
        return _HEADER.pack(*header) + self.data


class Stream:
    """One stream, opened by the other side. A service reads and writes it from its own threads."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self._connection = connection
        self._local, self._remote = local, remote
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._credit = True  # whether the other side has taken our last WRTE
        self._writing = threading.Lock()
        self.closed = False
        self.on_close: Callable[[], None] = lambda: None

    def accept(self) -> None:
        """Tells the other side that the stream is open."""
        self._connection.send(Message(OKAY, self._local, self._remote))

    def refuse(self) -> None:
        """Tells the other side that there is no such service."""
        self._connection.forget(self._local)
        self._connection.send(Message(CLSE, 0, self._remote))

    def read(self) -> bytes:
        """Returns the next payload and lets the other side send one more; nothing when the stream has ended."""
        data = self._inbox.get()
        if data is None:
            self._inbox.put(None)
            return b""
        self._connection.send(Message(OKAY, self._local, self._remote))
        return data

    def write(self, data: bytes) -> None:
        """Sends ``data`` when the other side is ready for it.

        Raises:
            StreamClosed: it will not be.
        """
        size = self._connection.max_payload
        with self._writing:
            for start in range(0, len(data), size):
                with self._changed:
                    self._changed.wait_for(lambda: self._credit or self.closed)
                    if self.closed:
                        raise StreamClosed
                    self._credit = False
                self._connection.send(Message(WRTE, self._local, self._remote, data[start : start + size]))

    def close(self) -> None:
        """Tells the other side that no more comes; a second call does nothing."""
        if self._end():
            self._connection.forget(self._local)
            self._connection.send(Message(CLSE, self._local, self._remote))

    def receive(self, data: bytes) -> None:
        """For the connection: a payload has come."""
        self._inbox.put(data)

    def taken(self) -> None:
        """For the connection: the other side has taken what we wrote."""
        with self._changed:
            self._credit = True
            self._changed.notify_all()

    def hang_up(self) -> None:
        """For the connection: the other side closed the stream, or is gone."""
        if self._end():
            self.on_close()

    def _end(self) -> bool:
        with self._changed:
            if self.closed:
                return False
            self.closed = True
            self._changed.notify_all()
        self._inbox.put(None)
        return True


class Connection:
    """One computer's adb server on the line.

    Args:
        sock: the accepted socket.
        banner: what the phone says of itself.
        old: speak version 0x01000000, with checksums and payloads of 4 KiB.
        gate: open while the phone is not frozen.
        received: called with the number of payload bytes that came, may cut the line.
        opened: called with a new stream and the name of the service; accepts or refuses it, or leaves it unanswered.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        banner: bytes,
        old: bool,
        gate: threading.Event,
        received: Callable[[Connection, int], None],
        opened: Callable[[Stream, str], None],
    ) -> None:
        self._sock = sock
        self._banner = banner
        self._old = old
        self._gate = gate
        self._received = received
        self._opened = opened
        self._with_checksum = True  # until both sides have told their versions
        self._streams: dict[int, Stream] = {}
        self._next_local = 1
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self.max_payload = MAX_PAYLOAD_OF_OLD
        self.ready = False
        self.violations: list[str] = []
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def greet(self) -> None:
        """Tells the other side that the phone is there and it is let in."""
        version = VERSION_WITH_CHECKSUM if self._old else VERSION
        size = MAX_PAYLOAD_OF_OLD if self._old else MAX_PAYLOAD
        self.send(Message(CNXN, version, size, self._banner))
        self.ready = True

    def ask_for_key(self) -> None:
        """Tells the other side that it has to prove who it is."""
        self.send(Message(AUTH, TOKEN, 0, b"\x17" * 20))

    def messages(self) -> Iterator[Message]:
        """Yields what comes until the line is cut."""
        with contextlib.suppress(ConnectionGone, OSError):
            while True:
                yield self._receive()

    def handle(self, message: Message) -> None:
        """Does what a message within a greeted connection says."""
        if message.command == OPEN:
            self._open(message)
            return
        with self._lock:
            stream = self._streams.get(message.arg1)
        if stream is None:
            if message.command == WRTE:  # written before the other side had seen our CLSE
                self.send(Message(CLSE, 0, message.arg0))
        elif message.command == WRTE:
            stream.receive(message.data)
        elif message.command == OKAY:
            stream.taken()
        elif message.command == CLSE:
            self.forget(message.arg1)
            stream.hang_up()

    def accept_version(self, message: Message) -> None:
        """Takes version and payload size of the other side's CNXN."""
        own = VERSION_WITH_CHECKSUM if self._old else VERSION
        self._with_checksum = min(message.arg0, own) <= VERSION_WITH_CHECKSUM
        self.max_payload = min(message.arg1, MAX_PAYLOAD_OF_OLD if self._old else MAX_PAYLOAD)

    def send(self, message: Message) -> None:
        """Sends a message; does nothing when the line is cut."""
        data = message.pack(self._with_checksum)
        self._gate.wait()
        with self._sending, contextlib.suppress(OSError):
            self._sock.sendall(data)

    def forget(self, local: int) -> None:
        """For a stream: it is closed."""
        with self._lock:
            self._streams.pop(local, None)

    def cut(self, *, reset: bool = False) -> None:
        """Cuts the line, with a FIN or a RST; the thread that reads ``messages`` comes to their end."""
        with contextlib.suppress(OSError):  # it is cut already
            if reset:
                # Closing then sends a RST; closing is left to the reader, as its recv keeps the socket open.
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._sock.shutdown(socket.SHUT_RD)
            else:
                self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """For the reader: ends all streams and gives up the socket."""
        self._sock.close()
        with self._lock:
            streams = list(self._streams.values())
            self._streams.clear()
        for stream in streams:
            stream.hang_up()

    def _open(self, message: Message) -> None:
        with self._lock:
            local = self._next_local
            self._next_local += 1
            stream = self._streams[local] = Stream(self, local, message.arg0)
        name = message.data.rstrip(b"\0").decode("utf-8", "surrogateescape")
        self._opened(stream, name)

    def _receive(self) -> Message:
        command, arg0, arg1, length, checksum, magic = _HEADER.unpack(self._exactly(_HEADER.size))
        if magic != command ^ 0xFFFFFFFF or length > MAX_PAYLOAD:
            self.violations.append(f"header {command:#x} {length} {magic:#x}")
            raise ConnectionGone
        data = self._exactly(length, counted=True)
        # A computer that connects again recalls the version of the time before.
        if self._with_checksum and command != CNXN and sum(data) & 0xFFFFFFFF != checksum:
            self.violations.append(f"checksum of {command:#x}")
            raise ConnectionGone
        return Message(command, arg0, arg1, data)

    def _exactly(self, length: int, counted: bool = False) -> bytes:
        data = bytearray(length)
        view, done = memoryview(data), 0
        while done < length:
            self._gate.wait()
            count = self._sock.recv_into(view[done : done + (1 << 16)])
            if not count:
                raise ConnectionGone
            done += count
            if counted:
                self._received(self, count)
        return bytes(data)
