"""Settings of a phone that are changed while measuring, and put back in any case.

What they were before is written to a file on this computer before the first change. Where this process is killed, or
the phone is away when it should be put right, the next measurement on that phone begins with doing so.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

from tflite_bench.adb.connection import Adb
from tflite_bench.cache import cache_folder, read_json, told, write_json
from tflite_bench.device_options import DeviceOptions
from tflite_bench.messages import tell
from tflite_bench.phone.lock import phone_key

FIXED_PERFORMANCE = "fixed-performance"
# Since Android 11: https://developer.android.com/games/optimize/adpf/fixed-performance-mode
_FIX = "cmd power set-fixed-performance-mode-enabled"
_STAY_ON = "global stay_on_while_plugged_in"
_VALUE = re.compile(r"(?:\d+|null)")  # null: never set on this phone


class PhoneSettings:
    """The settings of one phone. Its user holds the phone's lock.

    Attributes:
        mode: the mode that the phone is in because of `apply`: `FIXED_PERFORMANCE` or "".
    """

    def __init__(self, adb: Adb, serial: str, options: DeviceOptions) -> None:
        """Remembers which phone it is about.

        Args:
            adb: the way to it.
            serial: its own serial number.
            options: which settings to change.
        """
        self.mode = ""
        self._adb = adb
        self._options = options
        self._record = settings_file(serial)

    def apply(self) -> None:
        """Changes what the options ask for, as far as the phone allows it; what it refuses is told on the screen.

        Raises:
            DeviceLostError: the phone went away.
        """
        left = self._restore()  # what a killed process left, and the phone refused to take back
        before: dict[str, str] = {}
        if self._options.keep_awake:
            stay_on = self._adb.shell(f"settings get {_STAY_ON}", self._options.hang_secs).stdout.strip()
            if _VALUE.fullmatch(stay_on):
                before["stay_on"] = stay_on
        if self._options.fixed_performance:
            before["fixed_performance"] = "false"  # it cannot be read, and is off on every phone as it is sold
        before |= left  # what is there now is not what it was at first
        if before:
            write_json(self._record, before)
        if self._options.keep_awake:
            self._keep_awake("stay_on" in before)
        if self._options.fixed_performance:
            refused = self._set_fixed("true")
            if refused:
                self._keep({key: value for key, value in before.items() if key != "fixed_performance"} | left)
                tell(f"The phone {self._adb.serial} is measured without its fixed-performance mode: {refused[0]}")
            else:
                self.mode = FIXED_PERFORMANCE

    def restore(self) -> None:
        """Puts back what the record tells of; does nothing where there is none.

        What the phone refuses stays in the record, for the next time.

        Raises:
            DeviceLostError: the phone went away; the record stays.
        """
        self._restore()

    def _restore(self) -> dict[str, str]:
        """As `restore`; returns what the phone refused."""
        self.mode = ""
        before = read_json(self._record) or {}
        stay_on = str(before.get("stay_on", ""))
        refused, left = [], {}
        if _VALUE.fullmatch(stay_on):  # the record is a file: it may hold anything
            put = f"settings delete {_STAY_ON}" if stay_on == "null" else f"settings put {_STAY_ON} {stay_on}"
            result = self._adb.shell(f"{put} >/dev/null; settings get {_STAY_ON}", self._options.hang_secs)
            if result.stdout.strip() != stay_on:
                refused.append(f"{put} ({' '.join((result.stdout + result.stderr).split())})")
                left["stay_on"] = stay_on
        if "fixed_performance" in before:
            words = self._set_fixed("false")
            refused += words
            left |= {"fixed_performance": "false"} if words else {}
        if refused:
            tell(
                f"The phone {self._adb.serial} refuses to get its settings back; the next use tries it again. By hand: "
                f"adb shell {'; '.join(refused)}"
            )
        self._keep(left)
        return left

    def _keep(self, record: Mapping[str, str]) -> None:
        if record:
            write_json(self._record, record)
        else:
            with told(self._record):
                self._record.unlink(missing_ok=True)

    @property
    def changed(self) -> bool:
        """Whether there is something to put back."""
        return self._record.exists()

    def wake(self) -> None:
        """Switches the screen on.

        Raises:
            DeviceLostError: the phone went away.
        """
        self._adb.shell("input keyevent KEYCODE_WAKEUP", self._options.hang_secs)

    def _keep_awake(self, readable: bool) -> None:
        wake = "input keyevent KEYCODE_WAKEUP"
        if readable:
            command = f"svc power stayon true; {wake} >/dev/null 2>&1; settings get {_STAY_ON}"
            if self._adb.shell(command, self._options.hang_secs).stdout.split()[-1:] not in ([], ["0"], ["null"]):
                return
        tell(
            f"The phone {self._adb.serial} does not let its screen be kept on: keep it on by hand, "
            "as clocks drop when it goes off."
        )

    def _set_fixed(self, value: str) -> list[str]:
        """Returns nothing on success, else the command and what the phone says to it."""
        command = f"{_FIX} {value}"
        result = self._adb.shell(command, self._options.hang_secs)
        words = " ".join((result.stdout + result.stderr).split())
        # Phones without the mode say so, some with exit code 0; with it they say nothing.
        if result.exit_code or re.search(r"fail|error|unknown|not supported|exception", words, re.IGNORECASE):
            return [f"{command} ({words or f'exit code {result.exit_code}'})"]
        return []


def settings_file(serial: str) -> pathlib.Path:
    """Returns the file that tells what the settings of a phone were before they were changed."""
    return cache_folder("phones") / f"{phone_key(serial)}.json"
