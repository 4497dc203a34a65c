"""The programs of the phone: Android's own where they differ from this machine's, by name in `PROGRAMS`."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.phone import bench, dumps, processes
from tests.phone.calls import Becomes, Call, Killed
from tests.phone.hardware import Hardware
from tests.phone.tree import WRITABLE, Tree, make_folder

if TYPE_CHECKING:
    from tests.phone.phone import Phone

Result = int | Killed | Becomes

# Programs of this machine that do on the phone what they do here, as far as both have the same options.
_SHARED = re.findall(
    r"\w+",
    """
    base64 basename cat cmp comm cp cut date dd diff dirname du echo env expr false file find flock grep head ln
    ls md5sum mktemp nice nohup od paste printenv printf pwd readlink realpath rev sed seq setsid sha1sum
    sha256sum sleep sort split stat sync tail tee test time tr true truncate tty uniq wc which xargs xxd yes
    """,
)
# Those that change files are let near the phone's files only.
_GUARDED = ("chmod", "mkdir", "mv", "rm", "rmdir", "touch")
_GUARD = """#!/bin/sh
# {name}, as the user "shell" may use it.
skip={skip}
for argument; do
  case $argument in
  -*) continue ;;
  esac
  if [ $skip -gt 0 ]; then
    skip=$((skip - 1))
    continue
  fi
  case $argument in
  /*) path=$argument ;;
  *) path=$PWD/$argument ;;
  esac
  case $path in
  */../* | */..) denied=1 ;;
  {allowed}) denied=0 ;;
  *) denied=1 ;;
  esac
  if [ $denied = 1 ]; then
    echo "{name}: $argument: Permission denied" >&2
    exit 1
  fi
done
exec {program} "$@"
"""
_TIMEOUT = """#!/bin/sh
exec {program} --foreground "$@"
"""
_ASKING = """#!/bin/sh
exec "$PHONE_PYTHON" -IS "$PHONE_CLIENT" {name} "$@"
"""
_SAYING = """#!/bin/sh
echo '{text}'
"""
_SIGNALS = {name.removeprefix("SIG"): number for name, number in signal.Signals.__members__.items()}


def install(tree: Tree, hardware: Hardware) -> None:
    """Puts the programs into the phone's /system/bin."""
    tree.path("/system/bin").symlink_to(_folder(frozenset(hardware.missing)))


@functools.cache
def _folder(missing: frozenset[str]) -> Path:
    """Returns a folder with the programs, the same for all phones that lack the same ones."""
    folder = make_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    allowed = " | ".join(f'"$PHONE_ROOT"{place} | "$PHONE_ROOT"{place}/*' for place in WRITABLE)
    scripts = {name: _ASKING.format(name=name) for name in PROGRAMS if name != "benchmark_model"}
    for name in _GUARDED:
        scripts[name] = _GUARD.format(name=name, skip=int(name == "chmod"), allowed=allowed, program=shutil.which(name))
    scripts["timeout"] = _TIMEOUT.format(program=shutil.which("timeout"))
    scripts["id"] = _SAYING.format(text="uid=2000(shell) gid=2000(shell) groups=2000(shell),1004(input)")
    scripts["whoami"] = _SAYING.format(text="shell")
    for name, text in scripts.items():
        if name not in missing:
            (folder / name).write_text(text, encoding="utf-8")
            (folder / name).chmod(0o755)
    for name in (*_SHARED, "sh"):
        program = shutil.which(name)
        if program and name not in missing:
            (folder / name).symlink_to(program)
    return folder


def run(phone: Phone, call: Call) -> Result:
    """Does what a program does, and returns how it ends."""
    if call.program in _OF_SERVICES and not phone.state.started:
        call.err(f"cmd: Can't find service: {_OF_SERVICES[call.program] or ' '.join(call.arguments[:1])}\n")
        return 20
    return PROGRAMS[call.program](phone, call)


def _getprop(phone: Phone, call: Call) -> int:
    properties = dict(phone.state.properties)
    if not phone.state.started:
        properties["sys.boot_completed"] = ""
    if call.arguments:
        name, *default = call.arguments
        call.out(properties.get(name, "".join(default)) + "\n")
    else:
        call.out("".join(f"[{name}]: [{value}]\n" for name, value in sorted(properties.items())))
    return 0


