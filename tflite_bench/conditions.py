"""The state of a device at one moment, read before and after a measurement."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

Clocks = tuple[tuple[int, int], ...]

# Android's words for the thermal status, by number:
# https://developer.android.com/reference/android/os/PowerManager#THERMAL_STATUS_NONE
THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What a device tells of itself; None or empty where it does not tell.

    Attributes:
        thermal_status: 0 (none) to 6 (shutdown), see `THERMAL_STATUS`.
        temperature_c: of the skin sensor, or of the battery where there is none, in degrees Celsius.
        cpu_c: of the hottest core in degrees Celsius; 60 and more are usual under load.
        battery_percent: how full the battery is.
        battery_c: its temperature in degrees Celsius.
        clocks_mhz: pairs of a core's number and its current clock; a core that is switched off has none.
        clock_limits_mhz: likewise the clock that each core may reach now; throttling lowers it.
        clock_tops_mhz: likewise the clock that each core is built for.
    """

    thermal_status: int | None = None
    temperature_c: float | None = None
    cpu_c: float | None = None
    battery_percent: int | None = None
    battery_c: float | None = None
    clocks_mhz: Clocks = ()
    clock_limits_mhz: Clocks = ()
    clock_tops_mhz: Clocks = ()

    @property
    def thermal_word(self) -> str:
        """Android's word for the thermal status; empty where the device does not tell."""
        if self.thermal_status is None:
            return ""
        known = 0 <= self.thermal_status < len(THERMAL_STATUS)
        return THERMAL_STATUS[self.thermal_status] if known else str(self.thermal_status)

    def lowered(self, share: float) -> tuple[tuple[int, int, int], ...]:
        """Returns core, clock limit and top clock in MHz of each core that may not reach ``share`` of its top clock."""
        tops = dict(self.clock_tops_mhz)
        known = [(core, limit, tops[core]) for core, limit in self.clock_limits_mhz if core in tops]
        return tuple((core, limit, top) for core, limit, top in known if limit < top * share)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Conditions:
        """Returns the conditions of ``to_json``'s data."""
        fields: dict[str, Any] = dict(data)
        for name in ("clocks_mhz", "clock_limits_mhz", "clock_tops_mhz"):
            fields[name] = tuple((core, mhz) for core, mhz in fields[name])
        return cls(**fields)
