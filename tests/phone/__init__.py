"""A phone made of software, for the real adb client: see `Phone`, and `AdbServer` for a server of one's own."""

from tests.phone.adb_server import AdbServer
from tests.phone.bench import Bench, write_benchmark_model
from tests.phone.bench_tool import Delegates
from tests.phone.faults import Faults, Throttle
from tests.phone.hardware import Cluster, Hardware
from tests.phone.phone import Phone

__all__ = [
    "AdbServer",
    "Bench",
    "Cluster",
    "Delegates",
    "Faults",
    "Hardware",
    "Phone",
    "Throttle",
    "write_benchmark_model",
]
