"""The state of a phone at one moment: what it is asked, and how its answers are read. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from tflite_bench.conditions import Conditions

# What is asked, in one call for all. The clocks as in phone_cores: one process for all files.
COMMANDS = {
    "thermal": "dumpsys thermalservice 2>/dev/null",
    "battery": "dumpsys battery 2>/dev/null",
    "zones": "cd /sys/class/thermal && grep -sH . thermal_zone*/type thermal_zone*/temp",
    "clocks": (
        "cd /sys/devices/system/cpu && grep -sH . cpu[0-9]*/cpufreq/scaling_cur_freq "
        "cpu[0-9]*/cpufreq/scaling_max_freq cpu[0-9]*/cpufreq/cpuinfo_max_freq"
    ),
    "power": "dumpsys power 2>/dev/null | grep -m 1 mWakefulness=",
}

# https://developer.android.com/reference/android/os/Temperature (hidden constants of android.hardware.thermal)
_CPU, _BATTERY, _SKIN = 0, 2, 3
# No part of a phone that can be measured is outside of this. Sensors without a reading show 0, -273, 105, 125 or NaN.
_LEAST_C, _MOST_C = 1.0, 104.0
# Names of the kernel's sensors, by what is best to wait for: the outside first, as Android's own limits do.
_ZONES = (("skin", "quiet", "shell"), ("cpu", "soc", "tsens", "big", "little"))
_TEMPERATURE = re.compile(r"Temperature\{mValue=([-+\d.naNifIE]+), mType=(-?\d+), mName=([^,}]*)")
_KHZ_PER_MHZ = 1000


def parse(answers: Mapping[str, str]) -> Conditions:
    """Returns the conditions that the answers to `COMMANDS` tell."""
    status = re.search(r"^\s*Thermal Status: (\d+)\s*$", answers["thermal"], re.MULTILINE)
    level = _number(r"^\s*level: (\d+)\s*$", answers["battery"])
    scale = _number(r"^\s*scale: (\d+)\s*$", answers["battery"]) or 100
    tenths = _number(r"^\s*temperature: (-?\d+)\s*$", answers["battery"])
    battery_c = None if tenths is None else tenths / 10
    temperature_c = _service_temperature(answers["thermal"])
    if temperature_c is None:
        temperature_c = _zone_temperature(answers["zones"])
    return Conditions(
        thermal_status=min(int(status.group(1)), 6) if status else None,
        temperature_c=temperature_c if temperature_c is not None else battery_c,
        battery_percent=None if level is None else round(100 * level / scale),
        battery_c=battery_c,
        clocks_mhz=_clocks(answers["clocks"], "scaling_cur_freq"),
        clock_limits_mhz=_clocks(answers["clocks"], "scaling_max_freq"),
        clock_tops_mhz=_clocks(answers["clocks"], "cpuinfo_max_freq"),
    )


def is_awake(answers: Mapping[str, str]) -> bool:
    """Whether the screen is on, as far as the phone tells: with it off, clocks and cores are held low."""
    return "mWakefulness=" not in answers["power"] or "mWakefulness=Awake" in answers["power"]


def _service_temperature(text: str) -> float | None:
    # The block before this one is what the service last heard of, maybe long ago.
    _, found, current = text.partition("Current temperatures from HAL:")
    block = current.partition("Current cooling devices")[0] if found else text
    rows = [(float(value), int(kind)) for value, kind, _ in _TEMPERATURE.findall(block) if _is_number(value)]
    for wanted in (_SKIN, _CPU, _BATTERY):
        values = [value for value, kind in rows if kind == wanted and _plausible(value)]
        if values:
            return max(values)
    return None


def _zone_temperature(text: str) -> float | None:
    """The hottest of the kernel's sensors for the skin, else for the processor."""
    kinds = dict(re.findall(r"^thermal_zone(\d+)/type:(.*)$", text, re.MULTILINE))
    found = re.findall(r"^thermal_zone(\d+)/temp:(-?\d+)\s*$", text, re.MULTILINE)
    # Thousandths of a degree, but whole degrees on some old kernels.
    values = {zone: int(value) / 1000 if abs(int(value)) >= 1000 else float(value) for zone, value in found}
    for words in _ZONES:
        of_kind = [
            value
            for zone, value in values.items()
            if _plausible(value) and any(word in kinds.get(zone, "").lower() for word in words)
        ]
        if of_kind:
            return max(of_kind)
    return None


def _plausible(value: float) -> bool:
    return math.isfinite(value) and _LEAST_C <= value <= _MOST_C


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.MULTILINE)
    return int(found.group(1)) if found else None


def _clocks(text: str, name: str) -> tuple[int, ...]:
    found = re.findall(rf"^cpu(\d+)/cpufreq/{name}:(\d+)\s*$", text, re.MULTILINE)
    return tuple(int(value) // _KHZ_PER_MHZ for _, value in sorted(found, key=lambda pair: int(pair[0])))
