"""Runs one verb: parses its flags, calls its ``main`` and turns errors into exit codes.

| code | meaning |
|---|---|
| 0 | done |
| 1 | a mistake that the user can mend, told in a line or two |
| 2 | bad flags |
| 3 | trouble with the device that measures latency |
| 130 | stopped with Ctrl-C |
| 143, 129 | stopped with SIGTERM or SIGHUP while a device was in use, which is left in order |

A verb is a module with two names. ``FLAGS`` is an ``absl.flags.FlagValues`` of its own, so that two
verbs may each have an ``--epochs``. ``main(argv)`` returns nothing, or an exit code. A verb that takes
more than flags says in ``ARGUMENTS`` what, and finds it behind the program's name in ``argv``. An exception
that is none of the above is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

from absl import flags

from tfmeta.bin import shared_flags
from tfmeta.errors import UserError

DONE = 0
USER_ERROR = 1
BAD_FLAGS = 2
DEVICE_ERROR = 3
STOPPED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE

_FULL = ("No space left on device", "disk is full", "Disk quota exceeded", "File too large")

_HELP = frozenset({"-h", "--h", "-help", "--help"})


class Verb(Protocol):
    """What a module must have to be a verb."""

    FLAGS: flags.FlagValues

    def main(self, argv: Sequence[str]) -> int | None:
        """Does the work. ``FLAGS`` is parsed, ``argv`` holds the name of the program, and what ``ARGUMENTS`` told."""


def run(verb: Verb, name: str, arguments: Sequence[str], description: str = "") -> int:
    """Returns the exit code of ``verb``, having told of any error on standard error.

    Args:
        verb: the module to run.
        name: what the user typed to get here ("tfmeta train"), for messages.
        arguments: what the user typed after that.
        description: one line about the verb, for ``--help``.
    """
    if "debug" not in verb.FLAGS:
        shared_flags.debug(verb.FLAGS)

    def action() -> int:
        return _answer(verb, name, arguments, description)

    return guard(action, name, debug=lambda: verb.FLAGS["debug"].value)


def guard(action: Callable[[], int], name: str, *, debug: Callable[[], bool] | None = None) -> int:
    """Returns what ``action`` returns, or the exit code of the error that it raises.

    Args:
        action: the work.
        name: what the user typed, for messages.
        debug: whether to show the traceback, asked when there is one.
    """
    try:
        status = action()
        sys.stdout.flush()  # a closed pipe or a full disk shows here, not after the last line
    except KeyboardInterrupt as end:
        _tell(name, "Stopped. Run the same command again to go on.")
        return getattr(end, "exit_code", STOPPED)  # of a signal that asked the process to end
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Python would complain on its last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        explained = _explain(error)
        if explained is None:
            raise
        if debug is not None and debug():
            traceback.print_exc()
        status, text = explained
        _tell(name, text)
    return status


def command_line(flag_values: flags.FlagValues, verb: str) -> str:
    """Returns the command that gives ``verb`` the flags it has, for records; a shell can run it."""
    given: list[str] = []
    for name in sorted(flag_values):
        flag = flag_values[name]
        if not flag.present:
            continue
        if isinstance(flag, flags.MultiFlag):  # absl would write its values as one text of several lines
            given += [f"--{name}={value}" for value in flag.value]
        else:
            given.append(flag.serialize())
    return shlex.join(["tfmeta", verb, *(text for text in given if text)])


def _answer(verb: Verb, name: str, arguments: Sequence[str], description: str) -> int:
    # Asked for before parsing: --help must work where a required flag is missing.
    if not _HELP.isdisjoint(arguments):
        print(_help_page(verb, name, description))
        return DONE
    try:
        rest = _parse(verb.FLAGS, name, arguments, getattr(verb, "ARGUMENTS", ""))
    except flags.Error as error:
        _tell(name, f"{error}\nAll flags: {name} --help")
        return BAD_FLAGS
    return verb.main([name, *rest]) or DONE


def _parse(flag_values: flags.FlagValues, name: str, arguments: Sequence[str], expected: str) -> list[str]:
    """Returns what was typed besides flags: something where ``expected`` names it, else nothing."""
    if flag_values.is_parsed():  # a second run in this process starts from the defaults again
        flag_values.unparse_flags()
    if expected:
        flag_values.set_gnu_getopt(True)  # flags may follow
    _, *rest = flag_values([name, *arguments])
    if rest and not expected:
        raise flags.Error(f"Expected flags only, like --name=value. Received: {rest[0]!r}.")
    if expected and not rest:
        raise flags.Error(f"Expected {expected}. Received: flags only.")
    return rest


def _help_page(verb: Verb, name: str, description: str) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    flag_values, expected = verb.FLAGS, getattr(verb, "ARGUMENTS", "")
    lines = [f"{name}: {description}" if description else name, ""]
    lines += [f"Usage: {name} {expected} --flag=value ...", ""] if expected else []
    lines.append("Flags:")
    for key in flag_values:
        flag = flag_values[key]
        if key != flag.name:  # a one-letter alias
            continue
        notes = [] if flag.boolean else [flag.parser.syntactic_help]
        if flag.default is not None:
            notes.append(f"default: {flag.default_as_str[1:-1]}")
        notes = [note for note in notes if note]
        text = f"{flag.help} ({'; '.join(notes)})" if notes else flag.help
        lines.append(f"  --{'[no]' if flag.boolean else ''}{key}")
        lines += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    lines += ["  --flagfile", "      File to read flags from, one a line."]
    return "\n".join(lines)


def _explain(error: Exception) -> tuple[int, str] | None:
    """Returns the exit code and the text for an error that is not a bug, and None for a bug."""
    # Raised only by modules that are loaded, so a verb that measures nothing imports no benchmark.
    bench = sys.modules.get("tflite_bench.errors")
    if bench is not None and isinstance(error, bench.BenchError):
        if isinstance(error, bench.OptionsError):
            return BAD_FLAGS, str(error)
        return USER_ERROR if isinstance(error, bench.ModelFileError) else DEVICE_ERROR, str(error)
    if isinstance(error, UserError):
        return USER_ERROR, str(error)
    # TensorFlow, HDF5 and SQLite each have a class of their own for a full disk, and one text.
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or any(text in str(error) for text in _FULL):
        return USER_ERROR, f"{_reason(error)}\nFree some space and run the same command again."
    if isinstance(error, OSError):
        return USER_ERROR, _reason(error)
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}."
    return f"{error}".partition("\n")[0]


def _tell(name: str, text: str) -> None:
    tqdm = sys.modules.get("tqdm")
    for bar in list(getattr(tqdm.tqdm, "_instances", ())) if tqdm is not None else ():
        bar.close()  # else it would draw itself once more, over or below the message
    print(f"{name}: {text}", file=sys.stderr)
