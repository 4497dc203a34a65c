"""16-bit activations and 8-bit weights, float input and output: nearer to floats than int8, and slower.

XNNPACK has no such kernels, so phones run TFLite's own reference code: measure before choosing it. The converter leaves
the operators at the versions of int8; `runtime_version` reads the tensor types instead.
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
    kernels = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    return calibrated.convert(model, calibration, "int16x8", kernels)


SCHEME = Scheme(
    name="int16x8",
    description="16-bit activations, 8-bit weights, float input and output",
    needs_calibration=True,
    tolerance=Tolerance(min_class_agreement=0.95),
    convert=_convert,
    finer=("fp16",),
)
