"""Full int8 of a network that is made sparse, then clustered with its zeros kept."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import CLUSTERED, SPARSE, scheme

SCHEME = scheme(
    "sparse_clustered",
    "int8, sparse and clustered",
    (
        SPARSE,
        CLUSTERED,
    ),
)
