"""Full int8 with 8-bit input and output, for apps and accelerators that have no floats.

Input and output have a scale and a zero point, which the app must apply: stored = round(value / scale) + zero point.
They are in the file, the manifest and the snippets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfmeta.export import calibrated
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.lazy import tf

if TYPE_CHECKING:
    import keras


def _convert(model: keras.Model, calibration: np.ndarray | None) -> bytes:
    return calibrated.convert(model, calibration, "int8_io", tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.int8)


SCHEME = Scheme(
    name="int8_io",
    description="8-bit weights and activations, 8-bit input and output",
    needs_calibration=True,
    tolerance=Tolerance(min_class_agreement=0.9),
    convert=_convert,
    finer=("int8_qat", "int16x8", "fp16"),
)
