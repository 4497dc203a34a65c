"""Numbers as multiples of channel-axis lengths.

A number in a .tflite file that differs between structures is a multiple of the one length that changes in the same
proportion. `probes` sees to it that there is no second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.graph.structure import Structure
from tfmeta.latency.probes import Lengths


class Form(NamedTuple):
    """A number: ``factor`` times the length of this index in `Lengths`, -1 for the last, which is 1."""

    factor: int
    length: int


class Resolver:
    """Finds the form of a number from its values in all structures."""

    def __init__(self, lengths: Lengths, structures: Sequence[Structure]) -> None:
        at = np.stack([lengths.at(structure) for structure in structures]).T.tolist()
        self._full = [row[0] for row in at]
        self._index = {_proportion(row): index for index, row in enumerate(at)}
        require(len(self._index) == len(at), "Which of several channel groups a number follows")

    def form(self, values: Sequence[int], what: str) -> Form:
        """Returns the form of a number.

        Args:
            values: the number in each structure.
            what: what it is, for the error text.

        Raises:
            ExportError: it is no multiple of a length.
        """
        if len(set(values)) == 1:
            return Form(values[0], -1)
        index = self._index.get(_proportion(values)) if values[0] else None
        if index is None or values[0] % self._full[index]:
            raise ExportError(
                f"{what} is {', '.join(map(str, values))} in the structures tried, which follows no channel group."
            )
        return Form(values[0] // self._full[index], index)

    def forms(self, rows: Sequence[Any], what: str) -> tuple[Form, ...]:
        """Returns the forms of the numbers at equal places of ``rows``, one row a structure."""
        require(len({len(row) for row in rows}) == 1, f"{what} has a rank that depends on the structure")
        return tuple(self.form([int(value) for value in values], what) for values in zip(*rows, strict=True))


def _proportion(values: Sequence[int]) -> tuple[Fraction, ...]:
    return tuple(Fraction(value, values[0]) for value in values[1:])


def require(holds: bool, what: str) -> None:
    """Raises ExportError, about ``what``, unless files differ by lengths alone."""
    if not holds:
        raise ExportError(f"{what} depends on the structure in a way that is no length.")
