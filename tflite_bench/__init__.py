"""Trustworthy latencies of TFLite models.

    import tflite_bench
    m = tflite_bench.benchmark("model.tflite", device="host")
    print(m.median_ms, m.p90_ms, m.verdict, m.reason)

Imports neither TensorFlow nor tfmeta; LiteRT is imported when the first model is loaded.
"""

from __future__ import annotations

import os

from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import DEVICES, Device, LoadedModel, open_device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import (
    BenchError,
    DeviceError,
    DeviceHotError,
    DeviceHungError,
    DeviceLostError,
    ModelFileError,
    OptionsError,
)
from tflite_bench.measure.interleave import ROUNDS, interleave
from tflite_bench.measure.pool import Pool
from tflite_bench.measure.repeat import until_ok
from tflite_bench.statistics.bootstrap import Comparison, compare
from tflite_bench.types import DeviceInfo, Measurement, Startup, Verdict

__all__ = [
    "DEVICES",
    "BenchError",
    "BenchOptions",
    "Comparison",
    "Device",
    "DeviceError",
    "DeviceHotError",
    "DeviceHungError",
    "DeviceInfo",
    "DeviceLostError",
    "DeviceOptions",
    "LoadedModel",
    "Measurement",
    "ModelFileError",
    "OptionsError",
    "Pool",
    "Startup",
    "Verdict",
    "benchmark",
    "compare",
    "interleave",
    "open_device",
    "until_ok",
]


def benchmark(
    path: str | os.PathLike[str],
    device: str = "host",
    options: BenchOptions | None = None,
    device_options: DeviceOptions | None = None,
) -> Measurement:
    """Returns the latency of the model at ``path``, timed in several blocks.

    Args:
        path: a .tflite file.
        device: a device string, such as ``host``.
        options: how to measure; the defaults of `BenchOptions` when None.
        device_options: how to reach the device; the defaults of `DeviceOptions` when None.

    Raises:
        OptionsError: no such device.
        ModelFileError: the file is no model, or the runtime cannot run it.
        DeviceError: the device fails.
    """
    options = BenchOptions() if options is None else options
    with open_device(device, device_options) as opened:
        return opened.benchmark(path, options, min(ROUNDS, options.num_runs))
