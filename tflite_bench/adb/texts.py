"""What the adb client prints: its list of phones, and the kinds of its failures. Pure.

The texts are those of the clients 29 and 36. Where they differ they differ in the stream, in the prefix ("error:",
"adb:", "adb: error:") and in the ends of lines, so both streams are searched for the words that they share.
"""

from __future__ import annotations

import dataclasses
import enum
import re

DEVICE = "device"  # the state of a phone that takes commands
NOT_FOUND = "not found"  # our word for one that adb does not list

# host:port, the form in which phones on the network are named; only those can be connected again.
_NETWORK = re.compile(r"(?:[^\s:]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
_DAEMON_NEWS = re.compile(r"^\* .*$\n?", re.MULTILINE)  # "* daemon started successfully" and the like
# "x: 1 file pushed, 0 skipped. 498.0 MB/s (...)", which adb 36 says also of a push that failed; "[ 45%] x".
_COPY_NEWS = re.compile(r"^(?:.*: \d+ files? (?:pushed|pulled), .*|\[ *\d+%\] .*)$\n?", re.MULTILINE)

_OWN_WORDS = ("adb: ", "error: ", "failed to ", "cannot connect", "protocol fault", "ADB server", "adb server")
_MAX_MESSAGE = 300


class Trouble(enum.Enum):
    """Why a call of the adb client failed."""

    UNAUTHORIZED = "unauthorized"
    NO_PERMISSIONS = "no permissions"
    OFFLINE = "offline"
    NOT_FOUND = "not found"
    NO_SPACE = "no space"
    SERVER = "server"
    UNKNOWN = "unknown"


_WORDS = (
    (Trouble.UNAUTHORIZED, ("device unauthorized", "failed to authenticate", "device still authorizing")),
    (Trouble.NO_PERMISSIONS, ("insufficient permissions", "no permissions")),
    (Trouble.NO_SPACE, ("No space left on device",)),
    (Trouble.OFFLINE, ("device offline", "device is offline")),
    (Trouble.NOT_FOUND, ("not found", "no devices/emulators found", "device not found")),
    (Trouble.SERVER, ("ACK", "cannot connect to daemon", "protocol fault", "failed to start daemon")),
)

_ADVICE = {
    "unauthorized": (
        "It has not accepted this computer's key: unlock it and accept the dialog 'Allow USB debugging?'. "
        "If there is none, switch USB debugging off and on in its developer options."
    ),
    "authorizing": "Unlock it and accept the dialog 'Allow USB debugging?'.",
    "offline": (
        "It is known but does not answer: plug the cable in again, or, on the network, switch its wireless "
        "debugging off and on."
    ),
    "no permissions": (
        "This user may not open the USB device: install the udev rules for Android (on Debian and Ubuntu: "
        "apt install android-sdk-platform-tools-common), join the group plugdev, and plug it in again."
    ),
    "recovery": "It is in recovery mode: start Android (adb reboot).",
    "sideload": "It waits for an update: start Android (adb reboot).",
    "bootloader": "It is in its bootloader: start Android (fastboot reboot).",
    "starting": "Android is still starting: unlock the phone if it asks for its code.",
    NOT_FOUND: "Attach it with USB debugging switched on, or connect it with: adb connect HOST:PORT",
}


@dataclasses.dataclass(frozen=True)
class Attached:
    """One line of ``adb devices``.

    Attributes:
        serial: as adb names the phone; for one on the network host:port.
        state: ``device`` if it takes commands, else ``offline``, ``unauthorized`` and so on.
    """

    serial: str
    state: str

    @property
    def usable(self) -> bool:
        """Whether it takes commands."""
        return self.state == DEVICE


def parse_devices(text: str) -> tuple[Attached, ...]:
    """Returns the phones of ``adb devices``, without ``-l``: only there a tab ends the serial number."""
    lines = [line for line in text.splitlines() if "\t" in line and not line.startswith("* ")]
    pairs = [line.rpartition("\t") for line in lines]
    return tuple(Attached(serial, state.strip()) for serial, _, state in pairs)


def is_network(serial: str) -> bool:
    """Whether ``serial`` is host:port, which can be connected and disconnected."""
    return _NETWORK.fullmatch(serial) is not None


def trouble(stdout: str, stderr: str) -> Trouble:
    """Returns what a failed call of the client tells."""
    text = message(stdout, stderr)
    for kind, words in _WORDS:
        if any(word in text for word in words):
            return kind
    return Trouble.UNKNOWN


def message(stdout: str, stderr: str) -> str:
    """Returns the end of the client's words on one line, without what its server tells of itself, and of progress."""
    text = _COPY_NEWS.sub("", _DAEMON_NEWS.sub("", f"{stderr}\n{stdout}").replace("\r", "\n"))
    return " ".join(text.split())[-_MAX_MESSAGE:]


def own_lines(stderr: str) -> str:
    """Returns what the client itself said, beside what the command on the phone wrote to standard error."""
    return "".join(line for line in stderr.splitlines(keepends=True) if line.startswith(_OWN_WORDS))


def advice(state: str) -> str:
    """Returns what to do about a phone in ``state``."""
    for words, text in _ADVICE.items():
        if state.startswith(words):
            return text
    return "Plug it in again, or start it anew."


def connected(stdout: str, stderr: str) -> bool:
    """Whether ``adb connect`` did it: its exit code is 0 whatever happens."""
    text = message(stdout, stderr)
    return text.startswith(("connected to", "already connected to"))
