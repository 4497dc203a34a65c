"""The phone's file system: a temporary folder that the phone's absolute paths lie in."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

_FOLDERS = ("data/local/tmp", "sdcard/Download", "system", "proc")
_TOPS = "cache|data|etc|mnt|odm|product|sdcard|storage|sys|system|tmp|vendor"
WRITABLE = ("/data/local/tmp", "/sdcard", "/storage")
_MEMORY = "/dev/shm"
_ROOM_BYTES = 2 << 30
# Letters that mean nothing to a shell: the folder's name is put into command lines.
_PLAIN = re.compile(r"[\w/.-]+", re.ASCII)


def make_folder() -> Path:
    """Returns a new folder, in memory where there is room, with a name that means nothing to a shell."""
    place = os.path.realpath(tempfile.gettempdir())
    if not _PLAIN.fullmatch(place):
        place = "/tmp"
    if os.path.isdir(_MEMORY):
        room = os.statvfs(_MEMORY)
        if room.f_bavail * room.f_frsize > _ROOM_BYTES and not room.f_flag & os.ST_NOEXEC:
            place = _MEMORY
    _sweep(place)
    return Path(tempfile.mkdtemp(prefix=f"phone_{os.getpid()}_", dir=place))


@functools.cache
def _sweep(place: str) -> None:
    """Deletes the folders of processes that were killed before they could."""
    for path in folders_of_the_dead(Path(place), "phone"):
        shutil.rmtree(path, ignore_errors=True)


def folders_of_the_dead(place: Path, kind: str) -> list[Path]:
    """Returns the folders named KIND_PID_... whose process is gone."""
    named = [(path, re.match(rf"{kind}_(\d+)_", path.name)) for path in place.glob(f"{kind}_*_*")]
    return [path for path, match in named if match and not os.path.exists(f"/proc/{match[1]}")]


class Tree:
    """The folder. Close it to delete it."""

    def __init__(self) -> None:
        self.folder = make_folder()
        self.root = self.folder / "root"
        for name in _FOLDERS:
            (self.root / name).mkdir(parents=True)

    def close(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, path: str) -> Path:
        """Returns where a path of the phone lies; relative ones begin at the phone's root."""
        return self.root / _normal(path)

    def write(self, path: str, text: str) -> None:
        """Writes one file of the phone."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def writable(self, path: str) -> bool:
        """Whether the user "shell" may write there."""
        lies_in = PurePosixPath("/", _normal(path))
        return any(lies_in.is_relative_to(place) for place in WRITABLE)

    def translator(self) -> tuple[Callable[[str], str], Callable[[], Callable[[bytes], bytes]]]:
        """Returns what puts the phone's absolute paths of a command under the root, and a maker of the reverse.

        The reverse takes output piece by piece, and an empty piece at its end; each output needs its own.
        """
        faked = "|".join(
            re.escape(str(path.relative_to(self.root / "proc"))) for path in (self.root / "proc").rglob("*")
        )
        absolute = re.compile(rf"(?<![\w.~/$}}*?\]-])/(?:(?:{_TOPS})(?![\w.-])|proc/(?:{faked})(?![\w.-]))")
        root = str(self.root)

        def to_phone(command: str) -> str:
            return absolute.sub(lambda match: root + match[0], command)

        def from_phone() -> Callable[[bytes], bytes]:
            held = b""
            name = os.fsencode(root) + b"/"

            def translate(data: bytes) -> bytes:
                nonlocal held
                text = (held + data).replace(name, b"/")
                # What may be the beginning of the name is held back until more has come.
                keep = next((n for n in range(min(len(name), len(text)), 0, -1) if text.endswith(name[:n])), 0)
                keep = keep if data else 0
                text, held = (text[:-keep], text[-keep:]) if keep else (text, b"")
                return text.replace(name[:-1], b"/")

            return translate

        return to_phone, from_phone

    def snapshot(self) -> dict[str, tuple[int, int]]:
        """Returns each file of the phone with its size and time of change."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                found[f"/{os.path.relpath(path, self.root)}"] = (status.st_size, status.st_mtime_ns)
        return found


def _normal(path: str) -> str:
    """Returns a path of the phone without the leading slash and without "..", which lead out of it."""
    return os.path.normpath("/" + path.lstrip("/")).lstrip("/")
