"""A note on the phone itself that it is in use, for other computers, other users and other cache folders.

`tflite_bench.phone.lock` is sure, but only those see it who share its folder. The note outlives a process that was
killed, so it tells enough to see that it no longer holds: the phone was started since, or its writer is known to be
gone, or has not been heard of for hours.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import secrets
import shlex
import socket
import sys
from typing import Any

from tflite_bench.adb.connection import Adb
from tflite_bench.cache import computer_id
from tflite_bench.errors import DeviceBusyError
from tflite_bench.phone.files import ROOT, folder_of_this_computer

# A folder, as making one is the one step of a shell that either succeeds or finds that another was first.
FOLDER = f"{ROOT}/tflite_bench.lock"
# Every measurement touches the note. Waiting for a phone to cool or to come back takes minutes by default.
FORGOTTEN_SECS = 6 * 3600
# A folder without a note: its shell was killed between the making and the writing, or has not got so far.
_EMPTY_SECS = 60
_SOMEBODY = "another computer or user"
_NOTE = f"{FOLDER}/holder"
# For the shell: refreshes the note while measuring.
TOUCH = f"touch -c {_NOTE} 2>/dev/null"
_BOOT_ID = "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
# What `holder` reads.
LOOK = (
    f"echo boot: {_BOOT_ID}; "
    f"echo age: $(($(date +%s) - $(stat -c %Y {_NOTE} 2>/dev/null || stat -c %Y {FOLDER} 2>/dev/null || date +%s))); "
    f"[ -d {FOLDER} ] && echo folder: yes; "
    f"echo note: $(cat {_NOTE} 2>/dev/null)"
)


@dataclasses.dataclass(frozen=True)
class Note:
    """What a note tells.

    Attributes:
        host: the computer.
        pid: the process there.
        command: its command line.
        owner: folder on the phone of that user, computer and cache folder; whoever holds its lock is the only one
            to write such notes.
        token: says which note it is.
        boot_id: of the phone when it was written; the phone adds it.
    """

    host: str
    pid: int
    command: str
    owner: str
    token: str
    boot_id: str = ""

    def packed(self) -> str:
        """Returns letters that mean nothing to a shell."""
        return base64.urlsafe_b64encode(json.dumps(dataclasses.asdict(self)).encode()).decode()


class PhoneClaim:
    """The note on one phone. Its user holds the phone's `PhoneLock`."""

    def __init__(self, adb: Adb, shown: str, deadline_secs: float) -> None:
        self._adb = adb
        self._shown = shown
        self._deadline_secs = deadline_secs
        self._token = ""

    def take(self) -> None:
        """Writes the note; to be called again when the phone was away.

        Raises:
            DeviceBusyError: somebody else measures on the phone.
            DeviceLostError: the phone went away.
        """
        made, text = self._make(f"mkdir {FOLDER} 2>/dev/null")
        if made:
            return
        who = holder(text)
        if who:
            raise DeviceBusyError(_busy(self._shown, who))
        # Only if it is still the note that was looked at: another one may take it over at the same moment.
        gone = f"{FOLDER}.{secrets.token_hex(4)}"
        # Looking and moving are two steps, so what was moved is looked at again, and put back where it is another's.
        same, moved = (
            f'[ "$(cat {folder}/holder 2>/dev/null)" = {shlex.quote(_field("note", text))} ]'
            for folder in (FOLDER, gone)
        )
        move = f"{same} && mv {FOLDER} {gone} && {{ {moved} || {{ mv {gone} {FOLDER}; false; }}; }}"
        made, text = self._make(f"{move} && rm -rf {gone} && mkdir {FOLDER}")
        if not made:
            raise DeviceBusyError(_busy(self._shown, holder(text) or _SOMEBODY))

    def release(self) -> None:
        """Removes the note, if it is this one's.

        Raises:
            DeviceLostError: the phone went away.
        """
        note = read(self._adb.shell(LOOK, self._deadline_secs).stdout)
        if note is not None and note.token == self._token:
            self._adb.shell(f"rm -rf {FOLDER}", self._deadline_secs)
        self._token = ""

    @property
    def taken(self) -> bool:
        """Whether the phone is this one's, or may be: nobody answered when it was taken."""
        return bool(self._token)

    def _make(self, making: str) -> tuple[bool, str]:
        """Returns whether ``making`` the folder succeeded, having written the note then; and what is there now."""
        note = _own_note()
        before, self._token = self._token, note.token
        written = f"echo {note.packed()} {_BOOT_ID} > {_NOTE}"
        text = self._adb.shell(f"{making} && {written} && echo made; {LOOK}", self._deadline_secs).stdout
        made = text.startswith("made\n")
        self._token = self._token if made else before
        return made, text


def read(text: str) -> Note | None:
    """Returns the note in what the phone told; None where there is none or it cannot be read."""
    packed, _, boot_id = _field("note", text).partition(" ")
    try:
        data: Any = json.loads(base64.urlsafe_b64decode(packed))
        texts = {name: str(data[name]) for name in ("host", "command", "owner", "token")}
        return Note(pid=int(data["pid"]), boot_id=boot_id.strip(), **texts)
    except (ValueError, KeyError, TypeError):
        return None


def holder(text: str) -> str:
    """Returns who else uses the phone, in words, or "". For one that has the phone's `PhoneLock`, or found it free.

    Args:
        text: what the phone told to `LOOK`.
    """
    note, age = read(text), _field("age", text)
    secs = int(age) if re.fullmatch(r"-?\d+", age) else 0
    if note is None:
        there = _field("folder", text) == "yes"
        return _SOMEBODY if there and secs < _EMPTY_SECS else ""
    boot_id = _field("boot", text)
    started_since = bool(boot_id and note.boot_id and boot_id != note.boot_id)
    # Nobody else holds this computer's lock, so whoever wrote a note of the same owner has ended.
    gone = note.owner == folder_of_this_computer() or _is_dead(note)
    if started_since or gone or secs > FORGOTTEN_SECS:
        return ""
    return f"process {note.pid} on {note.host.split(' ')[0]} ({note.command})"


def _is_dead(note: Note) -> bool:
    """Whether the process was one of this computer and is gone."""
    if note.host != _host():
        return False
    try:
        os.kill(note.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False


def _own_note() -> Note:
    command = " ".join(sys.argv)[:200]
    return Note(_host(), os.getpid(), command, folder_of_this_computer(), secrets.token_hex(8))


def _host() -> str:
    """Names this computer; containers on it have process numbers of their own."""
    name = f"{socket.gethostname()} {computer_id()}"
    try:
        return f"{name} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return name


def _busy(shown: str, who: str) -> str:
    return (
        f"The phone {shown} is in use by {who}. Two measurements at a time would disturb each other: wait for it, or "
        f"take another phone. If nothing measures there: adb shell rm -r {FOLDER}"
    )


def _field(name: str, text: str) -> str:
    found = re.search(rf"^{name}:(.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""
