"""The cores of a phone: which are fast, which may be used, and the mask that pins a model to some of them. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from tflite_bench.errors import OptionsError

# One process for all of it: each further one would cost a phone some milliseconds. Every file is one line, and
# the names come first: "cpu0/cpufreq/cpuinfo_max_freq:1803000".
COMMAND = (
    "cd /sys/devices/system/cpu && grep -sH . online cpu[0-9]*/cpufreq/cpuinfo_max_freq cpu[0-9]*/cpu_capacity;"
    " echo count:$(ls -d cpu[0-9]* | wc -l); grep -s Cpus_allowed_list /proc/self/status"
)
_KHZ_PER_MHZ = 1000


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
    """

    groups: tuple[CoreGroup, ...]
    usable: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many cores the phone has."""
        return sum(len(group.cores) for group in self.groups)

    def __str__(self) -> str:
        return " + ".join(map(str, self.groups))

    def mask(self, pin: str, threads: int) -> int | None:
        """Returns the mask of the cores for ``BenchOptions.pin``: bit k is core k; None for "none".

        Raises:
            OptionsError: there are no such cores, some of them cannot be used now, or they are fewer than the
                threads, which would then wait for each other.
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
            raise OptionsError(
                f"None of the cores of pin={pin} ({spans(wanted)}) can be used now: they are switched off, or not for "
                f"programs of adb's shell. These can: {spans(self.usable)}."
            )
        if threads > len(chosen):
            raise OptionsError(
                f"Expected at most as many threads as cores: pin={pin} has {len(chosen)} ({spans(chosen)}). Received: "
                f"threads={threads}. {self._fitting(threads)}"
            )
        return _to_mask(chosen)

    def _wanted(self, pin: str) -> tuple[int, ...]:
        if pin == "big":
            return self.groups[-1].cores
        if pin == "little":
            return self.groups[0].cores
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

    Cores are alike whose highest clock is equal; where no clocks can be read, those of equal ``cpu_capacity``.
    """
    clocks = _by_core(text, r"cpufreq/cpuinfo_max_freq")
    capacities = _by_core(text, r"cpu_capacity")
    count = re.search(r"^count:(\d+)$", text, re.MULTILINE)
    every = set(range(int(count.group(1)))) if count else set()
    every |= clocks.keys() | capacities.keys() or {0}
    ranks = clocks or capacities
    online = _cores_of(r"^online:(.*)$", text, every)
    allowed = _cores_of(r"^Cpus_allowed_list:\s*(.*)$", text, every)
    groups = []
    for rank in sorted({ranks.get(core, 0) for core in every}):
        cores = tuple(sorted(core for core in every if ranks.get(core, 0) == rank))
        groups.append(CoreGroup(rank // _KHZ_PER_MHZ if clocks and rank else None, cores))
    return Cores(tuple(groups), tuple(sorted(every & online & allowed)))


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
