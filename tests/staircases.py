"""Files of ``tflite-bench staircase``, of a device of paper."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from tflite_bench.bench_options import BenchOptions
from tflite_bench.staircase.steps import Point, Step, counts
from tflite_bench.staircase.sweep import Staircase, Sweep
from tflite_bench.types import DeviceInfo

DEVICE = DeviceInfo("fake", "Paper", "none", "none", 4, "none", "1")


def written(path: Path, steps: Mapping[str, int | None]) -> Path:
    """Writes the file of layers ("conv float32") with these steps, None where one is not known; returns its path."""
    sweeps = []
    for name, step in steps.items():
        kind, dtype = name.split()
        tile = step or 1
        medians = {count: 0.1 + 0.02 * math.ceil(count / tile) * tile for count in counts()}
        points = tuple(Point(count, ms, 0.99 * ms, 1.01 * ms, 50) for count, ms in medians.items())
        sweeps.append(Sweep(kind, dtype, points, Step(step, {}, "as the test says"), DEVICE))
    path.write_text(json.dumps(Staircase(tuple(sweeps), BenchOptions()).to_json()))
    return path
