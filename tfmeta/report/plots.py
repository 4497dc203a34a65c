"""The Pareto plot, the channels before and after, and the latencies as PNG files."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfmeta import files
from tfmeta.report import tables, wording
from tfmeta.report.chart import front_points, plotted_rows
from tfmeta.report.data import FileRow, Missing, ReportData
from tfmeta.report.files_chart import looks
from tfmeta.report.html import searchers
from tfmeta.report.staircase_chart import multiples, steps_title, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tfmeta.latency.staircase import DeviceStep

_COLORS = ("#2563c9", "#d9730d", "#1a8f5a", "#8e44ad", "#b0305c")
_MARKERS = ("o", "s", "D", "^", "v")  # as `template.html` draws them
# Size, opacity, whether it is filled, and what the legend says.
_STANDINGS = {
    "within": (22, 0.6, True, ""),
    "predicted": (22, 0.2, True, ", within the budget by prediction"),
    "outside": (14, 0.6, False, ", outside the budget"),
}
_INK, _SOFT, _LINE, _TRACK = "#1b1f24", "#5a6470", "#e1e5ea", "#dfe4ea"
_DPI = 144
_ACROSS = 3


def write_pareto_png(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Writes accuracy against MACs of trials, front, winner and controls to ``path``."""
    figure, (axes,) = _figure(7.2, 4.4)
    for name, place in searchers(data).items():
        color = _COLORS[place % len(_COLORS)]
        for standing, (size, opacity, filled, label) in _STANDINGS.items():
            points = [t for t in data.trials if t.searcher == name and t.standing == standing]
            if points:
                axes.scatter(
                    [point.macs for point in points],
                    [100 * point.accuracy for point in points],
                    s=size,
                    alpha=opacity,
                    edgecolors="none" if filled else color,
                    facecolors=color if filled else "none",
                    label=name + label,
                )
    front = front_points(data.trials)
    if front:
        macs, accuracy = [t.macs for t in front], [100 * t.accuracy for t in front]
        axes.step(macs, accuracy, where="post", color=_INK, linewidth=1.3, label="best at each cost")
    _draw_rows(axes, data)
    axes.set_xlabel("MACs")
    axes.set_ylabel(f"{data.metric} on the search split, %")
    axes.set_title(f"{data.network} on {data.data_set}", loc="left", fontsize=11)
    axes.xaxis.set_major_formatter(lambda value, _: wording.tick(value))
    axes.grid(color=_LINE)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    _save(figure, path)


