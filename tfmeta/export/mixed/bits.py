"""How many bits every layer has: what a choice of precision is, whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tfmeta.errors import ExportError


@dataclass(frozen=True)
class Bits:
    """Bits of a layer's weights, and of what it reads and gives. 32 is float."""

    weights: int
    activations: int

    def __str__(self) -> str:
        return "float" if self == FLOAT else f"w{self.weights}a{self.activations}"


FLOAT, INT8, INT16 = Bits(32, 32), Bits(8, 8), Bits(8, 16)
# What TFLite has kernels for.
KINDS: Mapping[str, Bits] = {"float": FLOAT, "int8": INT8, "int16": INT16}


@dataclass(frozen=True)
class BitWidths:
    """Bits of the layers of a network.

    Attributes:
        layers: layer name to its bits.
        others: those of all layers that are not named.
    """

    layers: Mapping[str, Bits] = field(default_factory=dict)
    others: Bits = INT8

    def __post_init__(self) -> None:
        for bits in (*self.layers.values(), self.others):
            if bits not in KINDS.values():
                raise ExportError(
                    f"Expected bits that TFLite has kernels for: {', '.join(f'{k} ({b})' for k, b in KINDS.items())}. "
                    f"Received: w{bits.weights}a{bits.activations}."
                )

    @classmethod
    def keeping(cls, layers: Sequence[str], kept: Bits) -> BitWidths:
        """Returns int8 everywhere but in ``layers``, which have the bits ``kept``."""
        return cls(dict.fromkeys(layers, kept))

    @classmethod
    def only(cls, layer: str, bits: Bits = INT8) -> BitWidths:
        """Returns float everywhere but in ``layer``."""
        return cls({layer: bits}, FLOAT)
