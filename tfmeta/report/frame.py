"""The frame of a plot: its inside, its scales and the lines of its grid, in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 12.0, 42.0
_PIXELS_A_TICK = (90, 55)


@dataclass(frozen=True)
class Tick:
    """A line of the grid at ``position`` with its text."""

    position: float
    text: str


@dataclass(frozen=True)
class Scale:
    """Maps the numbers from ``low`` to ``high`` to the pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Returns the pixel of ``value``."""
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)


@dataclass(frozen=True)
class Side:
    """What is along one side of a plot: the numbers to show, the text of a tick, and what the numbers are."""

    values: Sequence[float]
    tick: Callable[[float], str]
    label: str


@dataclass(frozen=True)
class Frame:
    """A plot of ``width`` x ``height`` pixels, whose inside lies between the four borders."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x: Scale
    y: Scale
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str


def framed(x: Side, y: Side, width: int, height: int) -> Frame:
    """Returns the frame in which all values of both axes have room."""
    left, right, top, bottom = _LEFT, width - _RIGHT, _TOP, height - _BOTTOM
    across, up = Scale(*_padded(x.values), left, right), Scale(*_padded(y.values), bottom, top)

    def ticks(scale: Scale, text: Callable[[float], str], count: int) -> tuple[Tick, ...]:
        return tuple(Tick(scale(value), text(value)) for value in nice_ticks(scale.low, scale.high, count))

    return Frame(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x=across,
        y=up,
        x_ticks=ticks(across, x.tick, width // _PIXELS_A_TICK[0]),
        y_ticks=ticks(up, y.tick, height // _PIXELS_A_TICK[1]),
        x_label=x.label,
        y_label=y.label,
    )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns about ``count`` numbers in [low, high], 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return low - pad, high + pad
