"""Draws latency over time, as lines of text or as a picture, and over channels."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tflite_bench.bin import option_flags
from tflite_bench.errors import OptionsError
from tflite_bench.measure.sustained import Point, Sustained, clock
from tflite_bench.messages import visible
from tflite_bench.staircase.sweep import Staircase

PICTURES = (".png", ".svg", ".pdf")

_LINES = 20
_BAR = 40
_ACROSS = 3
_SECS_PER_MINUTE = 60


def text_curve(run: Sustained) -> str:
    """Returns a line for each of at most 20 stretches: when, runs, median, a bar, temperature and thermal status.

    A bar's length is its median's share of the largest one.
    """
    stretches = [list(part) for part in np.array_split(np.array(run.points, object), min(_LINES, len(run.points)))]
    medians = [float(np.median([point.block.median_ms for point in part])) for part in stretches]
    times = [clock(part[0].begin_secs) for part in stretches]
    if len(set(times)) < len(times):  # a short run
        times = [f"{part[0].begin_secs:.1f} s" for part in stretches]
    counts = [f"{sum(point.block.count for point in part)} runs" for part in stretches]
    width, count_width = max(map(len, times)), max(map(len, counts))
    lines = []
    for time, count, median, part in zip(times, counts, medians, stretches, strict=True):
        bar = "#" * round(_BAR * median / max(medians))
        start = f"{time:>{width}}  {count:>{count_width}}  {median:>9.4g} ms"
        lines.append(f"{start}  {bar:<{_BAR}}  {_state(part[-1])}".rstrip())
    return "\n".join(lines)


def check_picture(path: str | os.PathLike[str]) -> None:
    """Checks that a picture can be written to ``path`` before minutes are spent on it.

    Raises:
        OptionsError: another ending than one of `PICTURES`, or as `option_flags.check_output` raises.
    """
    target = pathlib.Path(path)
    if target.suffix.lower() not in PICTURES:
        raise OptionsError(f"Expected a file that ends in {', '.join(PICTURES)} for the plot. Received: {path}.")
    option_flags.check_output(path, "the plot")


def write_picture(runs: Sequence[Sustained], labels: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Writes median latency over minutes, with 5th to 95th percentile, and temperature where the device tells.

    Args:
        runs: one line each.
        labels: a name for each.
        path: ends in one of `PICTURES`, which decides the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    warm = any(_temperature(point) is not None for run in runs for point in run.points)
    figure = Figure(figsize=(9, 6 if warm else 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 if warm else 1, 1, sharex=True, squeeze=False, height_ratios=[2, 1] if warm else [1])[:, 0]
    lines = []
    for run in runs:
        minutes = [(point.begin_secs + point.end_secs) / 2 / _SECS_PER_MINUTE for point in run.points]
        (line,) = axes[0].plot(minutes, [point.block.median_ms for point in run.points])
        lines.append(line)
        low, high = ([getattr(point.block, name) for point in run.points] for name in ("p5_ms", "p95_ms"))
        axes[0].fill_between(minutes, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        slowed = run.slowed_after_secs
        if slowed is not None:
            axes[0].axvline(slowed / _SECS_PER_MINUTE, color=line.get_color(), linestyle=":")
        if warm:
            axes[1].plot(minutes, [_temperature(point) for point in run.points], color=line.get_color())
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("latency, ms (median, 5 % to 95 %)")
    told = [_plain(f"{label} ({run.num_runs} runs)") for run, label in zip(runs, labels, strict=True)]
    # Both given: a line whose own label begins with an underscore is left out.
    axes[0].legend(lines, told, loc="lower right")
    axes[0].set_title(_plain(f"{visible(runs[0].device.name)}, {runs[0].options.threads} threads"), loc="left")
    if warm:
        axes[1].set_ylabel("°C")
    axes[-1].set_xlabel("minutes")
    for part in axes:
        part.grid(alpha=0.3)
    figure.savefig(path)


def write_staircase(found: Staircase, path: str | os.PathLike[str]) -> None:
    """Writes latency over channels with its 95 % interval, one axis a layer, and the multiples of the step.

    Args:
        found: what to draw.
        path: ends in one of `PICTURES`, which decides the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(len(found.sweeps), _ACROSS)
    down = -(-len(found.sweeps) // across)
    figure = Figure(figsize=(4.5 * across, 3 * down), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, sweep in zip(grid, found.sweeps, strict=False):
        points = sweep.points
        channels = [point.channels for point in points]
        medians = [point.median_ms for point in points]
        spread = [[one.median_ms - one.low_ms for one in points], [one.high_ms - one.median_ms for one in points]]
        axes.errorbar(channels, medians, yerr=spread, fmt=".-", linewidth=1)
        if sweep.step.step is not None and sweep.step.step > 1:
            for edge in range(channels[0], channels[-1] + 1, sweep.step.step):
                axes.axvline(edge, color="grey", linestyle=":", linewidth=1)
        axes.set_title(f"{sweep.name}: step {sweep.step.step or 'not found'}", loc="left", fontsize="medium")
        axes.set_xlabel("channels")
        axes.set_ylabel("latency, ms")
        axes.set_ylim(bottom=0)
    for axes in grid[len(found.sweeps) :]:
        axes.set_visible(False)
    figure.suptitle(f"{_plain(visible(found.sweeps[0].device.name))}, {found.options.threads} threads", x=0, ha="left")
    figure.savefig(path)


def _plain(text: str) -> str:
    """Returns ``text`` for a picture, where dollar signs would begin and end a formula."""
    return text.replace("$", r"\$")


def _temperature(point: Point) -> float | None:
    return None if point.conditions is None else point.conditions.temperature_c


def _state(point: Point) -> str:
    now = point.conditions
    if now is None:
        return ""
    parts = []
    if now.temperature_c is not None:
        parts.append(f"{now.temperature_c:.1f} °C")
    if now.thermal_word:
        parts.append(f"thermal {now.thermal_word}")
    if now.battery_percent is not None:
        parts.append(f"battery {now.battery_percent} %")
    return ", ".join(parts)
