"""Progress on the screen, with the time that is left."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")


def bar(items: Iterable[_Item], description: str, *, total: int | None = None, unit: str = "it") -> Iterator[_Item]:
    """Returns an iterator over ``items`` that draws a progress bar with ETA on standard error.

    Where standard error is not a terminal (a log file), a line is written every half minute instead of a moving bar.
    """
    terminal = sys.stderr.isatty()
    return iter(
        tqdm(
            items,
            desc=description,
            total=total,
            unit=unit,
            dynamic_ncols=terminal,
            mininterval=0.2 if terminal else 30.0,
            leave=True,
        )
    )
