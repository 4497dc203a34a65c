"""Full int8 of a network that was trained on with the rounding of int8 in its forward pass."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import QAT, scheme

SCHEME = scheme("int8_qat", "8-bit weights and activations, learned in quantization-aware training", (QAT,))
