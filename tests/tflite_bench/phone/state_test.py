from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_bench.conditions import Conditions
from tflite_bench.limits import Limits
from tflite_bench.phone import state as phone_state
from tflite_bench.phone.wait import too_hot

# In the form of Android 13's own output.
THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 2
\tkilled: false
\tbroadcasts count: -1
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=25.0, mType=3, mName=skin, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=61.2, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=63.9, mType=0, mName=CPU7, mStatus=0}
\tTemperature{mValue=39.8, mType=3, mName=VIRTUAL-SKIN, mStatus=2}
\tTemperature{mValue=41.1, mType=3, mName=skin, back, mStatus=0}
\tTemperature{mValue=NaN, mType=3, mName=broken, mStatus=0}
\tTemperature{mValue=0.0, mType=9, mName=npu, mStatus=0}
\tTemperature{mValue=33.4, mType=2, mName=battery, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
Temperature static thresholds from HAL:
\tTemperatureThreshold{mType=3, mName=skin, mHotThrottlingThresholds=[NaN, 39.0, 41.0, 43.0, 45.0, 47.0]}
"""
BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Max charging current: 500000
  level: 43
  scale: 50
  voltage: 4212
  temperature: 274
"""
ZONES = """\
thermal_zone0/type:cpu-0-0-usr
thermal_zone1/type:skin-therm
thermal_zone2/type:cpu-1-0-usr
thermal_zone3/type:battery
thermal_zone0/temp:58200
thermal_zone1/temp:36100
thermal_zone2/temp:105000
thermal_zone3/temp:29000
"""
CLOCKS = """\
cpu0/cpufreq/scaling_cur_freq:1056000
cpu0/cpufreq/scaling_max_freq:1803000
cpu0/cpufreq/cpuinfo_max_freq:1803000
cpu10/cpufreq/scaling_cur_freq:500000
cpu2/cpufreq/scaling_cur_freq:2850000
cpu2/cpufreq/scaling_max_freq:1401000
cpu2/cpufreq/cpuinfo_max_freq:2850000
"""


def answers(**given: str) -> dict[str, str]:
    return dict.fromkeys(phone_state.COMMANDS, "") | given


def test_all_of_it_is_read() -> None:
    found = phone_state.parse(answers(thermal=THERMAL, battery=BATTERY, zones=ZONES, clocks=CLOCKS))
    assert found == Conditions(
        thermal_status=2,
        temperature_c=41.1,  # the hottest skin sensor now, not the cached one
        cpu_c=63.9,
        battery_percent=86,
        battery_c=27.4,
        clocks_mhz=((0, 1056), (2, 2850), (10, 500)),  # by number: core 10 comes after core 2
        clock_limits_mhz=((0, 1803), (2, 1401)),
        clock_tops_mhz=((0, 1803), (2, 2850)),
    )


def without(text: str, word: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if word not in line)


def test_without_a_skin_sensor_the_battery_counts_and_never_the_processor() -> None:
    found = phone_state.parse(answers(thermal=without(THERMAL, "mType=3")))
    assert (found.temperature_c, found.cpu_c) == (33.4, 63.9)
    found = phone_state.parse(answers(thermal=without(without(THERMAL, "mType=3"), "mType=2")))
    assert (found.temperature_c, found.cpu_c) == (None, 63.9)
    assert too_hot(found, Limits(2), 45.0) == ""


def test_without_the_service_the_kernel_is_asked_and_its_sentinels_are_ignored() -> None:
    error = "Can't find service: thermalservice\n"
    assert phone_state.parse(answers(thermal=error, zones=ZONES)).temperature_c == 36.1
    found = phone_state.parse(answers(zones=without(ZONES, "zone1")))
    assert (found.temperature_c, found.cpu_c) == (None, 58.2)
    hidden = without(without(ZONES, "zone1"), "zone0")
    assert phone_state.parse(answers(zones=hidden)).temperature_c is None
    assert phone_state.parse(answers(zones=hidden, battery=BATTERY)).temperature_c == 27.4


def test_whole_degrees_of_old_kernels_are_degrees() -> None:
    text = "thermal_zone0/type:mtktscpu\nthermal_zone0/temp:47\n"
    assert phone_state.parse(answers(zones=text)).cpu_c == 47.0


def test_a_block_before_that_of_the_hal_counts_where_there_is_no_other() -> None:
    old = THERMAL.partition("HAL Ready")[0]
    assert phone_state.parse(answers(thermal=old)).temperature_c == 25.0


def test_a_phone_that_tells_nothing_has_no_conditions() -> None:
    assert phone_state.parse(answers()) == Conditions()


@pytest.mark.parametrize(
    ("text", "awake"),
    [
        ("  mWakefulness=Awake\n", True),
        ("  mWakefulness=Asleep\n", False),
        ("  mWakefulness=Dozing\n", False),
        ("", True),
    ],
)
def test_whether_the_screen_is_on(text: str, awake: bool) -> None:
    assert phone_state.is_awake(answers(power=text)) is awake


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_makes_the_parser_fail(thermal: str, battery: str, zones: str, clocks: str) -> None:
    phone_state.parse(answers(thermal=thermal, battery=battery, zones=zones, clocks=clocks))


@given(st.floats(), st.integers(-2, 9), st.integers(0, 12))
def test_a_temperature_that_no_phone_has_is_none(value: float, kind: int, status: int) -> None:
    row = f"Temperature{{mValue={value}, mType={kind}, mName=x, mStatus=0}}\nThermal Status: {status}\n"
    found = phone_state.parse(answers(thermal=f"Current temperatures from HAL:\n{row}"))
    assert found.temperature_c is None or (found.temperature_c == value and 0 < value < 105)
    assert found.thermal_status is not None and 0 <= found.thermal_status <= 6


LIMITS = Limits(max_thermal_status=1, min_clock_share=0.9)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (Conditions(), ""),
        (Conditions(thermal_status=1, temperature_c=40.0), ""),
        (Conditions(thermal_status=2), "has thermal status 2 (moderate), more than 1"),
        (Conditions(thermal_status=0, temperature_c=40.1), "has 40.1 °C, more than 40 °C"),
        (Conditions(temperature_c=39.0, cpu_c=80.0), ""),
        (Conditions(clock_limits_mhz=((4, 900), (7, 2700)), clock_tops_mhz=((4, 1000), (6, 2800), (7, 2800))), ""),
        (
            Conditions(clock_limits_mhz=((4, 2400), (7, 1400)), clock_tops_mhz=((4, 2400), (6, 2800), (7, 2800))),
            "may clock core 7 with 1400 of 2800 MHz, less than 90%",
        ),
    ],
)
def test_a_phone_is_too_hot_above_its_limits(now: Conditions, words: str) -> None:
    assert too_hot(now, LIMITS, 40.0) == words


def test_any_clock_is_taken_where_that_is_asked_for() -> None:
    now = Conditions(clock_limits_mhz=((0, 300),), clock_tops_mhz=((0, 1800),))
    assert too_hot(now, LIMITS, 40.0) and too_hot(now, dataclasses.replace(LIMITS, min_clock_share=0), 40.0) == ""


@pytest.mark.parametrize(
    ("pin", "held"), [("none", True), ("all", True), ("little", True), ("big", False), ("0x2", False)]
)
def test_only_the_cores_that_are_pinned_are_waited_for(pin: str, held: bool) -> None:
    now = Conditions(clock_limits_mhz=((0, 300), (1, 2800)), clock_tops_mhz=((0, 1800), (1, 2800)))
    assert bool(too_hot(now, dataclasses.replace(LIMITS, pin=pin), 40.0)) is held


def test_conditions_survive_json() -> None:
    now = phone_state.parse(answers(thermal=THERMAL, battery=BATTERY, zones=ZONES, clocks=CLOCKS))
    assert Conditions.from_json(json.loads(json.dumps(now.to_json()))) == now
