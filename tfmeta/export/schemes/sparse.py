"""Full int8 of a network with zeros for its smallest weights, trained to do without them: smaller when zipped."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import SPARSE, scheme

SCHEME = scheme("sparse", "int8 with a share of zero weights (magnitude pruning to a schedule)", (SPARSE,))
