"""One phone by way of the adb client: commands, pushes, and getting through to it again.

adb 29 returns 0 for commands whose connection died, adb 36 prints "1 file pushed" for a push that failed, and
``adb connect`` returns 0 whatever happens. So a command ends with a marker that carries its exit code, and what was
pushed is checked by its hash (`tflite_bench.phone.files`).
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import time
from collections.abc import Mapping, Sequence

from tflite_bench.adb import texts
from tflite_bench.adb.client import QUICK_SECS, Called, attached, call
from tflite_bench.adb.texts import Trouble
from tflite_bench.errors import DeviceError, DeviceLostError
from tflite_bench.process import Runner

# An offline phone that comes back alone does so at adb's next attempt: after 3 s (client 36) or 10 s (client 29).
_RETURNS_ALONE_SECS = 12.0
_POLL_SECS = 0.5
# States of a phone beside adb's own words, see `Adb.reach`.
SILENT, STARTING = "silent", "starting"


class NoAnswerError(DeviceLostError):
    """A command did not end in time, and its client was killed: the phone is silent, or only that command is."""


class NoSpaceError(DeviceError):
    """The phone has no space left for a file."""


@dataclasses.dataclass(frozen=True)
class ShellResult:
    """What a command on the phone printed, and its own exit code."""

    stdout: str
    stderr: str
    exit_code: int


class Adb:
    """One phone, by way of the adb client.

    Attributes:
        client: path of the client.
        serial: how adb names the phone.
    """

    def __init__(self, client: str, serial: str) -> None:
        self.client = client
        self.serial = serial
        self._runner = Runner()
        self._refusal = ""  # what the last attempt to connect said, where it failed

    def interrupt(self) -> None:
        """Ends the call that another thread waits for, and refuses new ones until `resume`."""
        self._runner.stop()

    def resume(self) -> None:
        """Takes calls again."""
        self._runner.resume()

    def wait(self, secs: float) -> None:
        """Sleeps.

        Raises:
            DeviceError: `interrupt` was called.
        """
        self._runner.wait(secs)
        self._refuse_if_stopped()

    def _refuse_if_stopped(self) -> None:
        if self._runner.stopped:
            raise DeviceError(f"The work on the phone {self.serial} was stopped.")

    def _call(self, *arguments: str, deadline_secs: float = QUICK_SECS) -> Called:
        return self._run(["-s", self.serial, *arguments], deadline_secs)

    def _run(self, arguments: Sequence[str], deadline_secs: float = QUICK_SECS) -> Called:
        self._refuse_if_stopped()
        called = call([self.client, *arguments], deadline_secs, runner=self._runner)
        self._refuse_if_stopped()
        return called

    def shell(self, command: str, deadline_secs: float = QUICK_SECS) -> ShellResult:
        """Returns what ``command`` printed on the phone, and its exit code.

        Args:
            command: text for the phone's shell; names in it are quoted by the caller.
            deadline_secs: after so many seconds the client is killed and the phone counts as lost.

        Raises:
            NoAnswerError: it took too long.
            DeviceLostError: the connection ended before the command did.
        """
        marker = secrets.token_hex(12)
        # In a subshell, so that `exit` in the command does not skip the marker; on a line of its own, so that a
        # comment or a here-document at the end of the command does not swallow the bracket.
        text = f"(\n{command}\n); code=$?; echo {marker} >&2; echo; echo {marker} $code"
        called = self._call("shell", text, deadline_secs=deadline_secs)
        result = _unmarked(called.stdout, called.stderr, marker)
        if result is None:
            told = Called("", texts.own_lines(called.stderr), called.exit_code)
            kind = NoAnswerError if called.exit_code is None else DeviceLostError
            raise kind(self._lost(told, deadline_secs))
        return result

    def sections(self, commands: Mapping[str, str], deadline_secs: float = QUICK_SECS) -> dict[str, str]:
        """Returns what each command printed on standard output, all run in one call, by their names.

        Raises:
            DeviceLostError: as `shell`.
        """
        marker = secrets.token_hex(8)
        script = "\n".join(f"echo; echo {marker}\n{command}" for command in commands.values())
        _, *answers = self.shell(script, deadline_secs).stdout.split(f"\n{marker}\n")
        if len(answers) != len(commands):
            raise DeviceLostError(f"The phone {self.serial} answered {len(answers)} of {len(commands)} questions.")
        return dict(zip(commands, answers, strict=True))

    def push(self, local: str, remote: str, deadline_secs: float) -> None:
        """Copies a file to the phone; what arrives is not checked here.

        Args:
            local: an absolute path, as adb would take one that begins with a dash for an option.
            remote: where to put it; nobody may rely on what is there after an error.
            deadline_secs: after so many seconds the client is killed and the phone counts as lost.

        Raises:
            DeviceLostError: the connection ended, or it took too long.
            DeviceError: the phone has no space left, or refuses the file.
        """
        called = self._call("push", local, remote, deadline_secs=deadline_secs)
        if called.exit_code is None:
            # The server still holds the stream of the killed client; only the end of the connection ends it.
            self._connect_again()
            raise DeviceLostError(self._lost(called, deadline_secs))
        if called.failed:
            kind = texts.trouble(called.stdout, called.stderr)
            if kind is Trouble.NO_SPACE:
                raise NoSpaceError(f"The phone {self.serial} has no space left: {called.message}.")
            refused = ("Permission denied", "Read-only file system", "Is a directory", "cannot stat")
            if any(words in called.message for words in refused):
                raise DeviceError(f"Cannot copy {local} to the phone {self.serial}: {called.message}.")
            raise DeviceLostError(self._lost(called, deadline_secs))

    def state(self) -> str:
        """Returns adb's word for the phone's state; ``not found`` where it is not attached.

        A phone that has fallen silent is still called ``device``.
        """
        called = self._call("get-state")
        if not called.failed:
            return called.stdout.strip()
        known = attached(self.client, self._runner)
        self._refuse_if_stopped()
        for phone in known:  # says more: "authorizing", "no permissions (...)"
            if phone.serial == self.serial:
                return phone.state
        return texts.NOT_FOUND

    def answers(self, deadline_secs: float = QUICK_SECS) -> bool:
        """Whether the phone carries out a command now."""
        try:
            return self.shell("true", deadline_secs).exit_code == 0
        except DeviceLostError:
            return False

    def reach(self) -> str:
        """Tries once to get through to the phone, in at most a minute; returns its state, ``device`` on success.

        An offline phone is given the time in which it comes back by itself; then one on the network is disconnected
        and connected again. ``silent`` means that adb takes it for present, but it does not answer; ``starting``, that
        it answers, but Android's services, which settings are put back by, do not run yet.
        """
        state = self.state()
        deadline = time.monotonic() + _RETURNS_ALONE_SECS
        while state == "offline" and time.monotonic() < deadline:
            self.wait(_POLL_SECS)
            state = self.state()
        if state == texts.DEVICE:
            state = self._readiness()
        if state in (SILENT, "offline", texts.NOT_FOUND):
            self._connect_again()
            state = self.state()
            if state == texts.DEVICE:
                state = self._readiness()
        return state

    def advice(self, state: str) -> str:
        """Returns what to do about the phone in ``state``, with what the last attempt to connect to it said."""
        if state != texts.NOT_FOUND or not self._refusal:
            return texts.advice(state)
        return (
            f"{self._refusal[0].upper()}{self._refusal[1:]}. Check that its wireless debugging is on, and the address "
            "and port that it shows there: the port changes."
        )

    def _readiness(self) -> str:
        """Returns the state of a phone that adb takes for present."""
        try:
            result = self.shell("getprop sys.boot_completed")
        except DeviceLostError:
            return SILENT
        # One that lacks the program cannot be asked.
        return STARTING if result.exit_code == 0 and result.stdout.strip() != "1" else texts.DEVICE

    def _connect_again(self) -> None:
        """Ends the connection and makes a new one, as far as that can be done from here."""
        if not texts.is_network(self.serial):
            self._call("reconnect")  # for USB only: on the network it loses the phone
            return
        # Sometimes the server still holds the old one and says "already connected".
        for _ in range(2):
            self._run(["disconnect", self.serial])
            called = self._run(["connect", self.serial])
            self._refusal = "" if texts.connected(called.stdout, called.stderr) else called.message
            # A phone that refuses, or says nothing for 10 s, does so again.
            if not texts.connected(called.stdout, called.stderr) or self.state() == texts.DEVICE:
                return

    def _lost(self, called: Called, deadline_secs: float) -> str:
        if called.exit_code is None:
            return f"The phone {self.serial} did not answer within {deadline_secs:.0f} s."
        kind = texts.trouble(called.stdout, called.stderr)
        if kind in (Trouble.UNKNOWN, Trouble.SERVER):
            return f"The connection to the phone {self.serial} ended in the middle: {called.message}."
        return f"The phone {self.serial} went away ({kind.value}). {self.advice(kind.value)}"


def _unmarked(stdout: str, stderr: str, marker: str) -> ShellResult | None:
    """Returns the result without its markers; None where one is missing: then a part of the output is, too."""
    end = re.search(rf"\r?\n{marker} (\d+)\s*\Z", stdout)
    if end is None:
        return None
    stdout = stdout[: end.start()]
    line = f"{marker}\n"
    if line in stderr:
        return ShellResult(stdout, stderr.replace(line, ""), int(end.group(1)))
    # Phones before Android 7 send one stream, with the line ends of a terminal.
    stdout = stdout.replace("\r\n", "\n")
    if line in stdout:
        return ShellResult(stdout.replace(line, ""), "", int(end.group(1)))
    return None