def _dumpsys(phone: Phone, call: Call) -> int:
    service = call.arguments[0] if call.arguments else ""
    if service not in dumps.SERVICES or (service == "thermalservice" and phone.hardware.sdk < 29):
        call.err(f"Can't find service: {service}\n")
        return 1 if phone.hardware.sdk >= 30 else 0
    call.out(dumps.SERVICES[service](phone))
    return 0


def _cmd(phone: Phone, call: Call) -> int:
    if call.arguments[:2] == ["power", "set-fixed-performance-mode-enabled"]:
        if not phone.hardware.has_fixed_performance:
            call.out("Failed to set FIXED_PERFORMANCE mode\n")
            call.out("This is likely because Power HAL AIDL is not implemented on this device\n")
            return 255
        if phone.hardware.sdk < 30:
            call.err("Unknown command: set-fixed-performance-mode-enabled\n")
            return 255
        phone.state.fixed_performance = call.arguments[2:] == ["true"]
        phone.state.refresh()
        return 0
    call.err(f"cmd: Can't find service: {' '.join(call.arguments[:1])}\n")
    return 20


def _svc(phone: Phone, call: Call) -> int:
    values = {"true": "7", "false": "0", "ac": "1", "usb": "2", "wireless": "4"}
    if call.arguments[:2] == ["power", "stayon"] and call.arguments[2:3] and call.arguments[2] in values:
        value = values[call.arguments[2]]
        phone.settings["global"]["stay_on_while_plugged_in"] = value
        if value != "0":
            _wake(phone)
        return 0
    call.err("Control the power manager\n\nusage: svc power stayon [true|false|usb|ac|wireless]\n")
    return 1


def _settings(phone: Phone, call: Call) -> int:
    verb, *rest = call.arguments or [""]
    if len(rest) < 1 or rest[0] not in phone.settings or verb not in ("get", "put", "delete", "list"):
        call.err("usage: settings get|put|delete|list NAMESPACE [NAME [VALUE]]\n")
        return 255
    table = phone.settings[rest[0]]
    if verb == "list":
        call.out("".join(f"{name}={value}\n" for name, value in sorted(table.items())))
    elif verb == "get":
        call.out(table.get(rest[1], "null") + "\n")
    elif verb == "put":
        table[rest[1]] = rest[2]
        if rest[1] == "stay_on_while_plugged_in" and rest[2] not in ("0", "null"):
            _wake(phone)
    else:
        call.out(f"Deleted {int(table.pop(rest[1], None) is not None)} rows\n")
    return 0


def _input(phone: Phone, call: Call) -> int:
    key = call.arguments[1] if call.arguments[:1] == ["keyevent"] and len(call.arguments) == 2 else ""
    if key in ("KEYCODE_WAKEUP", "224"):
        _wake(phone)
    elif key in ("KEYCODE_SLEEP", "223"):
        phone.state.awake = False
    elif key in ("KEYCODE_POWER", "26"):
        phone.state.awake = not phone.state.awake
    else:
        call.err("Error: Unknown command\n")
        return 1
    phone.state.refresh()
    return 0


def _wake(phone: Phone) -> None:
    phone.state.awake = not phone.faults.asleep_again
    phone.state.refresh()


def _reboot(phone: Phone, call: Call) -> int:
    phone.reboot()
    return 0


def _df(phone: Phone, call: Call) -> int:
    free_kib = 48_000_000 if phone.faults.no_space_after is None else phone.faults.no_space_after >> 10
    places = [argument for argument in call.arguments if not argument.startswith("-")] or ["/data"]
    call.out("Filesystem            1K-blocks     Used Available Use% Mounted on\n")
    for place in places:
        if not os.path.exists(os.path.join(call.folder, place)):
            call.err(f"df: {place}: No such file or directory\n")
            return 1
        call.out(f"/dev/block/dm-9       115608540 {115608540 - free_kib:>8} {free_kib:>9}  58% /data\n")
    return 0


def _taskset(phone: Phone, call: Call) -> Result:
    arguments = list(call.arguments)
    if not arguments or arguments[0].startswith("-"):
        call.err("taskset: only MASK COMMAND is known here\n")
        return 1
    mask = arguments.pop(0)
    if not re.fullmatch("[0-9a-fA-F]+", mask):  # toybox: no 0x
        call.err(f"taskset: bad mask '{mask}'\n")
        return 1
    online = (1 << len(phone.hardware.tops_khz)) - 1
    if not int(mask, 16) & online:
        call.err(f"taskset: failed to set {os.getpid()}'s affinity: Invalid argument\n")
        return 1
    return Becomes(arguments, {"PHONE_CORES": f"{int(mask, 16) & online:x}"})


