"""Random inputs for a model whose meaning is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def random_input(shape: Sequence[int], dtype: npt.DTypeLike, rng: np.random.Generator) -> npt.NDArray[np.generic]:
    """Returns an array of ``shape`` and ``dtype`` with plain values.

    Floats lie in [-0.5, 0.5): no denormal, infinite or NaN number that would make arithmetic slow.
    Bytes take their whole range. Wider integers are 0 or 1: they are often indices, and those are
    valid in almost any table.

    Raises:
        TypeError: the type is neither a real number nor a truth value.
    """
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (rng.random(shape) - 0.5).astype(kind)
    if kind.kind == "b":
        return rng.integers(2, size=shape).astype(kind)
    if kind.kind in "iu":
        low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.itemsize == 1 else (0, 1)
        return rng.integers(low, high, size=shape, dtype=kind, endpoint=True)
    raise TypeError(f"Expected inputs of numbers or truth values. Received: {kind}.")
