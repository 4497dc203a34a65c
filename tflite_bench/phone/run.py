"""One run of ``benchmark_model`` on a phone as one command for its shell, and what that command prints. Pure."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
import re
import secrets
import shlex
from collections.abc import Sequence

from tflite_bench.adb.connection import ShellResult

_STALE_CODE = 86  # of no signal and no program here; with the marker it cannot be mistaken anyway
# timeout's own code; 137 where the program had to be killed, 143 from old ones of Android (toybox).
_TIMED_OUT_CODES = (124, 137, 143)
_GRACE_SECS = 5
# Number, size, time of the last writing (whole seconds: adb sets it), time of the last change of any kind, which nobody
# can set; in whole seconds it tells too little.
_WRITTEN, _CHANGED = (
    rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d{part} [+-]\d{{4}}" for part in (r"(?:\.\d+)?", r"\.(?!0{9})\d{9}")
)
_TELLING = re.compile(rf"\d+ \d+ {_WRITTEN} {_CHANGED} \d+ \d+ {_WRITTEN} {_CHANGED}")


@dataclasses.dataclass(frozen=True)
class PhoneRun:
    """What to run.

    Attributes:
        folder: where everything lies on the phone.
        program, program_sha256: path and hash of the executable.
        model, model_sha256: likewise of the model.
        arguments: of the executable.
        result: path of the file that it writes its result to, or None.
        mask: cores that it may run on, or None for all.
        known: what the file system told of both files (`PhoneAnswer.seen`) when they were hashed, or "": while it tells
            the same, they are not hashed again.
        limit_secs: after so many seconds the phone ends it, whether or not anybody is connected; None where the
            phone has no program ``timeout``.
    """

    folder: str
    program: str
    program_sha256: str
    model: str
    model_sha256: str
    arguments: Sequence[str]
    result: str | None
    mask: int | None
    limit_secs: float | None
    known: str = ""


@dataclasses.dataclass(frozen=True)
class PhoneAnswer:
    """What came of it.

    Attributes:
        stdout, stderr, exit_code: of the executable.
        result: content of the result file, or None where there is none.
        stale: what was wrong with the files, or "" where those that were asked for were run.
        ran: whether the executable was started; not where the files were wrong already before.
        seen: what the file system tells of both files that were run, each precise enough to show that one was
            replaced or written to; "" where it does not.
    """

    stdout: str
    stderr: str
    exit_code: int
    result: bytes | None
    stale: str
    ran: bool
    seen: str = ""

    def timed_out(self, run: PhoneRun, took_secs: float) -> bool:
        """Whether the phone ended it for taking too long."""
        return run.limit_secs is not None and self.exit_code in _TIMED_OUT_CODES and took_secs >= run.limit_secs


def command(run: PhoneRun, marker: str) -> str:
    """Returns the text for the phone's shell.

    The files are hashed right before the run, unless the file system tells of them (number, size, times) what it told
    when they were hashed. What it tells right before and after the run must be equal: then nobody replaced them
    meanwhile.
    """
    files = f"{shlex.quote(run.program)} {shlex.quote(run.model)}"
    look = f"$(echo $(stat -c '%i %s %y %z' {files} 2>/dev/null))"
    words = [run.program, *run.arguments]
    if run.mask is not None:
        words = ["taskset", f"{run.mask:x}", *words]  # hexadecimal, and Android's takes no 0x
    if run.limit_secs is not None:
        words = ["timeout", "-k", str(_GRACE_SECS), str(math.ceil(run.limit_secs)), *words]
    quoted_result = shlex.quote(run.result) if run.result else ""
    lines = [
        f"cd {shlex.quote(run.folder)}",
        f"rm -f {quoted_result}" if run.result else "",
        f"before={look}",
        f'[ "$before" = {shlex.quote(run.known)} ] || {{' if run.known else "{",
        # Through their standard inputs: else their names, which are hashes, would be among what is compared.
        f"sums=$(sha256sum < {shlex.quote(run.program)}; sha256sum < {shlex.quote(run.model)})",
        f'case $sums in {run.program_sha256}*{run.model_sha256}*) ;; *) echo; echo {marker} "$sums"; '
        f"exit {_STALE_CODE};; esac",
        "}",
        shlex.join(words),
        "code=$?",
        f"after={look}",
        f'[ "$before" = "$after" ] && echo && echo {marker} same $before || {{ echo; echo {marker} changed; }}',
        f"[ -f {quoted_result} ] && base64 {quoted_result} && rm -f {quoted_result}" if run.result else "",
        "exit $code",
    ]
    return "\n".join(filter(None, lines))


def new_marker() -> str:
    """Returns what separates the executable's output from the rest; no output can hold it by chance or on purpose."""
    return secrets.token_hex(12)


def read(result: ShellResult, marker: str) -> PhoneAnswer:
    """Returns what the shell's output for `command` tells."""
    stdout, found, rest = result.stdout.rpartition(f"\n{marker} ")
    if not found:  # the shell itself was ended, or could not read the command
        stale = "" if result.exit_code else "The phone did not tell whether its files stayed what they were."
        return PhoneAnswer(result.stdout, result.stderr, result.exit_code, None, stale, True)
    line, _, encoded = rest.partition("\n")
    word, _, seen = line.partition(" ")
    ran = word in ("same", "changed")
    stale = ""
    if not ran:
        stale = f"The files on the phone are not those that were put there: {' '.join(rest.split())}"
    elif word == "changed":
        stale = "The model or the program on the phone was replaced while it ran."
    return PhoneAnswer(
        stdout,
        result.stderr,
        result.exit_code,
        _decoded(encoded) if ran else None,
        stale,
        ran,
        seen.strip() if word == "same" and _TELLING.fullmatch(seen.strip()) else "",
    )


def _decoded(text: str) -> bytes | None:
    packed = re.sub(r"\s", "", text)
    try:
        return base64.b64decode(packed, validate=True) if packed else None
    except binascii.Error:
        return None
