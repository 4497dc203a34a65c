"""A program that is told to end leaves its devices in order first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = tuple(number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)


class Terminated(KeyboardInterrupt):
    """The system asked the program to end, as Ctrl-C does.

    Attributes:
        exit_code: 128 + the signal's number, as shells have it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP raise `Terminated` instead of ending the process on the spot.

    So every ``with`` and ``finally`` on the way out does its work; a second signal of the kind ends the process at
    once. One that the caller handles or ignores (``nohup``) stays as it is. Does nothing in other threads than the main
    one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)
