"""8-bit weights, float activations that are quantized while the model runs: a quarter of the size, no calibration.

On CPUs convolutions of this kind are slower than float ones; it pays for the size alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfmeta.export import converter
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.lazy import tf

if TYPE_CHECKING:
    import keras

# With a scale per channel a dense layer becomes FULLY_CONNECTED v12, which crashes apps with a runtime before 2.17;
# with one scale it is v9, of 2.3.
_ONE_SCALE_FOR_DENSE = "_experimental_disable_per_channel_quantization_for_dense_layers"


def _convert(model: keras.Model, calibration: np.ndarray | None) -> bytes:
    del calibration  # the ranges are taken from each image on the phone
    conversion = converter.make(model)
    conversion.optimizations = [tf.lite.Optimize.DEFAULT]
    if hasattr(conversion, _ONE_SCALE_FOR_DENSE):
        setattr(conversion, _ONE_SCALE_FOR_DENSE, True)
    return converter.run(model, conversion)


SCHEME = Scheme(
    name="dynamic_int8",
    description="8-bit weights, float activations, input and output",
    needs_calibration=False,
    tolerance=Tolerance(min_class_agreement=0.9),
    convert=_convert,
    finer=("int8", "fp16"),
)
