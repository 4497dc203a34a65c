"""Full int8 of a network whose kernels have few distinct values: smaller when zipped."""

from __future__ import annotations

from tfmeta.export.legacy.recipe import CLUSTERED, scheme

SCHEME = scheme("clustered", "int8 with few distinct values a kernel", (CLUSTERED,))
