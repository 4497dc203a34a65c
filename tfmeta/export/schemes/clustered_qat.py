"""Quantization-aware training of a clustered network, which keeps its clusters (CQAT)."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import CLUSTERED, QAT, scheme

SCHEME = scheme(
    "clustered_qat",
    "int8 learned in quantization-aware training, clustered",
    (
        CLUSTERED,
        QAT,
    ),
)
