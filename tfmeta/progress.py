"""Progress on the screen, with the time that is left."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")


def meter(
    description: str,
    *,
    total: int | None = None,
    initial: int = 0,
    unit: str = "it",
    items: Iterable[Any] | None = None,
    bar_format: str | None = None,
) -> tqdm[Any]:
    """Returns a progress bar with ETA on standard error, to be moved with `update` and ended with `close`.

    Where standard error is not a terminal (a log file), a line is written every half minute instead of a moving bar.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=description,
        total=total,
        initial=initial,
        unit=unit,
        bar_format=bar_format,
        dynamic_ncols=terminal,
        mininterval=0.2 if terminal else 30.0,
    )


def bar(items: Iterable[_Item], description: str, *, total: int | None = None, unit: str = "it") -> Iterator[_Item]:
    """Returns an iterator over ``items`` that draws a progress bar with ETA on standard error."""
    return iter(meter(description, total=total, unit=unit, items=items))
