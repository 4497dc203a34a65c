"""Latencies of layers over their channels: where the marks of each layer go."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfmeta.report import wording
from tfmeta.report.data import ReportData
from tfmeta.report.frame import Frame, Side, Tick, framed

if TYPE_CHECKING:
    from tfmeta.latency.staircase import LayerSteps

# A tick for every one of them, or for every step where that is larger: round numbers are not where latency steps.
_CHANNELS_A_TICK = 8


@dataclass(frozen=True)
class StaircaseChart:
    """The plot of one layer.

    Attributes:
        frame: the plot.
        title: the layer and its step.
        marks: (x, y, title) of each number of channels, ascending.
        bars: (x, top, bottom): the 95 % interval of each median.
        edges: x of the multiples of the step; none where every channel counts.
    """

    frame: Frame
    title: str
    marks: tuple[tuple[float, float, str], ...]
    bars: tuple[tuple[float, float, float], ...]
    edges: tuple[float, ...]


def staircase_charts(data: ReportData, width: int, height: int) -> tuple[StaircaseChart, ...]:
    """Returns a plot of ``width`` x ``height`` pixels for each layer of the sweep, none without one."""
    layers = () if data.staircase is None else data.staircase.layers
    return tuple(_chart(layer, width, height) for layer in layers)


def steps_title(layer: LayerSteps) -> str:
    """Returns a layer with its step, "conv float32: step 8"."""
    return f"{layer.name}: {f'step {layer.step}' if layer.step > 1 else 'every channel counts'}"


def multiples(layer: LayerSteps, of: int) -> tuple[int, ...]:
    """Returns the multiples of a number among the channels of a layer's sweep."""
    channels = [point.channels for point in layer.points]
    return tuple(count for count in range(min(channels), max(channels) + 1) if count % of == 0)


def ticks(layer: LayerSteps) -> tuple[int, ...]:
    """Returns the numbers of channels to name along a plot of a layer."""
    return multiples(layer, max(_CHANNELS_A_TICK, layer.step))


def _chart(layer: LayerSteps, width: int, height: int) -> StaircaseChart:
    points = sorted(layer.points, key=lambda point: point.channels)
    frame = framed(
        Side([point.channels for point in points], str, "channels"),
        Side([ms for point in points for ms in (point.low_ms, point.high_ms)], lambda ms: f"{ms:g}", "latency, ms"),
        width,
        height,
    )
    titles = [
        f"{one.channels} channels: {wording.milliseconds(one.median_ms)}, {one.num_runs:,} runs" for one in points
    ]
    return StaircaseChart(
        dataclasses.replace(frame, x_ticks=tuple(Tick(frame.x(count), str(count)) for count in ticks(layer))),
        steps_title(layer),
        marks=tuple((frame.x(p.channels), frame.y(p.median_ms), told) for p, told in zip(points, titles, strict=True)),
        bars=tuple((frame.x(p.channels), frame.y(p.high_ms), frame.y(p.low_ms)) for p in points),
        edges=tuple(frame.x(count) for count in multiples(layer, layer.step)) if layer.step > 1 else (),
    )
