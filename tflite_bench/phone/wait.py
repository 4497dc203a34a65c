"""Waiting for a phone, with a bound and with a word on the screen: until it is back, until it is cool."""

from __future__ import annotations

import time
from collections.abc import Callable

from tflite_bench.adb import texts
from tflite_bench.adb.connection import Adb
from tflite_bench.conditions import THERMAL_STATUS, Conditions
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import DeviceHotError, DeviceLostError
from tflite_bench.limits import Limits
from tflite_bench.messages import tell

_COOL_POLL_SECS = 5.0
_LOST_POLL_SECS = 1.0
# Where the whole time to cool was not enough, it will not be the next time either: an hour in the sun should not cost
# every measurement that time.
_HURRY = 10
_LOW_BATTERY_PERCENT = 15  # at which Android begins to save power, and clocks drop


class Comfort:
    """Waits until a phone is cool, and tells of its battery."""

    def __init__(self, shown: str, options: DeviceOptions) -> None:
        """Remembers the limits.

        Args:
            shown: what to call the phone.
            options: how hot it may be, and how long to wait.
        """
        self._shown = shown
        self._options = options
        self._stays_hot = False
        self._hot_since: float | None = None
        self._told_battery = False

    def wait(
        self,
        look: Callable[[], Conditions],
        sleep: Callable[[float], None],
        limits: Limits,
        *,
        others: bool = False,
    ) -> Conditions:
        """Returns the conditions once they are good, or after ``options.cool_secs`` as they are then.

        Args:
            look: reads the conditions.
            sleep: waits for so many seconds.
            limits: the thermal status and the clocks that are good enough, and the cores that matter.
            others: whether other phones can do the work meanwhile.

        Raises:
            DeviceHotError: with ``others``, instead of waiting.
        """
        most_secs = self._options.cool_secs / (_HURRY if self._stays_hot else 1)
        begin, told = time.monotonic(), False
        while True:
            now = look()
            hot = too_hot(now, limits, self._options.max_temperature_c)
            waited = time.monotonic() - begin
            if others and hot and not self._stays_hot:
                waited = self._hot_for()
                if waited < most_secs:
                    raise DeviceHotError(f"The phone {self._shown} {hot}.")
            if not hot or waited >= most_secs or others:
                break
            if not told:
                tell(f"The phone {self._shown} {hot}: waiting up to {most_secs:.0f} s until it is cool.")
                told = True
            sleep(min(_COOL_POLL_SECS, most_secs - waited))
        if told or hot:
            end = f"still {hot}: measuring it all the same" if hot else "is cool again"
            tell(f"The phone {self._shown} {end}, after {waited:.0f} s.")
        self._stays_hot = bool(hot)
        self._hot_since = self._hot_since if hot else None
        self._tell_of_battery(now.battery_percent)
        return now

    def _hot_for(self) -> float:
        """Returns for how many seconds it has been hot whenever it was looked at."""
        if self._hot_since is None:
            self._hot_since = time.monotonic()
        return time.monotonic() - self._hot_since

    def _tell_of_battery(self, percent: int | None) -> None:
        if percent is not None and percent <= _LOW_BATTERY_PERCENT and not self._told_battery:
            self._told_battery = True
            tell(f"The battery of the phone {self._shown} is at {percent} %: it may save power and be slow. Charge it.")


def too_hot(now: Conditions, limits: Limits, max_temperature_c: float) -> str:
    """Returns in what way the phone is hotter, or held slower, than the limits, or ""."""
    status, most = now.thermal_status, limits.max_thermal_status
    if status is not None and status > most:
        return f"has thermal status {status} ({THERMAL_STATUS[status]}), more than {most}"
    if now.temperature_c is not None and now.temperature_c > max_temperature_c:
        return f"has {now.temperature_c:.1f} °C, more than {max_temperature_c:g} °C"
    for core, limit_mhz, top_mhz in limits.lowered(now):
        return f"may clock core {core} with {limit_mhz} of {top_mhz} MHz, less than {limits.min_clock_share:.0%}"
    return ""


def wait_for_return(
    adb: Adb, shown: str, lost_secs: float, welcome: Callable[[], None], *, state: str | None = None
) -> None:
    """Waits until the phone takes commands again and ``welcome`` could prepare it.

    Args:
        adb: the way to it.
        shown: what to call it.
        lost_secs: how long to wait at most; the last attempt may take up to a minute longer.
        welcome: called when it is back; raises `DeviceLostError` where it went away again meanwhile.
        state: what `Adb.reach` has just told, or None to ask.

    Raises:
        DeviceLostError: it did not come back in time.
    """
    begin, said = time.monotonic(), ""
    while True:
        state = adb.reach() if state is None else state
        if state == texts.DEVICE:
            try:
                welcome()
            except DeviceLostError:
                state = "offline"
            else:
                break
        waited = time.monotonic() - begin
        if waited >= lost_secs:
            within = f"did not come back within {waited:.0f} s" if lost_secs else "is away"
            raise DeviceLostError(f"The phone {shown} {within} ({state}). {adb.advice(state)}")
        if state != said:
            left = lost_secs - waited
            tell(f"The phone {shown} is away ({state}): waiting up to {left:.0f} s. {adb.advice(state)}")
            said = state
        adb.wait(_LOST_POLL_SECS)
        state = None
    if said:
        tell(f"The phone {shown} is back after {time.monotonic() - begin:.0f} s.")
