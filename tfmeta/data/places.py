"""Where data sets lie on this machine, and how they are fetched when they do not."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from tfmeta import files
from tfmeta.data.options import DataOptions
from tfmeta.errors import DataError
from tfmeta.lazy import keras

_TIMEOUT_S = 30.0  # of silence; the downloads themselves may take as long as they need


def keras_cache() -> Path:
    """Returns the folder in which Keras keeps data sets, which need not exist."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return Path(home).expanduser() / "datasets"


def own_folders(options: DataOptions, *names: str) -> list[Path]:
    """Returns ``data_dir`` and those of its sub-folders ``names`` that exist, in this order."""
    if options.folder is None:
        return []
    return [options.folder, *(p for name in names if (p := options.folder / name).is_dir())]


def download(url: str, target: Path, file_hash: str | None, advice: str) -> Path:
    """Fetches ``url`` into the file ``target``, whole or not at all, and returns ``target``.

    Args:
        url: what to fetch.
        target: where the file goes.
        file_hash: SHA-256 or MD5 in hexadecimal that the file must have; ``None`` where the caller
            verifies the content.
        advice: what the user can do where nothing can be fetched.

    Raises:
        DataError: the fetch failed, or the content is not the published one.
    """
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)  # get_file has no such argument
    try:
        # get_file talks on standard output, where only results belong.
        with files.replacing(target) as temporary, contextlib.redirect_stdout(sys.stderr):
            keras.utils.get_file(
                temporary.name,
                origin=url,
                file_hash=file_hash,
                cache_dir=str(temporary.parent),
                cache_subdir="",
            )
    except Exception as error:  # get_file raises bare exceptions for network trouble
        reason = str(error).rpartition(" -- ")[2]  # what stands before repeats the address
        raise DataError(f"Could not download {url}: {reason}. {advice}") from error
    finally:
        socket.setdefaulttimeout(timeout)
    return target


def absent(title: str, advice: str) -> DataError:
    """Returns the error for a data set that is on no local path and may not be fetched."""
    return DataError(f"{title} is not on this machine and downloading is off. {advice}")