def write_files_png(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Writes the accuracy of the front's files against their p50 latency and their size to ``path``."""
    figure, first = _figure(9.6, 4.0, 2)
    best = tables.best_files(data.front)
    costs: tuple[tuple[str, Callable[[FileRow], float]], ...] = (
        (f"latency p50, ms ({data.front_latency_label})", lambda row: row.latency.p50_ms),
        ("size of the file, KiB", lambda row: row.size_bytes / 1024),
    )
    rows = [r for r in data.front if not isinstance(r.test_accuracy, Missing) and not isinstance(r.latency, Missing)]
    for axes, (label, cost) in zip(first, costs, strict=True):
        for scheme, (place, shape) in looks(data.front).items():
            color = _COLORS[place]
            ours = [row for row in rows if row.scheme == scheme]
            axes.scatter(
                [cost(row) for row in ours],
                [100 * row.test_accuracy for row in ours],
                s=[60 if row in best else 24 for row in ours],
                facecolors=[color if row in best else "none" for row in ours],
                edgecolors=color,
                marker=_MARKERS[shape],
                label=scheme,
            )
        axes.set_xlabel(label)
        axes.grid(color=_LINE)
    first[0].set_ylabel(f"{data.metric} of the file, test split, %")
    first[0].set_title("Files of the front; filled: none is better in all", loc="left", fontsize=11)
    first[0].legend(fontsize=8, frameon=False)
    _save(figure, path)


def write_channels_png(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Writes the channels of each group, before and after, as bars to ``path``."""
    figure, (axes,) = _figure(7.2, 1.2 + 0.24 * len(data.groups))
    places = range(len(data.groups))
    axes.barh(places, [group.full for group in data.groups], color=_TRACK, height=0.7, label="full")
    axes.barh(
        places,
        [group.chosen for group in data.groups],
        color=_COLORS[0],
        height=0.7,
        label="chosen",
    )
    for place, group in zip(places, data.groups, strict=True):
        axes.annotate(
            f"{group.chosen} / {group.full}",
            (group.full, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_SOFT,
        )
    axes.set_yticks(list(places), [_plain(group.name) for group in data.groups], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.01)
    axes.set_xlabel("channels")
    axes.set_title("Channels of each group, before and after", loc="left", fontsize=11)
    _save(figure, path)


def write_latency_png(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Writes measured against predicted latencies, with the standard deviations that were told, to ``path``."""
    figure, (axes,) = _figure(5.4, 4.8)
    for place, origin in enumerate(sorted({point.origin for point in data.predictions})):
        points = [point for point in data.predictions if point.origin == origin]
        axes.errorbar(
            [point.predicted_ms for point in points],
            [point.measured_ms for point in points],
            xerr=[2 * point.deviation_ms for point in points],
            fmt="o",
            markersize=4,
            alpha=0.6,
            elinewidth=0.8,
            color=_COLORS[place % len(_COLORS)],
            label=f"{origin} ({len(points)})",
        )
    ends = [value for point in data.predictions for value in (point.predicted_ms, point.measured_ms)]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=_SOFT, linewidth=1, label="equal")
    axes.set_xlabel("predicted latency, ms (bars: two standard deviations)")
    axes.set_ylabel("measured latency, ms")
    axes.set_title("Latency: predicted, then measured", loc="left", fontsize=11)
    axes.grid(color=_LINE)
    axes.legend(fontsize=8, frameon=False)
    _save(figure, path)


def write_operators_png(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Writes the share of each kind of operator in the latency, of the full and of the searched network."""
    figure, (axes,) = _figure(7.2, 1.4 + 0.45 * len(data.operators))
    places = range(len(data.operators))
    for shift, color, label in ((-0.2, _TRACK, "full"), (0.2, _COLORS[0], "chosen")):
        shares = [100 * (one.full if label == "full" else one.winner) for one in data.operators]
        axes.barh([place + shift for place in places], shares, color=color, height=0.38, label=label)
    names = [f"{one.count} x {one.kind}" if one.count > 1 else one.kind for one in data.operators]
    axes.set_yticks(list(places), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("% of the latency, as the predictor divides it")
    axes.set_title("Share of each kind of operator", loc="left", fontsize=11)
    axes.legend(fontsize=8, frameon=False)
    _save(figure, path)


def write_staircase_png(step: DeviceStep, path: str | os.PathLike[str]) -> None:
    """Writes latency over channels, a panel for each layer of a sweep, to ``path``."""
    across = min(len(step.layers), _ACROSS)
    height = 0.4 + 2.9 * -(-len(step.layers) // across)
    figure, panels = _figure(4 * across, height, len(step.layers), across=across, shared=False)
    figure.suptitle(_plain(f"Single layers on {step.where}"), x=0.01, ha="left", fontsize=11)
    for axes, layer in zip(panels, step.layers, strict=True):
        channels, medians = [one.channels for one in layer.points], [one.median_ms for one in layer.points]
        below = [one.median_ms - one.low_ms for one in layer.points]
        above = [one.high_ms - one.median_ms for one in layer.points]
        axes.errorbar(channels, medians, yerr=[below, above], fmt=".-", linewidth=1, color=_COLORS[0])
        for edge in multiples(layer, layer.step) if layer.step > 1 else ():
            axes.axvline(edge, color=_SOFT, linestyle=":", linewidth=1)
        axes.set_xticks(ticks(layer))
        axes.set_title(_plain(steps_title(layer)), loc="left", fontsize=9)
        axes.set_xlabel("channels")
        axes.set_ylabel("latency, ms")
    _save(figure, path)


def _figure(
    width: float, height: float, panels: int = 1, *, across: int | None = None, shared: bool = True
) -> tuple[Figure, list[Any]]:
    """Returns a figure and its axes, ``across`` (or all) of them side by side; they may share the vertical one."""
    # Without pyplot: no window system, nothing global, and matplotlib is imported only when needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    across = panels if across is None else across
    every = figure.subplots(-(-panels // across), across, sharey=shared, squeeze=False).ravel().tolist()
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    for axes in every[panels:]:
        axes.set_visible(False)
    return figure, every[:panels]


def _draw_rows(axes: Axes, data: ReportData) -> None:
    for row in plotted_rows(data)[0]:
        if isinstance(row.search_accuracy, Missing):
            continue
        wins = row.name == data.winner
        point = (row.macs, 100 * row.search_accuracy)
        axes.scatter(
            [point[0]],
            [point[1]],
            s=80 if wins else 45,
            marker="o" if wins else "s",
            facecolors=_INK if wins else "white",
            edgecolors="white" if wins else _INK,
            linewidths=1.5,
            zorder=3,
        )
        axes.annotate(
            _plain(row.name),
            point,
            xytext=(8, -3),
            textcoords="offset points",
            fontsize=9,
            fontweight="bold",
            color=_INK,
        )


def _plain(text: str) -> str:
    # A pair of dollar signs would be read as a formula.
    return text.replace("$", r"\$")


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, format="png")
