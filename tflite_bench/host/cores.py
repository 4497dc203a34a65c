"""This machine's cores: which are fast, which are slow, and how to keep a thread on some of them."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

from tflite_bench.conditions import Conditions
from tflite_bench.errors import OptionsError

_CPUS = pathlib.Path("/sys/devices/system/cpu")


def chosen_cores(pin: str) -> frozenset[int]:
    """Returns the cores that ``pin`` of `BenchOptions` names; empty where it leaves the choice to the system.

    Raises:
        OptionsError: this machine cannot pin, has no such cores or does not tell which they are.
    """
    if pin == "none":
        return frozenset()
    if not hasattr(os, "sched_setaffinity"):
        raise OptionsError(f"Expected pin=none: this system cannot bind a program to cores. Received: pin={pin!r}.")
    allowed = frozenset(os.sched_getaffinity(0))
    if pin == "all":
        return allowed
    cores = _of_speed(pin, allowed) if pin in ("big", "little") else _of_mask(pin)
    if not cores <= allowed:
        raise OptionsError(
            f"Expected cores among those that this process may use: {_listed(allowed)}. "
            f"Received: pin={pin!r}, which is {_listed(cores)}."
        )
    return cores


@contextlib.contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Keeps this thread, and the threads that it starts, on ``cores``; afterwards this thread is where it was before.

    Threads that were started stay on ``cores``. Does nothing where there are none.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def clocks() -> Conditions | None:
    """Returns the clocks of all cores, or None where the system does not tell (most virtual machines)."""
    files = ("scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq")
    known = [[(core, mhz) for core in _cores() if (mhz := _mhz(core, file)) is not None] for file in files]
    current, limits, tops = map(tuple, known)
    if not (current and limits and tops):
        return None
    return Conditions(clocks_mhz=current, clock_limits_mhz=limits, clock_tops_mhz=tops)


def _of_speed(pin: str, allowed: frozenset[int]) -> frozenset[int]:
    speeds = {core: speed for core in allowed if (speed := _mhz(core, "cpuinfo_max_freq")) is not None}
    instead = "Give pin=all, or a mask such as 0x3."
    if len(speeds) < len(allowed):
        raise OptionsError(f"This machine does not tell the clocks of its cores, so none is {pin}. {instead}")
    if len(set(speeds.values())) < 2:
        raise OptionsError(f"All cores of this machine have the same clock, so none is {pin}. {instead}")
    wanted = max(speeds.values()) if pin == "big" else min(speeds.values())
    return frozenset(core for core, speed in speeds.items() if speed == wanted)


def _of_mask(pin: str) -> frozenset[int]:
    mask = int(pin, 16)
    return frozenset(core for core in range(mask.bit_length()) if mask >> core & 1)


def _cores() -> list[int]:
    return sorted(int(path.name.removeprefix("cpu")) for path in _CPUS.glob("cpu[0-9]*"))


def _mhz(core: int, file: str) -> int | None:
    try:
        return int((_CPUS / f"cpu{core}" / "cpufreq" / file).read_text()) // 1000
    except (OSError, ValueError):
        return None


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
