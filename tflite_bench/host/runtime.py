"""The LiteRT runtime of this process, started once and before anything is measured.

The first interpreter of a process pays for what all share: pages of the libraries, tables of the
kernels. A network of one operation pays for it here, so that the first model measured costs what it
would cost as the second, in time and in memory.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from tflite_bench.errors import DeviceError

# A TFLite model: y = RELU(x), one float. Packed from the object API of LiteRT's schema module:
# ModelT(version=3) of one SubGraphT with TensorT "x" and "y" of shape [1] and OperatorT(0 -> 1).
ONE_RELU = base64.b64decode(
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAA0AAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAM"
    "ABQAEAAMAAgABAAMAAAAEAAAADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAMAAAAAQAAAAEA"
    "AAABAAAAAAAAAAEAAAABAAAAAQAAAAAAAAACAAAAMAAAAAQAAADk////CAAAAAwAAAABAAAAeQAAAAEAAAABAAAADAAM"
    "AAgAAAAAAAQADAAAAAgAAAAMAAAAAQAAAHgAAAABAAAAAQAAAAEAAAAQAAAADAAMAAsAAAAAAAQADAAAABMAAAAAAAAT"
)
# What the runtime says once a process about its normal way of working.
_GREETING = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
_STDERR = 2


@functools.cache
def interpreter_class() -> Any:
    """Returns LiteRT's ``Interpreter``, of a runtime that has been started.

    Raises:
        DeviceError: LiteRT cannot be imported.
    """
    try:
        # Imported on first use: listing flags or reading stored measurements does not need it.
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise DeviceError(
            f"The device 'host' needs LiteRT, which cannot be imported ({error}). Run: pip install ai-edge-litert"
        ) from error
    with _without_greeting():
        interpreter = Interpreter(model_content=ONE_RELU, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
    return Interpreter


def resolver_type(delegate: str) -> Any:
    """Returns LiteRT's operator resolver that uses the delegate ``xnnpack``, as by default, or ``none``."""
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.AUTO if delegate == "xnnpack" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Holds standard error back and lets go of every line but the greeting afterwards.

    The runtime writes from C++, so Python's ``sys.stderr`` is not where to catch it. This is done
    for the one operation above only: a user's model keeps its messages, also when it crashes.
    """
    try:
        saved = os.dup(_STDERR)
    except OSError:  # a daemon without standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            held.seek(0)
            kept = [line for line in held if line.strip() != _GREETING]
            if kept:
                os.write(_STDERR, b"".join(kept))
