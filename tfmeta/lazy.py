"""TensorFlow and Keras, imported when first used.

The command line must answer ``--help`` and a bad flag at once, and the graph, the search and the store need neither
package. So modules write ``from tfmeta.lazy import keras, tf`` and the several seconds of import are paid by the first
attribute that is read.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any


class _LazyModule(ModuleType):
    """Stands for a module until one of its attributes is read."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspection (pytest, copy, doctest) must not start an import
            raise AttributeError(name)
        # TensorFlow announces its CPU features at start-up. Level 1 hides that chatter and keeps every warning.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = _LazyModule("keras")
    tf = _LazyModule("tensorflow")

__all__ = ["keras", "tf"]
