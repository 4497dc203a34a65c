"""A latency table whose numbers are known in closed form."""

import functools

import numpy as np

import tflite_bench
from tests.latency.couplings import Converting, graph_of
from tfmeta.graph.space import SearchSpace
from tfmeta.latency import LatencyOptions
from tfmeta.latency.building import drawn
from tfmeta.latency.features import Work
from tfmeta.latency.table import LatencyTable, Point
from tfmeta.latency.template import Template

OPTIONS = LatencyOptions(threads=2)


@functools.cache
def wide() -> SearchSpace:
    """All structures of "mixed"."""
    return SearchSpace.from_graph(graph_of("mixed"), multiple_of=1)


@functools.cache
def work() -> Work:
    """The work of "mixed" in fp32."""
    return Work.of_template(Template.make(graph_of("mixed"), "fp32", Converting("mixed")))


@functools.cache
def table() -> LatencyTable:
    """Of this machine: 1 ms for all multiply-adds of "mixed" and 0.1 ms beside, with 3 % noise where held out."""
    structures = drawn(wide(), 60, seed=1)
    widths = np.array([wide().full().widths, *(one.widths for one in structures)])
    macs = work().of(widths)[:, :, 0].sum(1)
    ratios = (macs / macs[0] + 0.1) / 1.1
    points = []
    for place, (row, ratio) in enumerate(zip(widths[1:].tolist(), ratios[1:], strict=True)):
        held_out = place >= 40
        noisy = float(ratio * (1 + 0.03 * (-1) ** place * held_out))
        verdict = "NOISY" if place % 10 == 0 else "OK"
        points.append(Point(tuple(row), noisy, 0.99 * noisy, 1.01 * noisy, verdict, held_out))
    with tflite_bench.open_device("host") as device:
        info = device.info()
    return LatencyTable.fit(graph_of("mixed"), info, OPTIONS, 1.1, points, work(), seed=1)
