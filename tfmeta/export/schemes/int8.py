"""Full int8: 8-bit weights (one scale per channel) and activations, float input and output.

The float ends are a QUANTIZE and a DEQUANTIZE operator, so an app feeds and reads floats and needs
no scales.
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
    return calibrated.convert(model, calibration, "int8", tf.lite.OpsSet.TFLITE_BUILTINS_INT8)


SCHEME = Scheme(
    name="int8",
    description="8-bit weights and activations, float input and output",
    needs_calibration=True,
    tolerance=Tolerance(min_class_agreement=0.9),
    convert=_convert,
    finer=("int8_qat", "int16x8", "fp16"),
)
