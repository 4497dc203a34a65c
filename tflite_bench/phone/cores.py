"""The cores of a phone: which are fast, which may be used, and the mask that pins a model to some of them. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from tflite_bench.errors import DeviceError, OptionsError

# One process for all of it: each further one would cost a phone some milliseconds. Every file is one line, and
# the names come first: "cpu0/cpufreq/cpuinfo_max_freq:1803000".
COMMAND = (
    "cd /sys/devices/system/cpu && grep -sH . online cpu[0-9]*/cpufreq/cpuinfo_max_freq cpu[0-9]*/cpu_capacity;"
    " echo count:$(ls -d cpu[0-9]* | wc -l); grep -s Cpus_allowed_list /proc/self/status"
)
_KHZ_PER_MHZ = 1000
_REMEDY = (
    "Phones switch cores off when they are hot, short of battery or asleep: let it cool down, charge it, switch its "
    "screen on, and measure again; or name cores that are on, with pin=0x and a mask."
)


@dataclasses.dataclass(frozen=True)
class CoreGroup:
    """Cores that are alike.

    Attributes:
        top_mhz: the clock that they are built for, or None where the phone does not tell.
        cores: their numbers, in order.
    """

    top_mhz: int | None
    cores: tuple[int, ...]

    def __str__(self) -> str:
        speed = "" if self.top_mhz is None else f" at {self.top_mhz} MHz"
        return f"{len(self.cores)} x{speed} (cores {spans(self.cores)})"


@dataclasses.dataclass(frozen=True)
class Cores:
    """All cores of a phone.

    Attributes:
        groups: from the slowest to the fastest; one, without a clock, where the phone tells none.
        usable: numbers of the cores that are switched on and that a command of adb's shell may run on.
        unknown: numbers of the cores that are in no group: one that is switched off tells no clock.
    """

    groups: tuple[CoreGroup, ...]
    usable: tuple[int, ...]
    unknown: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many cores the phone has."""
        return sum(len(group.cores) for group in self.groups) + len(self.unknown)

    def __str__(self) -> str:
        unknown = f"{len(self.unknown)} x at an unknown clock (cores {spans(self.unknown)})"
        return " + ".join([*map(str, self.groups), *([unknown] if self.unknown else [])])

    def remembering(self, earlier: Cores) -> Cores:
        """Returns these cores in the groups of an earlier look at the same phone, where that told of as many."""
        best = min(earlier, self, key=lambda look: len(look.unknown))
        return dataclasses.replace(self, groups=best.groups, unknown=best.unknown)

    def mask(self, pin: str, threads: int) -> int | None:
        """Returns the mask of the cores for ``BenchOptions.pin``: bit k is core k; None for "none".

        Raises:
            OptionsError: a mask has cores that cannot be used now, or they are fewer than the threads, which would
                then wait for each other.
            DeviceError: all cores of "big" or "little" are switched off, or which ones they are cannot be told.
        """
        if pin == "none":
            return None
        wanted = self._wanted(pin)
        missing = sorted(set(wanted) - set(self.usable))
        if pin.startswith("0x") and missing:
            raise OptionsError(
                f"Expected a mask of cores that can be used now: {spans(self.usable)}. Received: pin={pin}, which has "
                f"{spans(missing)} besides. The phone has {self}."
            )
        chosen = [core for core in wanted if core in self.usable]
        if not chosen:
            raise DeviceError(
                f"None of the cores of pin={pin} ({spans(wanted)}) can be used now: they are switched off, or not for "
                f"programs of adb's shell. These can: {spans(self.usable)}. {_REMEDY}"
            )
        if threads > len(chosen):
            raise OptionsError(
                f"Expected at most as many threads as cores: pin={pin} has {len(chosen)} ({spans(chosen)}). Received: "
                f"threads={threads}. {self._fitting(threads)}"
            )
        return _to_mask(chosen)

    def _wanted(self, pin: str) -> tuple[int, ...]:
        if pin in ("big", "little"):
            if self.unknown:
                raise DeviceError(
                    f"Which cores are pin={pin} cannot be told: the phone tells no clock of its cores "
                    f"{spans(self.unknown)}, as of cores that are switched off. It has {self}. {_REMEDY}"
                )
            return self.groups[-1 if pin == "big" else 0].cores
        if pin == "all":
            return self.usable
        number = int(pin, 16)
        return tuple(core for core in range(number.bit_length()) if number >> core & 1)

    def _fitting(self, threads: int) -> str:
        fastest_first = [core for group in reversed(self.groups) for core in group.cores if core in self.usable]
        if threads > len(fastest_first):
            return f"The phone has {len(fastest_first)} cores that can be used now."
        mask = _to_mask(fastest_first[:threads])
        return f"Its {threads} fastest cores are pin={mask:#x}."


def parse(text: str) -> Cores:
    """Returns the cores of what `COMMAND` printed; what the phone does not tell is taken for allowed.

    Cores are alike whose highest clock is equal, or whose ``cpu_capacity`` is where that can be read of more cores:
    some kernels go on to tell it of cores that are switched off.
    """
    clocks = _by_core(text, r"cpufreq/cpuinfo_max_freq")
    capacities = _by_core(text, r"cpu_capacity")
    count = re.search(r"^count:(\d+)$", text, re.MULTILINE)
    every = set(range(int(count.group(1)))) if count else set()
    every |= clocks.keys() | capacities.keys() or {0}
    ranks = max(clocks, capacities, key=len)
    online = _cores_of(r"^online:(.*)$", text, every)
    allowed = _cores_of(r"^Cpus_allowed_list:\s*(.*)$", text, every)
    groups = []
    for rank in sorted(set(ranks.values())):
        cores = tuple(sorted(core for core, value in ranks.items() if value == rank))
        groups.append(CoreGroup(rank // _KHZ_PER_MHZ if ranks is clocks else None, cores))
    unknown = tuple(sorted(every - ranks.keys()))
    usable = tuple(sorted(every & online & allowed))
    return Cores(tuple(groups), usable, unknown) if groups else Cores((CoreGroup(None, unknown),), usable)


def spans(cores: Iterable[int]) -> str:
    """Returns the kernel's way to write a list of cores: ``0-3,7``; "none" for an empty one."""
    texts: list[str] = []
    first = last = None
    for core in [*sorted(cores), None]:
        if first is not None and last is not None and core != last + 1:
            texts.append(f"{first}" if first == last else f"{first}-{last}")
            first = None
        if first is None:
            first = core
        last = core
    return ",".join(texts) or "none"


def _by_core(text: str, name: str) -> dict[int, int]:
    found = re.findall(rf"^cpu(\d+)/{name}:(\d+)\s*$", text, re.MULTILINE)
    return {int(core): int(value) for core, value in found if int(value) > 0}


def _cores_of(pattern: str, text: str, every: set[int]) -> set[int]:
    found = re.search(pattern, text, re.MULTILINE)
    ranges = re.findall(r"(\d+)(?:-(\d+))?", found.group(1)) if found else []
    cores = {core for first, last in ranges for core in range(int(first), int(last or first) + 1)}
    return cores & every or every


def _to_mask(cores: Iterable[int]) -> int:
    return sum(1 << core for core in cores)
