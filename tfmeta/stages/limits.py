"""Limits as a user types them: "41M", "1.5k", "0.5x" (of the full network), "12"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfmeta.errors import UserError
from tfmeta.objectives import Constraint

_AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([xkMG]?)")
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True)
class Limit:
    """Lower and upper limit of one objective, as typed; None is no limit."""

    objective: str
    lower: str | None = None
    upper: str | None = None

    @property
    def is_share(self) -> frozenset[bool]:
        """Whether the sides are shares of the full network: {False}, {True}, or both; empty without a limit."""
        return frozenset(side.strip().endswith("x") for side in (self.lower, self.upper) if side is not None)

    @property
    def sides(self) -> tuple[Limit, Limit]:
        """The lower limit alone, and the upper."""
        return Limit(self.objective, lower=self.lower), Limit(self.objective, upper=self.upper)


def constraints(limits: Sequence[Limit], full: Mapping[str, float]) -> tuple[Constraint, ...]:
    """Returns the limits as numbers.

    Args:
        limits: as typed.
        full: objective name to the value of the full network, for relative limits.

    Raises:
        UserError: a text that is no amount, or a relative limit where the full value is not known.
    """
    found = []
    for limit in limits:
        value = full.get(limit.objective)
        lower, upper = (_amount(text, limit.objective, value) for text in (limit.lower, limit.upper))
        if lower is not None or upper is not None:
            found.append(Constraint(limit.objective, lower, upper))
    return tuple(found)


def _amount(text: str | None, objective: str, full: float | None) -> float | None:
    if text is None:
        return None
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise UserError(f"Expected an amount like 41M, 1.5k, 250000 or 0.5x for {objective}, received {text!r}.")
    number, suffix = float(match[1]), match[2]
    if suffix != "x":
        return number * _FACTORS[suffix]
    if full is None:
        raise UserError(f"Expected an absolute amount for {objective}, received {text!r}.")
    return number * full
