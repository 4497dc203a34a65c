"""TensorFlow and Keras, imported when first used.

The command line must answer ``--help`` and a bad flag at once, and the graph, the search and the store need neither
package. So modules write ``from tfmeta.lazy import keras, tf`` and the several seconds of import are paid by the first
attribute that is read.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

# What TensorFlow says at every start on a machine without a GPU: information, and the search for CUDA. It is logged
# before TensorFlow reads its own log level, so TF_CPP_MIN_LOG_LEVEL cannot hide it.
_CHATTER = re.compile(r"^I\d{4} |All log messages before absl::InitializeLog|failed call to cuInit|^WARNING.*STDERR$")


class _LazyModule(ModuleType):
    """Stands for a module until one of its attributes is read."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspection (pytest, copy, doctest) must not start an import
            raise AttributeError(name)
        if self.__name__ not in sys.modules:
            with _without_chatter():
                importlib.import_module("tensorflow").config.list_physical_devices()
                importlib.import_module(self.__name__)
        return getattr(sys.modules[self.__name__], name)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Holds back what is written to standard error and then passes on every line that is not start-up chatter."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            lines = held.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if not _CHATTER.search(line)))
            sys.stderr.flush()


if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = _LazyModule("keras")
    tf = _LazyModule("tensorflow")

__all__ = ["keras", "tf"]
