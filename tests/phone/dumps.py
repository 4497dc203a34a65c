"""What ``dumpsys SERVICE`` prints, by service in `SERVICES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.phone.phone import Phone


def _thermal(phone: Phone) -> str:
    state = phone.state
    status, skin = state.thermal_status, state.temperature_c
    # What is cached may be older than what the sensors tell now; here it always is.
    cached = [("0", "CPU0", 25.0, 0), ("3", "skin", 25.0, 0)]
    current = [("0", "CPU0", skin + 8, 0), ("1", "GPU0", skin + 5, 0), ("3", "skin", skin, status)]
    current.append(("2", "battery", phone.faults.battery_c, 0))
    current.append(("9", "npu", 0.0, 0))  # this sensor has no reading

    def lines(rows: list[tuple[str, str, float, int]]) -> str:
        return "".join(
            f"\tTemperature{{mValue={value:.1f}, mType={kind}, mName={name}, mStatus={level}}}\n"
            for kind, name, value, level in rows
        )

    return (
        "IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 2\n\tkilled: false\n\tbroadcasts count: -1\n"
        "ThermalStatusListeners:\n\tcallbacks: 1\n\tkilled: false\n\tbroadcasts count: -1\n"
        f"Thermal Status: {status}\nCached temperatures:\n{lines(cached)}HAL Ready: true\n"
        "HAL connection:\n\tThermalHAL 2.0 connected: yes\n"
        f"Current temperatures from HAL:\n{lines(current)}"
        "Current cooling devices from HAL:\n\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}\n"
        "Temperature static thresholds from HAL:\n"
        "\tTemperatureThreshold{mType=3, mName=skin, mHotThrottlingThresholds=[NaN, 39.0, 41.0, 43.0, 45.0, 47.0]}\n"
    )


def _battery(phone: Phone) -> str:
    faults = phone.faults
    values = {
        "AC powered": "false",
        "USB powered": "true",
        "Wireless powered": "false",
        "Max charging current": "500000",
        "Max charging voltage": "5000000",
        "Charge counter": "3310000",
        "status": "2",
        "health": "2",
        "present": "true",
        "level": str(faults.battery_percent),
        "scale": "100",
        "voltage": "4212",
        "temperature": str(round(faults.battery_c * 10)),
        "technology": "Li-poly",
    }
    return "Current Battery Service state:\n" + "".join(f"  {name}: {value}\n" for name, value in values.items())


def _power(phone: Phone) -> str:
    awake = phone.state.awake
    stay_on = phone.settings["global"].get("stay_on_while_plugged_in", "0") != "0"
    return (
        f"POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mWakefulness={'Awake' if awake else 'Asleep'}\n"
        f"  mIsPowered=true\n  mPlugType=2\n  mStayOn={str(stay_on).lower()}\n"
        f"Display Power: state={'ON' if awake else 'OFF'}\n"
    )


# Service -> what it prints.
SERVICES: dict[str, Callable[[Phone], str]] = {
    "battery": _battery,
    "power": _power,
    "thermalservice": _thermal,
}
