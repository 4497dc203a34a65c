"""Quantization after training with ranges from calibration images: what the integer schemes share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export import converter, flatbuffer
from tfmeta.lazy import tf

if TYPE_CHECKING:
    import keras

_ENDS = ("QUANTIZE", "DEQUANTIZE")


def convert(
    model: keras.Model, calibration: np.ndarray | None, scheme: str, kernels: Any, ends: Any | None = None
) -> bytes:
    """Returns ``model`` as a .tflite file with integer weights and activations.

    Args:
        model: as for `tfmeta.export.converter.run`.
        calibration: images `[N, H, W, C]`, which were checked before.
        scheme: its name, for error texts.
        kernels: the ``tf.lite.OpsSet`` of the integer operators.
        ends: type of input and output; None leaves them in float.

    Raises:
        ExportError: no images, or an operator has no such kernel (the text names the layer).
    """
    if calibration is None:
        raise ExportError(f"Expected calibration images for {scheme}. Received: none.")

    def samples() -> Iterator[list[np.ndarray]]:
        for image in calibration:
            yield [image[np.newaxis]]

    conversion = converter.make(model)
    conversion.optimizations = [tf.lite.Optimize.DEFAULT]
    conversion.representative_dataset = samples
    conversion.target_spec.supported_ops = [kernels]
    if ends is not None:
        conversion.inference_input_type = conversion.inference_output_type = ends
    data = converter.run(model, conversion)
    refuse_float_islands(data, model, scheme)
    return data


def refuse_float_islands(data: bytes, model: keras.Model, scheme: str) -> None:
    """Refuses a file with operators that were left in float.

    Raises:
        ExportError: there are some; the text names the layer.
    """
    # An operator without an integer kernel does not fail the converter, not even with BUILTINS_INT8:
    # it is left in float between a DEQUANTIZE and a QUANTIZE (TF 2.21: ELU, SIN, CUMSUM). That file
    # is neither all integers nor fast.
    for operator in flatbuffer.parse(data).operators:
        if operator.op in _ENDS:
            continue
        for tensor in operator.outputs:
            if tensor.dtype == "FLOAT32":
                layer = converter.layer_of(model, tensor.name)
                where = f"layer {layer!r}" if layer else f"tensor {tensor.name!r}"
                raise ExportError(
                    f"Expected integers throughout, but {where} needs the operator {operator.op}, which TFLite has no "
                    f"{scheme} kernel for. Use an activation such as relu, relu6, hard_swish or sigmoid there, or "
                    'export with scheme="fp32".'
                )
