"""What this machine is."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform

from tflite_bench.errors import DeviceError
from tflite_bench.types import DeviceInfo

_DISTRIBUTION = "ai-edge-litert"


def host_info() -> DeviceInfo:
    """Returns the description of this machine and of its LiteRT.

    Raises:
        DeviceError: LiteRT is not installed.
    """
    try:
        version = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise DeviceError(
            f"The device 'host' needs LiteRT, which is not installed. Run: pip install {_DISTRIBUTION}"
        ) from error
    return machine_info("host", "LiteRT", version)


def machine_info(kind: str, runtime: str, runtime_version: str) -> DeviceInfo:
    """Returns the description of this machine with a runtime; the arguments are those of `DeviceInfo`."""
    return DeviceInfo(
        kind=kind,
        name=_processor(),
        arch=platform.machine(),
        os_version=f"{platform.system()} {platform.release()}",
        cores=_cores(),
        runtime=runtime,
        runtime_version=runtime_version,
    )


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    # A container or taskset may allow this process fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
