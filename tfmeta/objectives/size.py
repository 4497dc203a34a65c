"""The bytes of all weights, most of the size of the TFLite file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure


@dataclass(frozen=True)
class Size:
    """Bytes of the weights of structures of ``graph``. A `ClosedForm` objective.

    Attributes:
        graph: the channel graph.
        dtype: "float32", "float16" or "int8", see `tfmeta.graph.cost.weight_bytes`.
    """

    graph: ChannelGraph
    dtype: str = "float32"

    name: ClassVar[str] = "size"
    unit: ClassVar[str] = "bytes"
    minimize: ClassVar[bool] = True
    closed_form: ClassVar[bool] = True

    def __call__(self, structures: Sequence[Structure]) -> np.ndarray:
        """Returns bytes `[len(structures)]`."""
        return np.asarray(cost.weight_bytes(self.graph, structures, self.dtype))

    def cost(self, widths: np.ndarray) -> np.ndarray:
        """Returns bytes `[P]` for widths `[P, num_groups]`."""
        return np.asarray(cost.weight_bytes(self.graph, widths, self.dtype))
