"""Gets the official ``benchmark_model`` executables into the cache, and never runs one that has changed since.

Their publisher names no hashes, so the SHA-256 of the first download is written down beside the file, with the
address and the date; whoever knows the hash already gives it, and anything else is refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import http.client
import os
import pathlib
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import BinaryIO

from tflite_bench.benchmark_model.elf import elf_abi
from tflite_bench.benchmark_model.lines import LITERT, TFLITE
from tflite_bench.cache import cache_folder, read_json, told, write_json, written_whole
from tflite_bench.errors import DownloadError, OptionsError

# The folders and file names of both publishers:
# https://ai.google.dev/edge/litert/models/measurement and https://github.com/google-ai-edge/LiteRT
_BASES = {
    TFLITE: (
        "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly/latest/"
    ),
    LITERT: "https://storage.googleapis.com/litert/binaries/latest/",
}
_FILES = {
    TFLITE: {
        "arm64-v8a": "android_aarch64_benchmark_model",
        "armeabi-v7a": "android_arm_benchmark_model",
        "linux-x86_64": "linux_x86-64_benchmark_model",
        "linux-aarch64": "linux_aarch64_benchmark_model",
    },
    LITERT: {
        "arm64-v8a": "android_arm64/benchmark_model",
        "linux-x86_64": "linux_x86_64/benchmark_model",
        "linux-aarch64": "linux_arm64/benchmark_model",
    },
}
FLAVOURS = tuple(_FILES)
TARGETS = tuple(_FILES[TFLITE])
_ELF_ABIS = {"linux-x86_64": "x86_64", "linux-aarch64": "arm64-v8a"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_BYTES = 2**30  # they have some 10 MB
_TIMEOUT_SECS = 30.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclasses.dataclass(frozen=True)
class Fetched:
    """An executable in the cache.

    Attributes:
        path: where it lies.
        target: what it runs on: an Android ABI, or ``linux-`` and a processor.
        flavour: which of the two programs of that name it is meant to be.
        sha256: hash of its content, verified just now.
        url: where it came from.
        date: when, UTC in ISO 8601.
    """

    path: pathlib.Path
    target: str
    flavour: str
    sha256: str
    url: str
    date: str


def official_url(target: str, flavour: str = TFLITE, base: str | None = None) -> str:
    """Returns the address of an official executable.

    Args:
        target: one of `TARGETS`.
        flavour: one of `FLAVOURS`.
        base: the folder to look in instead of the publisher's, ending with a slash.

    Raises:
        OptionsError: nobody publishes such a one.
    """
    files = _FILES[flavour]
    if target not in files:
        raise OptionsError(
            f"Expected an ABI that {flavour} publishes a benchmark_model for: {', '.join(files)}. "
            f"Received: {target!r}. For others build it, and name it with --benchmark_model=PATH."
        )
    return urllib.parse.urljoin(base or _BASES[flavour], files[target])


def fetch(target: str, flavour: str = TFLITE, *, url: str | None = None, sha256: str | None = None) -> Fetched:
    """Downloads an executable into the cache, in place of the one that is there.

    Args:
        target: one of `TARGETS`.
        flavour: one of `FLAVOURS`.
        url: where from; the official address when None.
        sha256: the hash that it must have; without it, only https is trusted.

    Raises:
        OptionsError: there is no such executable, or the address or hash is none.
        DownloadError: it cannot be had, is another one, or is not made for ``target``.
    """
    url = url or official_url(target, flavour)
    _require_sha256(sha256)
    _require_safe(url, sha256)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECS) as response:
            _require_safe(response.geturl(), sha256)  # it may have been sent elsewhere
            length = response.headers.get("Content-Length")
            return _store(response, target, flavour, url, sha256, int(length) if length else None)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        why = f"the server says {error.code} {error.reason}" if isinstance(error, urllib.error.HTTPError) else error
        raise DownloadError(_by_hand(url, target, flavour, str(getattr(why, "reason", why)))) from error
    except ValueError as error:
        raise OptionsError(f"Expected an address that begins with https://. Received: {url!r}.") from error


def take_file(
    path: str | os.PathLike[str], target: str, flavour: str = TFLITE, *, sha256: str | None = None
) -> Fetched:
    """Copies an executable that was downloaded otherwise into the cache.

    Raises:
        OptionsError: the hash is none.
        DownloadError: the file cannot be read, is another one, or is not made for ``target``.
    """
    _require_sha256(sha256)
    source = pathlib.Path(path)
    try:
        with source.open("rb") as file:
            return _store(file, target, flavour, source.absolute().as_uri(), sha256)
    except OSError as error:
        raise DownloadError(f"Cannot read {source}: {error.strerror}.") from error


def cached(target: str, flavour: str = TFLITE) -> Fetched | None:
    """Returns the executable of the cache, its hash verified, or None where none was fetched.

    Raises:
        DownloadError: it is not what was fetched any more.
    """
    if target not in _FILES[flavour]:
        return None
    folder = cache_folder("benchmark_model", flavour, target)
    record = read_json(folder / "fetched.json")
    if record is None:
        return None
    again = f"Fetch it again: tflite-bench fetch --abi={target} --flavour={flavour}"
    try:
        path = folder / pathlib.PurePath(record["file"]).name
        found = Fetched(path, target, flavour, record["sha256"], record["url"], record["date"])
        with path.open("rb") as file:
            now = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, KeyError, TypeError) as error:
        raise DownloadError(
            f"The benchmark_model of the cache ({folder}) cannot be read: {error!r}. {again}"
        ) from error
    if now != found.sha256:
        raise DownloadError(
            f"{path} was changed since it was fetched: expected SHA-256 {found.sha256}, received {now}. {again}"
        )
    return found


def _store(
    source: BinaryIO, target: str, flavour: str, url: str, sha256: str | None, length: int | None = None
) -> Fetched:
    folder = cache_folder("benchmark_model", flavour, target)
    download = folder / f"download-{os.getpid()}"
    with written_whole(download) as file:
        while chunk := source.read(2**20):
            with told(download):
                file.write(chunk)
            if file.tell() > _MAX_BYTES:
                raise DownloadError(f"{url} is larger than any benchmark_model. Check the address.")
        # Of a connection that ends early the library says nothing.
        if length is not None and file.tell() != length:
            raise DownloadError(f"The download of {url} broke off: {file.tell()} of {length} bytes. Try again.")
    try:
        with told(download):
            found = _checked(download, target, flavour, url, sha256)
            # The record names the file and is written last: at no moment does it tell of another one.
            os.replace(download, found.path)
    finally:
        with told(download):
            download.unlink(missing_ok=True)
    record = {"file": found.path.name, "sha256": found.sha256, "url": url, "date": found.date}
    write_json(folder / "fetched.json", record)
    for old in folder.glob("benchmark_model-*"):
        if old != found.path:
            with told(old):
                old.unlink(missing_ok=True)
    return found


def _checked(download: pathlib.Path, target: str, flavour: str, url: str, sha256: str | None) -> Fetched:
    with download.open("rb") as file:
        now = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and now != sha256.lower():
        raise DownloadError(f"{url} is not what was expected: expected SHA-256 {sha256.lower()}, received {now}.")
    abi = elf_abi(download)
    wanted = _ELF_ABIS.get(target, target)
    if abi != wanted:
        made_for = "which is no program at all" if abi is None else f"which is made for {abi}"
        raise DownloadError(f"Expected an executable for {target}. Received: {url}, {made_for}.")
    os.chmod(download, 0o755)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Fetched(download.with_name(f"benchmark_model-{now[:16]}"), target, flavour, now, url, date)


def _require_sha256(sha256: str | None) -> None:
    if sha256 is not None and not _SHA256.fullmatch(sha256.lower()):
        raise OptionsError(f"Expected a SHA-256 of 64 hexadecimal digits. Received: {sha256!r}.")


def _require_safe(url: str, sha256: str | None) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and (sha256 or parts.hostname in _LOOPBACK)):
        return
    raise OptionsError(
        f"Expected an address that begins with https:// (or http:// with the SHA-256 of the file). Received: {url!r}."
    )


def _by_hand(url: str, target: str, flavour: str, why: str) -> str:
    return (
        f"Cannot download {url}: {why}. On a computer with access to it, download that file; then give it here: "
        f"tflite-bench fetch --abi={target} --flavour={flavour} --from_file=PATH"
    )
