"""The multiply-adds of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure


@dataclass(frozen=True)
class Macs:
    """Multiply-adds of structures of ``graph``. A `ClosedForm` objective.

    Attributes:
        graph: the channel graph.
        convention: "standard" or "metapruning", see `tfmeta.graph.cost.macs`.
    """

    graph: ChannelGraph
    convention: str = "standard"

    name: ClassVar[str] = "macs"
    unit: ClassVar[str] = "MACs"
    minimize: ClassVar[bool] = True
    closed_form: ClassVar[bool] = True

    def __call__(self, structures: Sequence[Structure]) -> np.ndarray:
        """Returns MACs `[len(structures)]`."""
        return np.asarray(cost.macs(self.graph, structures, self.convention))

    def cost(self, widths: np.ndarray) -> np.ndarray:
        """Returns MACs `[P]` for widths `[P, num_groups]`."""
        return np.asarray(cost.macs(self.graph, widths, self.convention))
