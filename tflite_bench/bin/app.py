"""Runs one verb: parses its flags, calls its ``main`` and turns errors into exit codes.

| code | meaning |
|---|---|
| 0 | done |
| 1 | a model file that cannot be measured, or a download that cannot be had, told in a line or two |
| 2 | bad flags |
| 3 | trouble with the device |
| 4 | `--require_ok` was given, and a measurement cannot be relied on |
| 130 | stopped with Ctrl-C |
| 143, 129 | stopped with SIGTERM or SIGHUP, devices left in order |

A verb is a module with two names. ``FLAGS`` is an ``absl.flags.FlagValues`` of its own, so that two
verbs may have flags of the same name. ``main(paths)`` gets what was typed besides flags. An
exception that is none of the above is a bug and keeps its traceback.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Protocol

from absl import flags

from tflite_bench import signals
from tflite_bench.errors import BenchError, DownloadError, ModelFileError, OptionsError
from tflite_bench.messages import visible
from tflite_bench.types import Measurement, Verdict

DONE = 0
USER_ERROR = 1
BAD_FLAGS = 2
DEVICE_ERROR = 3
NOT_OK = 4
STOPPED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE

HELP = frozenset({"-h", "--h", "-help", "--help"})


class NotOkError(Exception):
    """A measurement cannot be relied on, and the person asked to be told by the exit code."""


class Verb(Protocol):
    """What a module must have to be a verb."""

    FLAGS: flags.FlagValues
    USAGE: str

    def main(self, paths: Sequence[str]) -> None:
        """Does the work. ``FLAGS`` is parsed."""


def run(verb: Verb, name: str, arguments: Sequence[str], description: str) -> int:
    """Returns the exit code of ``verb``, having told of any error on standard error.

    Args:
        verb: the module to run.
        name: what the user typed to get here ("tflite-bench run"), for messages.
        arguments: what the user typed after that.
        description: one line about the verb, for ``--help``.
    """
    try:
        if not HELP.isdisjoint(arguments):  # before parsing: it must work beside a bad flag
            print(_help_page(verb, name, description))
        else:
            with signals.in_order():
                verb.main(_parse(verb.FLAGS, name, arguments))
        sys.stdout.flush()  # a closed pipe or a full disk shows here, not after the last line
    except signals.Terminated as end:
        tell(name, "Stopped.")
        return end.exit_code
    except KeyboardInterrupt:
        tell(name, "Stopped.")
        return STOPPED
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Python would complain on its last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (flags.Error, OptionsError) as error:
        tell(name, f"{error}\nAll flags: {name} --help")
        return BAD_FLAGS
    except NotOkError as error:
        tell(name, str(error))
        return NOT_OK
    except BenchError as error:
        tell(name, str(error))
        return USER_ERROR if isinstance(error, ModelFileError | DownloadError) else DEVICE_ERROR
    except OSError as error:
        tell(name, f"Cannot write the result: {error.strerror or error}.")
        return USER_ERROR
    return DONE


def require_ok(measured: Iterable[Measurement]) -> None:
    """Ends with the exit code for it where not all are OK.

    Raises:
        NotOkError: some are not.
    """
    bad = sum(one.verdict is not Verdict.OK for one in measured)
    if bad:
        raise NotOkError(f"{bad} of the measurements cannot be relied on.")


def tell(name: str, text: str) -> None:
    """Writes ``text`` to standard error, after the name of the program."""
    print(f"{name}: {visible(text, keep=chr(10))}", file=sys.stderr)


def _parse(flag_values: flags.FlagValues, name: str, arguments: Sequence[str]) -> list[str]:
    if flag_values.is_parsed():  # a second run in this process starts from the defaults again
        flag_values.unparse_flags()
    flag_values.set_gnu_getopt(True)  # flags may follow the paths
    _, *paths = flag_values([name, *arguments])
    return paths


def _default(flag: flags.Flag) -> str:
    if isinstance(flag.default, list):
        return ", ".join(map(str, flag.default)) or "none"
    return flag.default_as_str[1:-1] or "none"


def _help_page(verb: Verb, name: str, description: str) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    lines = [f"{name} {verb.USAGE}", description, "", "Flags:"]
    for key in verb.FLAGS:
        flag = verb.FLAGS[key]
        lines.append(f"  --{'[no]' if flag.boolean else ''}{key}")
        notes = [] if flag.boolean else [flag.parser.syntactic_help]
        notes.append("no default" if flag.default is None else f"default: {_default(flag)}")
        notes = [note for note in notes if note]
        text = f"{flag.help} ({'; '.join(notes)})" if notes else flag.help
        lines += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    lines += ["  --flagfile", "      File to read flags from, one a line."]
    return "\n".join(lines)