def _nproc(phone: Phone, call: Call) -> int:
    cores = int(call.environment.get("PHONE_CORES", "0"), 16) or (1 << len(phone.hardware.tops_khz)) - 1
    call.out(f"{cores.bit_count()}\n")
    return 0


def _pidof(phone: Phone, call: Call) -> int:
    names = [argument for argument in call.arguments if not argument.startswith("-")]
    found = [process.pid for process in phone.processes if process.name in names]
    if found:
        call.out(" ".join(map(str, reversed(found))) + "\n")
    return int(not found)


def _matching(phone: Phone, call: Call) -> tuple[int, list[processes.Process]]:
    """Returns the signal and the processes that the arguments of pgrep or pkill name."""
    number, whole, exact, words = int(signal.SIGTERM), False, False, []
    for argument in call.arguments:
        name = argument[1:].removeprefix("SIG")
        if argument.startswith("-") and (name.isdigit() or name in _SIGNALS):
            number = int(name) if name.isdigit() else int(_SIGNALS[name])
        elif argument.startswith("-"):
            whole |= "f" in argument
            exact |= "x" in argument
        else:
            words.append(argument)
    pattern = re.compile(words[0] if words else "(?!)")
    match = pattern.fullmatch if exact else pattern.search
    others = [p for p in phone.processes if not (p.name == call.program and call.arguments == list(p.arguments[1:]))]
    return number, [process for process in others if match(process.line if whole else process.name)]


def _pgrep(phone: Phone, call: Call) -> int:
    _, found = _matching(phone, call)
    call.out("".join(f"{process.pid}\n" for process in found))
    return int(not found)


def _pkill(phone: Phone, call: Call) -> int:
    number, found = _matching(phone, call)
    for process in found:
        os.kill(process.pid, number)
    return int(not found)


def _ps(phone: Phone, call: Call) -> int:
    wanted = ["USER", "PID", "PPID", "NAME"]
    for before, argument in zip(["", *call.arguments], call.arguments, strict=False):
        if before == "-o":
            wanted = argument.upper().split(",")
    call.out(" ".join(word.rstrip("=") for word in wanted) + "\n")
    for process in phone.processes:
        cells = {
            "USER": "shell",
            "UID": "2000",
            "PID": str(process.pid),
            "PPID": str(process.parent),
            "NAME": process.name,
            "COMM": process.name[:15],
            "CMD": process.name,
            "ARGS": process.line,
        }
        call.out(" ".join(cells.get(word.rstrip("="), "-") for word in wanted) + "\n")
    return 0


def _uname(phone: Phone, call: Call) -> int:
    machine = {"arm64-v8a": "aarch64", "armeabi-v7a": "armv8l", "x86_64": "x86_64"}.get(
        phone.hardware.abis[0], "armv7l"
    )
    words = {"-s": "Linux", "-r": "5.4.210-qgki", "-m": machine, "-n": "localhost"}
    flags = call.arguments or ["-s"]
    call.out(" ".join(words.values() if flags == ["-a"] else [words.get(flag, "") for flag in flags]) + "\n")
    return 0


# Programs that only ask a service of Android -> its name, or "" where the first argument names it.
_OF_SERVICES = {"cmd": "", "dumpsys": "", "input": "input", "settings": "settings", "svc": "power"}
# Name -> what it does. Each is a script in /system/bin that asks the daemon.
PROGRAMS: dict[str, Callable[[Phone, Call], Result]] = {
    "benchmark_model": bench.run,  # pushed, not there from the beginning
    "cmd": _cmd,
    "df": _df,
    "dumpsys": _dumpsys,
    "getprop": _getprop,
    "input": _input,
    "nproc": _nproc,
    "pgrep": _pgrep,
    "pidof": _pidof,
    "pkill": _pkill,
    "ps": _ps,
    "reboot": _reboot,
    "settings": _settings,
    "svc": _svc,
    "taskset": _taskset,
    "uname": _uname,
}
