"""The number of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure


@dataclass(frozen=True)
class Params:
    """Weights of structures of ``graph``, as Keras counts them. A `ClosedForm` objective."""

    graph: ChannelGraph

    name: ClassVar[str] = "params"
    unit: ClassVar[str] = "params"
    minimize: ClassVar[bool] = True
    closed_form: ClassVar[bool] = True

    def __call__(self, structures: Sequence[Structure]) -> np.ndarray:
        """Returns numbers of weights `[len(structures)]`."""
        return np.asarray(cost.params(self.graph, structures))

    def cost(self, widths: np.ndarray) -> np.ndarray:
        """Returns numbers of weights `[P]` for widths `[P, num_groups]`."""
        return np.asarray(cost.params(self.graph, widths))
