"""Runs files in another process: a damaged one can make LiteRT end that in which it runs, whatever else was to be told.

The other process is started when it is first needed and serves all later calls, as starting takes longer than most
files do. When a file has ended it, the next call starts another. It gets a line of JSON a call, with the bytes of the
images after it, and answers with a line of JSON.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export import litert, verify


def coverage(path: str | os.PathLike[str]) -> litert.Coverage | None:
    """Returns what `litert.coverage` does.

    Raises:
        ExportError: as `litert.coverage`, or the file ended the process in which it ran.
    """
    found = _child().ask([path])
    return None if found is None else litert.Coverage(**{**found, "left": tuple(found["left"])})


def agreement(
    path: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    images: np.ndarray,
    label_shape: Sequence[int] = (),
) -> verify.Agreement:
    """Returns how near the answers of two files to the same images are.

    Args:
        path: the file that is judged.
        reference: the one that it should answer like.
        images: as for `verify.outputs`.
        label_shape: as for `verify.agreement_of`.

    Raises:
        ExportError: LiteRT cannot run one of them on the images, or one ended the process in which it ran.
    """
    return verify.Agreement(**_child().ask([path, reference], images, label_shape))


@functools.cache
def _child() -> _Child:
    child = _Child()
    atexit.register(child.end)
    return child


class _Child:
    """The other process, if it runs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(
        self,
        paths: Sequence[str | os.PathLike[str]],
        images: np.ndarray | None = None,
        label_shape: Sequence[int] = (),
    ) -> Any:
        """Returns what `_found` does there."""
        shape = None if images is None else images.shape
        question = {
            "paths": [os.path.abspath(path) for path in paths],
            "shape": shape,
            "label_shape": list(label_shape),
        }
        data: list[bytes | memoryview] = [json.dumps(question).encode(), b"\n"]
        if images is not None:
            data.append(np.ascontiguousarray(images, np.float32).reshape(-1).view(np.uint8).data)
        was_used = self._process is not None
        answer, ended_by = self._answer(data)
        if not answer and was_used:  # what another file did to its memory may have ended it
            answer, ended_by = self._answer(data)
        if not answer:
            names = " or ".join(repr(str(path)) for path in paths)
            raise ExportError(
                f"Expected LiteRT to run the file. Received: {names} ended the process ({ended_by}): it is damaged, or "
                "LiteRT has a fault. Export it again."
            )
        told = json.loads(answer)
        if "error" in told:
            raise ExportError(told["error"])
        return told["found"]

    def end(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(BrokenPipeError):  # what it did not read
                process.communicate()

    def _answer(self, data: Sequence[bytes | memoryview]) -> tuple[bytes, str]:
        """Returns the line that it answers with, or nothing and the signal that ended it."""
        process = self._process = self._process or _started()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.writelines(data)
                process.stdin.flush()
            answer = process.stdout.readline()
            if answer.endswith(b"\n"):
                return answer, ""
            code = process.wait()
        except BaseException:  # Ctrl-C above all: the answer would be taken for that of the next call
            self.end()
            raise
        self.end()
        if code >= 0:
            raise RuntimeError(f"The process that runs files failed with exit code {code}: its error is above.")
        return b"", _signal(-code)


def _started() -> subprocess.Popen[bytes]:
    # -P: a program in the current folder is not taken for one of Python's modules.
    argv = [sys.executable, "-P", "-m", "tfmeta.export.isolated"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _signal(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _serve() -> None:
    """What the other process does: it answers until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks, which then ends this one
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever else is printed
        while line := sys.stdin.buffer.readline():
            try:
                told = {"found": _found(**json.loads(line))}
            except ExportError as error:
                told = {"error": str(error)}
            print(json.dumps(told), file=answers, flush=True)


def _found(paths: Sequence[str], shape: Sequence[int] | None, label_shape: Sequence[int]) -> dict[str, Any] | None:
    if shape is None:
        (path,) = paths
        coverage = litert.coverage(path)
        return None if coverage is None else dataclasses.asdict(coverage)
    values = sys.stdin.buffer.read(math.prod(shape) * np.dtype(np.float32).itemsize)
    images = np.frombuffer(values, np.float32).reshape(shape)
    path, reference = paths
    pairs = zip(verify.streamed(reference, images), verify.streamed(path, images), strict=True)
    return dataclasses.asdict(verify.agreement_of(pairs, tuple(label_shape)))


if __name__ == "__main__":
    _serve()
