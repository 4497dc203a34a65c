"""The real adb client: which one, its server, and calls that end at a deadline, as adb itself never times out."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Sequence

from tflite_bench.adb import texts
from tflite_bench.adb.texts import Attached
from tflite_bench.errors import DeviceError, OptionsError
from tflite_bench.process import Runner

# Calls that only talk to the server, or ask the phone for nothing but an answer, take milliseconds. `adb connect`
# alone waits for 10 s before it gives up.
QUICK_SECS = 15.0
# More than any output that is wanted; a phone that floods the line must not fill this computer's memory.
MAX_OUTPUT_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class Called:
    """What one call of the client gave; ``exit_code`` is None where it was killed for taking too long."""

    stdout: str
    stderr: str
    exit_code: int | None

    @property
    def failed(self) -> bool:
        """Whether the client did not end with 0."""
        return self.exit_code != 0

    @property
    def message(self) -> str:
        """The client's words, for a person."""
        if self.exit_code is None:
            return "no answer in time"
        return texts.message(self.stdout, self.stderr) or f"adb ended with code {self.exit_code} and without a word"


def find_client(path: str | None = None) -> str:
    """Returns the adb client: ``path`` if given, else the one of the package adbutils, else the one on PATH.

    Raises:
        OptionsError: ``path`` is no program.
        DeviceError: there is none.
    """
    if path is not None:
        found = shutil.which(os.path.expanduser(path))
        if found is None:
            raise OptionsError(f"Expected the path of an adb program that can be run. Received: adb={path!r}.")
        return found
    bundled = _bundled_client()
    if bundled is not None:
        return bundled
    on_path = shutil.which("adb")
    if on_path is None:
        raise DeviceError(
            "No adb client: adbutils has none for this kind of computer and none is on PATH. Install Android's "
            "platform-tools, or name one with --adb=PATH."
        )
    return on_path


def _bundled_client() -> str | None:
    try:
        # adbutils is a dependency for this file alone: it puts a current adb client for Linux, macOS and Windows
        # onto the package index, so that installing with pip is all that a person has to do.
        from adbutils import binaries
    except ImportError:
        return None
    path = pathlib.Path(binaries.__file__ or "").with_name("adb")
    return str(path) if os.access(path, os.X_OK) and path.is_file() else None


def start_server(client: str) -> None:
    """Starts adb's server if none runs.

    Raises:
        DeviceError: it does not start, or something else listens on its port.
    """
    if os.environ.get("ADB_SERVER_SOCKET"):
        return  # Somebody else's server, maybe on another computer; the client refuses to start that.
    # Two clients that start it at once may get into each other's way; the second attempt then finds it running.
    called = call([client, "start-server"])
    if called.failed:
        called = call([client, "start-server"])
    if called.failed:
        raise DeviceError(_server_trouble(client, called))


def attached(client: str, runner: Runner | None = None) -> tuple[Attached, ...]:
    """Returns the phones that the server knows; ``runner`` as `call`.

    Raises:
        DeviceError: the server does not answer.
    """
    called = call([client, "devices"], runner=runner)
    if called.failed:
        raise DeviceError(_server_trouble(client, called))
    return texts.parse_devices(called.stdout)


def _server_trouble(client: str, called: Called) -> str:
    place = os.environ.get("ADB_SERVER_SOCKET") or f"port {os.environ.get('ANDROID_ADB_SERVER_PORT', '5037')}"
    return (
        f"The adb server ({place}) does not answer: {called.message}. Stop it with '{client} kill-server'; if another "
        "program holds the port, set ANDROID_ADB_SERVER_PORT to a free one; the home folder must be writable, "
        "as the server keeps its key there."
    )


def call(argv: Sequence[str], deadline_secs: float = QUICK_SECS, *, runner: Runner | None = None) -> Called:
    """Returns what the client printed; one that is not done after ``deadline_secs`` is killed.

    Args:
        argv: path of the client, and its arguments.
        deadline_secs: the most it may take.
        runner: what runs it; its `Runner.stop` ends the call.

    Raises:
        DeviceError: the client cannot be run.
    """
    try:
        # The client starts adb's server where none runs.
        ran = (runner or Runner()).run(argv, deadline_secs, MAX_OUTPUT_BYTES, leaves_daemons=True)
    except OSError as error:
        raise DeviceError(f"Cannot run the adb client {argv[0]}: {error.strerror}.") from error
    return Called(
        ran.stdout.decode(errors="replace"),
        ran.stderr.decode(errors="replace"),
        ran.exit_code if ran.cut is None else None,
    )
