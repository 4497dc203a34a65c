"""How hot and how slow a device may be to be believed."""

from __future__ import annotations

import dataclasses

from tflite_bench.conditions import Conditions


@dataclasses.dataclass(frozen=True)
class Limits:
    """Beyond these a device is throttled, however steady its times are.

    Attributes:
        max_thermal_status: the highest thermal status that is accepted; "moderate" (2) and more never is, as Android
            then lowers clocks.
        min_clock_share: the least share of its top clock that a core must be allowed to reach; 0 takes any clock.
        pin: ``BenchOptions.pin``: other cores than these do not matter.
    """

    max_thermal_status: int = 1
    min_clock_share: float = 0.0
    pin: str = "none"

    def lowered(self, now: Conditions) -> tuple[tuple[int, int, int], ...]:
        """Returns core, clock limit and top clock in MHz of each core that matters and may not reach its share."""
        wanted = self._cores(dict(now.clock_tops_mhz))
        return tuple(row for row in now.lowered(self.min_clock_share) if row[0] in wanted)

    def switched_off(self, before: Conditions, after: Conditions) -> tuple[int, ...]:
        """Returns the cores that a model was pinned to and that went off meanwhile: it then ran on others."""
        left = dict(after.clock_tops_mhz)
        if self.pin in ("none", "all") or not left:
            return ()
        return tuple(sorted(self._cores(dict(before.clock_tops_mhz)) - left.keys()))

    def _cores(self, tops_mhz: dict[int, int]) -> frozenset[int]:
        if self.pin.startswith("0x"):
            return frozenset(core for core in tops_mhz if int(self.pin, 16) >> core & 1)
        if self.pin in ("big", "little") and tops_mhz:
            wanted = (max if self.pin == "big" else min)(tops_mhz.values())
            return frozenset(core for core, top in tops_mhz.items() if top == wanted)
        return frozenset(tops_mhz)
