"""The state of a phone at one moment: what it is asked, and how its answers are read. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from tflite_bench.conditions import Clocks, Conditions

# What is asked, in one call for all. The clocks as in `cores`: one process for all files.
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
# Words in the names of the kernel's sensors.
_SKIN_ZONES = ("skin", "quiet", "shell")
_CPU_ZONES = ("cpu", "soc", "tsens", "big", "little")
_TEMPERATURE = re.compile(r"Temperature\{mValue=([-+\d.naNifIE]+), mType=(-?\d+), mName=([^,}]*)")
_KHZ_PER_MHZ = 1000


def parse(answers: Mapping[str, str]) -> Conditions:
    """Returns the conditions that the answers to `COMMANDS` tell."""
    status = re.search(r"^\s*Thermal Status: (\d+)\s*$", answers["thermal"], re.MULTILINE)
    level = _number(r"^\s*level: (\d+)\s*$", answers["battery"])
    scale = _number(r"^\s*scale: (\d+)\s*$", answers["battery"]) or 100
    tenths = _number(r"^\s*temperature: (-?\d+)\s*$", answers["battery"])
    battery_c = None if tenths is None else tenths / 10
    heard = answers["thermal"], answers["zones"]
    # A processor is at 60 degrees and more whenever it works, so it says nothing of how hot the phone is.
    skin = [_service_temperature(heard[0], _SKIN), _zone_temperature(heard[1], _SKIN_ZONES)]
    known = [*skin, _service_temperature(heard[0], _BATTERY), battery_c]
    cpu = [_service_temperature(heard[0], _CPU), _zone_temperature(heard[1], _CPU_ZONES)]
    return Conditions(
        thermal_status=min(int(status.group(1)), 6) if status else None,
        temperature_c=next((value for value in known if value is not None), None),
        cpu_c=next((value for value in cpu if value is not None), None),
        battery_percent=None if level is None else round(100 * level / scale),
        battery_c=battery_c,
        clocks_mhz=_clocks(answers["clocks"], "scaling_cur_freq"),
        clock_limits_mhz=_clocks(answers["clocks"], "scaling_max_freq"),
        clock_tops_mhz=_clocks(answers["clocks"], "cpuinfo_max_freq"),
    )


def is_awake(answers: Mapping[str, str]) -> bool:
    """Whether the screen is on, as far as the phone tells: with it off, clocks and cores are held low."""
    return "mWakefulness=" not in answers["power"] or "mWakefulness=Awake" in answers["power"]


def _service_temperature(text: str, wanted: int) -> float | None:
    """The hottest sensor of a kind that Android's thermal service tells of."""
    # The block before this one is what the service last heard of, maybe long ago.
    _, found, current = text.partition("Current temperatures from HAL:")
    block = current.partition("Current cooling devices")[0] if found else text
    rows = [(float(value), int(kind)) for value, kind, _ in _TEMPERATURE.findall(block) if _is_number(value)]
    return max((value for value, kind in rows if kind == wanted and _plausible(value)), default=None)


def _zone_temperature(text: str, words: tuple[str, ...]) -> float | None:
    """The hottest of the kernel's sensors that have one of the words in their names."""
    kinds = dict(re.findall(r"^thermal_zone(\d+)/type:(.*)$", text, re.MULTILINE))
    found = re.findall(r"^thermal_zone(\d+)/temp:(-?\d+)\s*$", text, re.MULTILINE)
    # Thousandths of a degree, but whole degrees on some old kernels.
    values = {zone: int(value) / 1000 if abs(int(value)) >= 1000 else float(value) for zone, value in found}
    of_kind = [
        value
        for zone, value in values.items()
        if _plausible(value) and any(word in kinds.get(zone, "").lower() for word in words)
    ]
    return max(of_kind, default=None)


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


def _clocks(text: str, name: str) -> Clocks:
    found = re.findall(rf"^cpu(\d+)/cpufreq/{name}:(\d+)\s*$", text, re.MULTILINE)
    return tuple(sorted((int(core), int(value) // _KHZ_PER_MHZ) for core, value in found))
