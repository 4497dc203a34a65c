"""Latency of structures and of finished files; the only room that knows of `tflite_bench`."""

from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import DeviceError, ModelFileError
from tfmeta.latency.measure import FileLatency, measure_files
from tfmeta.latency.objective import Latency
from tfmeta.latency.options import FINAL, LatencyOptions

__all__ = [
    "FINAL",
    "DeviceError",
    "DeviceOptions",
    "FileLatency",
    "Latency",
    "LatencyOptions",
    "ModelFileError",
    "measure_files",
]
