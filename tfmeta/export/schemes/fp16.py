"""Weights in 16-bit floats, everything else in 32: half the size, and no calibration.

A DEQUANTIZE before each operator widens the weights once, at loading; GPU delegates compute with the halves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfmeta.export import converter
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.lazy import tf

if TYPE_CHECKING:
    import keras


def _convert(model: keras.Model, calibration: np.ndarray | None) -> bytes:
    del calibration  # floats need none
    conversion = converter.make(model)
    conversion.optimizations = [tf.lite.Optimize.DEFAULT]
    conversion.target_spec.supported_types = [tf.float16]
    return converter.run(model, conversion)


SCHEME = Scheme(
    name="fp16",
    description="16-bit float weights, 32-bit float activations, input and output",
    needs_calibration=False,
    # Each weight keeps 11 bits, 1 part in 2000; the roundings of deep networks add up.
    tolerance=Tolerance(min_class_agreement=0.98, max_relative_error=2e-2),
    convert=_convert,
    finer=("fp32",),
)
