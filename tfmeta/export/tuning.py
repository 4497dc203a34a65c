"""What a scheme that trains is told, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfmeta.errors import UserError
from tfmeta.training import TrainOptions


@dataclass(frozen=True)
class TuneOptions:
    """How schemes that train do it, starting from a network that is trained already.

    Attributes:
        train: how each step is trained. A network that learns to be sparse, clustered and quantized is trained three
            times so long.
        sparsity: share of zeros, above 0 and below 1, in the kernels that are made sparse.
        clusters: distinct values a kernel that is clustered may have, 2 to 256.
    """

    train: TrainOptions = field(default_factory=lambda: TrainOptions(epochs=3, learning_rate=0.01))
    sparsity: float = 0.5
    clusters: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.sparsity < 1:
            raise UserError(f"Expected a sparsity above 0 and below 1, received {self.sparsity}. 0.5 is every other.")
        if not 2 <= self.clusters <= 256:
            raise UserError(f"Expected 2 to 256 clusters, received {self.clusters}. 256 are as many as int8 has.")


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after the training of a scheme: what its file is made of and compared with.

    Attributes:
        model: a Keras model; one of tf_keras where only that can hold what was learned.
        details: what was reached, for the manifest ("sparsity", "clusters").
        network: the float Keras model that the training began with, which the file is compared with as well.
    """

    model: Any
    details: Mapping[str, Any]
    network: Any
