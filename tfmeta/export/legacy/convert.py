"""A network after quantization-aware training as a TFLite file."""

from __future__ import annotations

from typing import Any

from tfmeta.export import converter
from tfmeta.export.legacy.packages import tf_keras
from tfmeta.lazy import tf


def convert(legacy: Any) -> bytes:
    """Returns the bytes of a .tflite file with the ranges that training found: batch size 1, float ends.

    Raises:
        ExportError: the converter failed, or needs an operator that TFLite has no builtin for.
    """
    (source,) = legacy.inputs
    name = source.name.split(":")[0]
    image = tf_keras().Input(source.shape[1:], 1, name, source.dtype)
    named = tf_keras().Model(image, {converter.OUTPUT_NAME: legacy(image, training=False)}, name=legacy.name)
    conversion = converter.make(named)
    conversion.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.run(named, conversion)
