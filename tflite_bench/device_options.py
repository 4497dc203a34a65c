"""How a device is reached and kept fit to measure; how a model is timed is in `BenchOptions`."""

from __future__ import annotations

import dataclasses
import math

from tflite_bench.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """What to use and how long to wait. The device ``host`` needs none of it.

    Attributes:
        adb: path of the adb client; None takes the one of the package adbutils, else the one on PATH.
        benchmark_model: paths of ``benchmark_model`` executables, each for the ABI that its file is made
            for; empty takes what ``tflite-bench fetch`` has put into the cache.
        fixed_performance: ask the phone for its fixed-performance mode while measuring.
        keep_awake: keep the phone's screen on while measuring, as clocks drop when it is off.
        max_thermal_status: a phone above this thermal status is waited for, 0 to 6.
        max_temperature_c: likewise for the temperature of its skin or battery in degrees Celsius.
        min_clock_share: likewise while a core may not reach this share of the clock that it is built for, 0 to 1; 0
            takes any clock. In the fixed-performance mode, which lowers clocks itself, it is not looked at.
        cool_secs: how long to wait for it to cool, in seconds.
        lost_secs: how long to wait for a phone that went away, in seconds.
        hang_secs: how long a command on the phone may be silent beyond what it is meant to take, in seconds.
        keep_files: leave what was pushed on the phone, for the next time.

    Raises:
        OptionsError: a value is out of its range.
    """

    adb: str | None = None
    benchmark_model: tuple[str, ...] = ()
    fixed_performance: bool = False
    keep_awake: bool = True
    max_thermal_status: int = 0
    max_temperature_c: float = 45.0
    min_clock_share: float = 0.9
    cool_secs: float = 300.0
    lost_secs: float = 600.0
    hang_secs: float = 60.0
    keep_files: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_thermal_status <= 6:
            raise OptionsError(f"Expected max_thermal_status from 0 to 6. Received: {self.max_thermal_status}.")
        if not 0 <= self.min_clock_share <= 1:
            raise OptionsError(f"Expected min_clock_share from 0 to 1. Received: {self.min_clock_share}.")
        for name in ("cool_secs", "lost_secs", "hang_secs", "max_temperature_c"):
            if not 0 <= getattr(self, name) < math.inf:
                raise OptionsError(f"Expected {name} of 0 or more. Received: {getattr(self, name)}.")
        if self.hang_secs <= 0:
            raise OptionsError("Expected hang_secs above 0. Received: 0.")
