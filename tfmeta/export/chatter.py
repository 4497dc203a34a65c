"""Holds back what the converter and the interpreter say of every model; warnings get through."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import IO, Any, cast

# Lines that are printed for every model, good or bad. What is not listed here is passed on.
_CHATTER = re.compile(
    r"^I\d{4} "  # the information level of TensorFlow's log
    r"|^INFO: "  # LiteRT names its delegate
    r"|^INFO:tensorflow:Assets written to"  # a folder that is gone already
    r"|All log messages before absl::InitializeLog\(\)"
    r"|Ignored output_format\.|Ignored drop_control_dependency\."
    r"|Skipping runtime version metadata in the model"
    r"|^fully_quantize: \d+, inference_type"
    # Progress of litert-quantizer, which begins on models with a hundred tensors.
    r"|^(Running Calibration|Generating Quantization Parameters|Applying Transformations to tensors):"
    r"|failed call to cuInit"  # no graphics card: conversion does not use one
)
_WARNING = re.compile(r"^[WEF]\d{4} ")


class _Redirected:
    """A standard stream that goes elsewhere for now. What keeps it, as handlers of logs do, goes on with the real one.

    Attributes:
        stream: where it goes.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def close(self) -> None:
        """Leaves the stream open: absl closes the stream of its handler in the end, and this may be the real one."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Runs the block without start-up chatter on standard output and standard error.

    The converter writes from C++, so the file descriptor itself is redirected, for the whole
    process: not for use in several threads at once. Lines that are not known chatter are written to
    standard error when the block ends. When it raises, the exception carries the converter's text
    already, and only warnings are passed on.

    Raises:
        OSError: the disk is full, or there is no folder for temporary files; standard error is in its place again.
    """
    sys.stderr.flush()
    failed = True
    # Python's own standard error is that descriptor in a terminal, and another thing in a notebook.
    with tempfile.TemporaryFile() as caught, os.fdopen(os.dup(caught.fileno()), "w", encoding="utf-8") as told:
        saved = os.dup(2)
        os.dup2(caught.fileno(), 2)
        output, errors = _Redirected(io.StringIO()), _Redirected(told)
        try:
            with (
                contextlib.redirect_stdout(cast(IO[str], output)),
                contextlib.redirect_stderr(cast(IO[str], errors)),
                warnings.catch_warnings(),
            ):
                # Said for every model that is quantized after training, where such statistics have
                # no place.
                warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
                yield
            failed = False
        finally:
            output.stream, errors.stream = sys.stdout, sys.stderr
            try:
                told.flush()
                sys.stderr.flush()
            finally:  # where the disk is full, too
                os.dup2(saved, 2)
                os.close(saved)
            caught.seek(0)
            _pass_on(caught.read().decode("utf-8", "replace"), failed)


def _pass_on(text: str, failed: bool) -> None:
    for line in text.splitlines():
        if line.strip() and not _CHATTER.search(line) and (_WARNING.search(line) or not failed):
            print(line, file=sys.stderr)
