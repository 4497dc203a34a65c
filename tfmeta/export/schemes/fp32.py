"""Everything in 32-bit floats: the reference that the other schemes are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfmeta.export import converter
from tfmeta.export.interface import Scheme, Tolerance

if TYPE_CHECKING:
    import keras


def _convert(model: keras.Model, calibration: np.ndarray | None) -> bytes:
    del calibration  # floats need none
    return converter.run(model, converter.make(model))


SCHEME = Scheme(
    name="fp32",
    description="32-bit float weights, activations, input and output",
    needs_calibration=False,
    # Batch norms are folded into kernels and sums run in another order, so the last digits differ,
    # no more.
    tolerance=Tolerance(min_class_agreement=0.99, max_relative_error=1e-3),
    convert=_convert,
)
