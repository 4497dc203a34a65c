"""Peak memory of a piece of work in this process, where the system tells (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import pathlib
from types import TracebackType
from typing import Self

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")
_KB_PER_MB = 1024


class PeakMemory:
    """Context manager; afterwards ``mb`` is how far the resident memory rose, None if unknown.

    The kernel's own high-water mark is reset first; without that, the second model of a process
    would seem to need nothing. Memory that the process had freed but kept would be used again
    unseen, so it is given back first, where the C library can do that (glibc); elsewhere the number
    is a lower bound.
    """

    mb: float | None = None

    def __enter__(self) -> Self:
        _give_back()
        self._before_kb = _status_kb("VmRSS") if _reset_peak() else None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        peak_kb = _status_kb("VmHWM")
        if self._before_kb is not None and peak_kb is not None:
            self.mb = max(0, peak_kb - self._before_kb) / _KB_PER_MB


def _give_back() -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    try:
        _CLEAR_REFS.write_text("5")  # 5: set the high-water mark to what is resident now; see man 5 proc.
    except OSError:
        return False
    return True


def _status_kb(field: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return None
