"""The state of a device at one moment, read before and after a measurement."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# Android's words for the thermal status, by number:
# https://developer.android.com/reference/android/os/PowerManager#THERMAL_STATUS_NONE
THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What a device tells of itself; None or empty where it does not tell.

    Attributes:
        thermal_status: 0 (none) to 6 (shutdown), see `THERMAL_STATUS`.
        temperature_c: of the skin sensor, or of the CPU where there is none, in degrees Celsius.
        battery_percent: how full the battery is.
        battery_c: its temperature in degrees Celsius.
        clocks_mhz: current clock of each core.
        clock_limits_mhz: the clock that each core may reach now; throttling lowers it.
        clock_tops_mhz: the clock that each core is built for.
    """

    thermal_status: int | None = None
    temperature_c: float | None = None
    battery_percent: int | None = None
    battery_c: float | None = None
    clocks_mhz: tuple[int, ...] = ()
    clock_limits_mhz: tuple[int, ...] = ()
    clock_tops_mhz: tuple[int, ...] = ()

    @property
    def thermal_word(self) -> str:
        """Android's word for the thermal status; empty where the device does not tell."""
        if self.thermal_status is None:
            return ""
        known = 0 <= self.thermal_status < len(THERMAL_STATUS)
        return THERMAL_STATUS[self.thermal_status] if known else str(self.thermal_status)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Conditions:
        """Returns the conditions of ``to_json``'s data."""
        fields: dict[str, Any] = dict(data)
        for name in ("clocks_mhz", "clock_limits_mhz", "clock_tops_mhz"):
            fields[name] = tuple(fields[name])
        return cls(**fields)
