"""What changes on a phone while it is used: settings, modes, boots and heat."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.phone.phone import Phone

_IDLE_KHZ = 300000
# A fixed-performance mode holds a clock that the phone can keep up for long.
_FIXED_SHARE = 0.75
# With the screen off the governor stays low.
_ASLEEP_SHARE = 0.5


class State:
    """The state of one phone.

    Attributes:
        settings: by namespace and name, as ``settings put`` puts them.
        fixed_performance: whether that mode is on.
        awake: whether the screen is on.
        boots: how often the phone has started.
        inference_secs: the simulated time of all inferences.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._lock = threading.RLock()
        self._inferences = 0  # since the phone was cool
        self._last_work = 0.0
        self.inference_secs = 0.0
        self._written: dict[str, str] = {}
        self.properties = phone.hardware.all_properties()
        self.settings: dict[str, dict[str, str]] = {
            "global": {"stay_on_while_plugged_in": "0", "airplane_mode_on": "0"},
            "system": {"screen_off_timeout": "30000"},
            "secure": {},
        }
        self.fixed_performance = False
        self.awake = True
        self.boots = 0
        self.boot()
        for first, cores in phone.hardware.policies():
            for core in cores:
                link = phone.tree.path(f"/sys/devices/system/cpu/cpu{core}/cpufreq")
                link.symlink_to(f"../cpufreq/policy{first}")

    def boot(self) -> None:
        """Starts the phone (again): settings stay, modes and heat do not."""
        self.boots += 1
        self.fixed_performance = False
        self.awake = True
        self._inferences = 0
        self._booted = time.monotonic()
        self._services_at = 0.0
        self._boot_id = str(uuid.uuid4())
        self.refresh()

    def start_services_in(self, secs: float) -> None:
        """Lets Android's services answer only after so long."""
        self._services_at = time.monotonic() + secs

    @property
    def started(self) -> bool:
        """Whether Android's services run: adb answers some seconds before they do."""
        return time.monotonic() >= self._services_at

    def factor(self, inferences: int = 0) -> float:
        """Returns how much longer than at best an inference takes after so many more."""
        with self._lock:
            self._rest()
            throttle = self._phone.faults.throttle
            heat = throttle.at(self._inferences + inferences) if throttle else 1.0
            return heat / self._share()

    def slowness(self) -> list[tuple[int, float]]:
        """Returns how `factor` goes on: from how many more inferences on, and by what factor, in some steps."""
        throttle = self._phone.faults.throttle
        steps = {0}
        if throttle:
            begin = max(throttle.after - self._inferences, 0)
            steps |= {begin + throttle.over * part // 20 for part in range(21)}
        return [(step, self.factor(step)) for step in sorted(steps)]

    def work(self, inferences: int, secs: float = 0.0) -> None:
        """Counts inferences, which heat the phone, and the time that they are said to have taken."""
        with self._lock:
            self._rest()
            self.inference_secs += secs
            self._inferences += inferences
            self._last_work = time.monotonic()
        self.refresh()

    def cool(self) -> None:
        """Takes the heat away."""
        with self._lock:
            self._inferences = 0
        self.refresh()

    @property
    def thermal_status(self) -> int:
        """0 (none) to 6 (shutdown)."""
        self._rest()
        faults = self._phone.faults
        hot = faults.throttle if self._heat() > 1 else None
        return max(faults.thermal_status, (hot.status or 0) if hot else 0)

    @property
    def temperature_c(self) -> float:
        """Of the skin."""
        base = self._phone.faults.temperature_c
        return max(base, 30.0 + 5 * self.thermal_status) if self.thermal_status else base

    def limits_khz(self) -> tuple[int, ...]:
        """Returns the clock that each core may reach now."""
        throttle = self._phone.faults.throttle
        heat = self._heat() if throttle and throttle.lowers_clocks else 1.0
        share = _FIXED_SHARE if self.fixed_performance else 1.0
        return tuple(int(top * share / heat) for top in self._phone.hardware.tops_khz)

    def refresh(self) -> None:
        """Writes the files that show the state, as far as they are not right."""
        limits = self.limits_khz()
        clocks = limits if self.awake else tuple(max(_IDLE_KHZ, int(limit * _ASLEEP_SHARE)) for limit in limits)
        files = self._phone.hardware.core_files(limits, clocks)
        celsius = {"cpu-0-0-usr": self.temperature_c + 8, "skin": self.temperature_c, "invalid": 105.0}
        for number, (name, value) in enumerate(celsius.items()):
            folder = f"/sys/class/thermal/thermal_zone{number}"
            files |= {f"{folder}/type": f"{name}\n", f"{folder}/temp": f"{int(value * 1000)}\n"}
        files["/proc/self/status"] = f"Name:\tsh\nCpus_allowed_list:\t0-{len(limits) - 1}\n"
        files["/proc/sys/kernel/random/boot_id"] = f"{self._boot_id}\n"
        files["/proc/uptime"] = f"{time.monotonic() - self._booted:.2f} 0.00\n"
        with self._lock:
            for path, text in files.items():
                if self._written.get(path) != text:
                    self._phone.tree.write(path, text)
                    self._written[path] = text

    def switch_off(self, *cores: int) -> None:
        """Switches cores off: neither their clocks nor their capacities can be read any more."""
        place = self._phone.tree.path("/sys/devices/system/cpu")
        for core in cores:
            (place / f"cpu{core}/cpufreq").unlink()
            (place / f"cpu{core}/cpu_capacity").unlink()
        on = [str(core) for core in range(len(self._phone.hardware.tops_khz)) if core not in cores]
        (place / "online").write_text(",".join(on) + "\n", encoding="utf-8")

    def own_files(self) -> set[str]:
        """Returns the files that the phone itself changes."""
        return set(self._written)

    def _rest(self) -> None:
        with self._lock:
            throttle = self._phone.faults.throttle
            secs = throttle.recovers_secs if throttle else None
            if secs is not None and self._inferences and time.monotonic() - self._last_work > secs:
                self._inferences = 0
                self.refresh()

    def _heat(self) -> float:
        throttle = self._phone.faults.throttle
        return throttle.at(self._inferences) if throttle else 1.0

    def _share(self) -> float:
        share = _FIXED_SHARE if self.fixed_performance else 1.0
        return share if self.awake else share * _ASLEEP_SHARE
