"""``tflite-bench devices``: what can be measured on, and why something cannot.

The exit code is 0 also where no phone is attached: the list is then empty but for this machine, and says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tflite_bench.bin import screen
from tflite_bench.conditions import THERMAL_STATUS, Conditions
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import DeviceError
from tflite_bench.inventory import IN_USE, Entry, host_entry, phone_entries
from tflite_bench.messages import tell, visible

FLAGS = flags.FlagValues()
USAGE = "[--flag=value ...]"

flags.DEFINE_string("adb", None, "The adb client to use, instead of the one of adbutils.", flag_values=FLAGS)
flags.DEFINE_multi_string(
    "benchmark_model", [], "An executable for phones, PATH or ABI=PATH; may be repeated.", flag_values=FLAGS
)
flags.DEFINE_bool("json", False, "Print JSON and nothing else.", flag_values=FLAGS)

_NO_PHONE = (
    "No phone is attached. Switch on USB debugging in its developer options, plug it in and accept the dialog; one on "
    "the network is connected with: adb connect HOST:PORT"
)
_MB_PER_GB = 1024


def main(paths: Sequence[str]) -> None:
    """Prints this machine and the attached phones."""
    if paths:
        raise flags.Error(f"Expected no paths. Received: {', '.join(paths)}.")
    options = DeviceOptions(adb=FLAGS["adb"].value, benchmark_model=tuple(FLAGS["benchmark_model"].value))
    trouble = ""
    try:
        phones = phone_entries(options)
    except DeviceError as error:  # this machine can be measured on all the same
        phones, trouble = [], str(error)
        tell(trouble)
    entries = [host_entry(), *phones]
    if FLAGS["json"].value:
        screen.print_json({"devices": [entry.to_json() for entry in entries]})
        return
    print("\n\n".join(map(_text, entries)))
    if not phones and not trouble:
        print(f"\n{_NO_PHONE}")


def _text(entry: Entry) -> str:
    words = [entry.name, entry.os_version, entry.arch, f"{entry.cores} cores" if entry.cores else ""]
    lines = [f"{entry.device}: {entry.state}", ", ".join(filter(None, words))]
    lines.append(f"cores: {entry.core_groups}" if entry.core_groups else "")
    lines.append(_conditions(entry.conditions, entry.free_mb))
    lines.append(entry.reason)
    if not entry.ready and entry.state != IN_USE:
        lines[0] = f"{entry.device}: cannot be used ({entry.state})"
    return "\n  ".join(map(visible, filter(None, lines)))


def _conditions(now: Conditions | None, free_mb: float | None) -> str:
    words = []
    if now is not None and now.temperature_c is not None:
        words.append(f"{now.temperature_c:.1f} °C")
    if now is not None and now.thermal_status is not None:
        words.append(f"thermal status {now.thermal_status} ({THERMAL_STATUS[now.thermal_status]})")
    if now is not None and now.battery_percent is not None:
        words.append(f"battery {now.battery_percent} %")
    if free_mb is not None:
        words.append(f"{free_mb / _MB_PER_GB:.1f} GB free")
    return "now: " + ", ".join(words) if words else ""
