"""Full int8 of a network with two zeros in every four weights, for processors that skip them."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import TWO_OF_FOUR, scheme

SCHEME = scheme("sparse_2_4", "int8 with two zeros in every four weights", (TWO_OF_FOUR,))
