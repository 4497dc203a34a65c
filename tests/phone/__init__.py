"""A phone made of software, for the real adb client: see `Phone`, and `AdbServer` for a server of one's own."""

from tests.phone.adb_server import AdbServer
from tests.phone.faults import Faults, Throttle
from tests.phone.hardware import Cluster, Hardware
from tests.phone.phone import Phone

__all__ = ["AdbServer", "Cluster", "Faults", "Hardware", "Phone", "Throttle"]
