"""Quantization-aware training of a sparse and clustered network, which keeps both (PCQAT)."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import CLUSTERED, QAT, SPARSE, scheme

SCHEME = scheme(
    "sparse_clustered_qat",
    "int8 learned in quantization-aware training, sparse and clustered",
    (
        SPARSE,
        CLUSTERED,
        QAT,
    ),
)
