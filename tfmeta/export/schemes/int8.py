"""Full int8: 8-bit weights (one scale per channel) and activations, float input and output.

The float ends are a QUANTIZE and a DEQUANTIZE operator, so an app feeds and reads floats and needs
no scales.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export import converter, flatbuffer
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.lazy import tf

if TYPE_CHECKING:
    import keras

_ENDS = ("QUANTIZE", "DEQUANTIZE")


def _convert(model: keras.Model, calibration: np.ndarray | None) -> bytes:
    if calibration is None:
        raise ExportError("Expected calibration images for int8. Received: none.")

    def samples() -> Iterator[list[np.ndarray]]:
        for image in calibration:
            yield [image[np.newaxis]]

    conversion = converter.make(model)
    conversion.optimizations = [tf.lite.Optimize.DEFAULT]
    conversion.representative_dataset = samples
    conversion.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    data = converter.run(model, conversion)
    refuse_float_islands(data, model)
    return data


def refuse_float_islands(data: bytes, model: keras.Model) -> None:
    """Refuses a file with operators that were left in float.

    Raises:
        ExportError: there are some; the text names the layer.
    """
    # An operator without an int8 kernel does not fail the converter, not even with BUILTINS_INT8:
    # it is left in float between a DEQUANTIZE and a QUANTIZE (TF 2.21: ELU, SIN, CUMSUM). That file
    # is neither full int8 nor fast.
    for operator in flatbuffer.parse(data).operators:
        if operator.op in _ENDS:
            continue
        for tensor in operator.outputs:
            if tensor.dtype == "FLOAT32":
                layer = converter.layer_of(model, tensor.name)
                where = f"layer {layer!r}" if layer else f"tensor {tensor.name!r}"
                raise ExportError(
                    f"Expected int8 throughout, but {where} needs the operator {operator.op}, "
                    "which TFLite has no int8 kernel for. Use an activation such as relu, relu6, "
                    "hard_swish or sigmoid there, or export "
                    'with scheme="fp32".'
                )


SCHEME = Scheme(
    name="int8",
    description="8-bit weights and activations, float input and output",
    needs_calibration=True,
    tolerance=Tolerance(min_top1_agreement=0.9),
    convert=_convert,
)
