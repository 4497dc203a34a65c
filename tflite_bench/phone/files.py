"""Files on a phone: one folder of our own, each file under the hash of its content, and checked by that hash.

Neither a name nor a size tells what a file holds, and adb checks nothing that it copies. So a file goes to the phone
under a temporary name, is hashed there and only then gets its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import re
import secrets
import shlex
import socket

from tflite_bench.adb.connection import Adb, NoSpaceError
from tflite_bench.cache import cache_folder, computer_id
from tflite_bench.errors import DeviceError, DeviceLostError, ModelFileError
from tflite_bench.phone.identity import Identity

ROOT = "/data/local/tmp"  # the one place where adb's shell may both write and run programs
PREFIX = "tflite_bench-"
# Files that nothing uses at the moment stay for the next time, up to this much; beyond it the oldest go.
KEPT_BYTES = 512 * 2**20
_ATTEMPTS = 2
# The slowest that is still worth waiting for: a network phone at the edge of its range, an old phone's processor.
_PUSH_BYTES_PER_SEC = 2**20
_HASH_BYTES_PER_SEC = 10 * 2**20


def folder_of_this_computer() -> str:
    """Returns the folder on a phone that belongs to this user of this computer.

    Its lock lies in the cache folder, so the cache folder is in the name: whoever holds the lock may empty it.
    """
    owner = f"{socket.gethostname()}\n{computer_id()}\n{os.getuid()}\n{cache_folder()}"
    return f"{ROOT}/{PREFIX}{hashlib.sha256(owner.encode(errors='surrogateescape')).hexdigest()[:12]}"


class PhoneFiles:
    """The folder on one phone. Its user holds the phone's lock.

    Attributes:
        folder: where it is.
        seen: by the paths of an executable and a model, what the phone's file system told of them when their hashes
            were right, see `tflite_bench.phone.run.PhoneAnswer.seen`.
    """

    def __init__(self, adb: Adb, hang_secs: float) -> None:
        self.folder = folder_of_this_computer()
        self._adb = adb
        self._hang_secs = hang_secs
        self.seen: dict[tuple[str, str], str] = {}
        self._present: dict[str, int] = {}  # name -> size in bytes, the one used longest ago first
        self._users: dict[str, int] = {}

    def prepare(self) -> None:
        """Makes the folder, ends what a killed process left running there and removes what it left half written.

        To be called again whenever the phone was away.

        Raises:
            DeviceLostError: the phone went away.
            DeviceError: the folder cannot be made.
        """
        self.end_leftovers()
        folder = shlex.quote(self.folder)
        result = self._adb.shell(
            f"mkdir -p {folder} && chmod 700 {folder} && cd {folder} && rm -f *.part *.result && ls -l", self._hang_secs
        )
        if result.exit_code:
            raise DeviceError(
                f"Cannot use {self.folder} on the phone {self._adb.serial}: {' '.join(result.stderr.split())}."
            )
        listed = re.findall(r"^-\S+\s+\d+\s+\S+\s+\S+\s+(\d+)\s.*\s([\w.-]+)$", result.stdout, re.MULTILINE)
        present = {name: int(size) for size, name in listed}
        self._present = {name: size for name, size in self._present.items() if name in present} | present

    def end_leftovers(self) -> None:
        """Ends programs of the folder that outlived the connection that started them: they would disturb.

        Raises:
            DeviceLostError: the phone went away.
        """
        # Matched against whole command lines. The brackets keep the pattern from matching the shell that it is in.
        name = self.folder.rpartition("/")[2]
        self._adb.shell(f"pkill -9 -f {shlex.quote(f'[{name[0]}]{name[1:]}')}; true", self._hang_secs)

    def put(self, local: pathlib.Path, sha256: str, suffix: str) -> str:
        """Returns the path on the phone of a file with that content, pushed if it is not there.

        A file that was there before is not hashed here but by each run (`tflite_bench.phone.run`), right before it.

        Args:
            local: the file here.
            sha256: the hash that it has, or had when it was read.
            suffix: the end of its name on the phone.

        Raises:
            DeviceLostError: the phone went away.
            DeviceError: the phone has no space left, refuses it, or damages it again and again.
            ModelFileError: the file here changed since it was read, or is gone.
        """
        name = f"{sha256}{suffix}"
        try:
            size = local.stat().st_size
        except OSError as error:
            raise ModelFileError(f"Cannot read {local}: {error.strerror}.") from error
        if name not in self._present:
            self._make_room(KEPT_BYTES - size)
            self._push(local, name, sha256, size)
        self._present.pop(name, None)
        self._present[name] = size  # to the end: the last used
        return f"{self.folder}/{name}"

    def hold(self, remote: str) -> None:
        """Says that a file is needed until as many calls of `release`."""
        name = remote.rpartition("/")[2]
        self._users[name] = self._users.get(name, 0) + 1

    def release(self, remote: str) -> None:
        """Says that a file is not needed any more. It stays for the next time, as long as there is room."""
        name = remote.rpartition("/")[2]
        self._users[name] = max(0, self._users.get(name, 0) - 1)

    def forget(self) -> None:
        """Makes `put` push every file anew: what was there may have changed."""
        self._present.clear()
        self.seen.clear()

    def close(self, *, keep: bool) -> None:
        """Removes the folder, or only what nobody can use again.

        Raises:
            DeviceLostError: the phone went away.
        """
        self.end_leftovers()
        folder = shlex.quote(self.folder)
        command = f"cd {folder} && rm -f *.part *.result" if keep else f"rm -rf {folder}"
        self._adb.shell(f"{command}; true", self._hang_secs)

    def hash_secs(self, size_bytes: int) -> float:
        """Returns how long the phone may take to hash so much."""
        return size_bytes / _HASH_BYTES_PER_SEC

    def _push(self, local: pathlib.Path, name: str, sha256: str, size: int) -> None:
        for _ in range(_ATTEMPTS):
            received = self._push_once(local, name, sha256, size)
            if received == sha256:
                return
            try:
                with local.open("rb") as file:
                    now = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise ModelFileError(f"Cannot read {local}: {error.strerror}.") from error
            if now != sha256:
                raise ModelFileError(f"{local} changed while it was copied to the phone. Measure it again.")
        raise DeviceError(
            f"The phone {self._adb.serial} received a damaged copy of {local} {_ATTEMPTS} times: expected the SHA-256 "
            f"{sha256}, received {received}. Try another cable or port."
        )

    def _push_once(self, local: pathlib.Path, name: str, sha256: str, size: int) -> str:
        """Returns the hash of what arrived; if it is the wanted one, the file has its name."""
        part = f"{self.folder}/{secrets.token_hex(4)}.part"
        seconds = self._hang_secs + size / _PUSH_BYTES_PER_SEC
        try:
            try:
                self._adb.push(str(local.absolute()), part, seconds)
            except NoSpaceError:
                # What nobody needs at the moment has to go, then it may fit.
                self._adb.shell(f"rm -f {shlex.quote(part)}", self._hang_secs)
                if not self._make_room(0):
                    raise
                self._adb.push(str(local.absolute()), part, seconds)
        except NoSpaceError as error:
            self._remove_if_there(part)
            raise NoSpaceError(f"{error} {local} needs {size / 2**20:.1f} MiB, {self._space()}") from error
        except DeviceError:
            self._remove_if_there(part)
            raise
        quoted, target = shlex.quote(part), shlex.quote(f"{self.folder}/{name}")
        result = self._adb.shell(
            f"h=$(sha256sum < {quoted}); case $h in {sha256}*) chmod 700 {quoted} && mv -f {quoted} {target};; "
            f'*) rm -f {quoted};; esac; code=$?; echo "$h"; exit $code',
            self._hang_secs + self.hash_secs(size),
        )
        if result.exit_code:
            raise DeviceError(
                f"Cannot name a file in {self.folder} on the phone {self._adb.serial}: "
                f"{' '.join(result.stderr.split())}."
            )
        return result.stdout.split()[0] if result.stdout.split() else "nothing"

    def _remove_if_there(self, part: str) -> None:
        with contextlib.suppress(DeviceLostError):  # then `prepare` removes it when the phone is back
            self._adb.shell(f"rm -f {shlex.quote(part)}", self._hang_secs)

    def _make_room(self, limit_bytes: int) -> bool:
        """Removes unused files until the rest is at most ``limit_bytes``; returns whether it removed any."""
        total = sum(self._present.values())
        gone = []
        for name, size in self._present.items():
            if total <= limit_bytes:
                break
            if not self._users.get(name):
                gone.append(name)
                total -= size
        for name in gone:
            del self._present[name]
        if gone:
            paths = " ".join(shlex.quote(f"{self.folder}/{name}") for name in gone)
            self._adb.shell(f"rm -f {paths}", self._hang_secs)
        return bool(gone)

    def _space(self) -> str:
        """What there is, and what to do."""
        free = free_mb(self._adb.shell(f"df -k {shlex.quote(ROOT)}", self._hang_secs).stdout)
        there = "" if free is None else f"{free:.0f} MiB are free. "
        return f"{there}Delete something on the phone, and try again."


def free_mb(text: str) -> float | None:
    """Returns the free space, in units of 2**20 bytes, of what ``df -k`` printed; None if it cannot be read."""
    found = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+(?:\d+%|-)\s", text)
    return int(found.group(3)) / 1024 if found else None


def require_tools(identity: Identity, shown: str) -> None:
    """Checks that the phone has the programs without which nothing can be measured on it.

    Raises:
        DeviceError: one is missing.
    """
    if "sha256sum" not in identity.tools:
        raise DeviceError(
            f"The phone {shown} has no program sha256sum, which Android has since version 8 (it has Android "
            f"{identity.android or 'unknown'}): what is copied to it cannot be checked. Take a newer phone."
        )
