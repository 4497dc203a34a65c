"""Quantization-aware training of a sparse network, which keeps its zeros (PQAT)."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import QAT, SPARSE, scheme

SCHEME = scheme(
    "sparse_qat",
    "int8 learned in quantization-aware training, sparse",
    (
        SPARSE,
        QAT,
    ),
)
