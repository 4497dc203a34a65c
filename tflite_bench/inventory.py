"""What models can be measured on right now: this machine and the attached phones, and why one cannot be used."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import shlex
from typing import Any

from tflite_bench.adb import texts
from tflite_bench.adb.client import attached, find_client, start_server
from tflite_bench.adb.connection import Adb
from tflite_bench.adb.texts import Attached
from tflite_bench.benchmark_model.binaries import executable_for, named_executables
from tflite_bench.conditions import Conditions
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import BenchError, DeviceError, DeviceLostError
from tflite_bench.host.info import host_info
from tflite_bench.phone import claim as phone_claim
from tflite_bench.phone import identity as phone_identity
from tflite_bench.phone import lock
from tflite_bench.phone import state as phone_state
from tflite_bench.phone.files import ROOT, free_mb, require_tools

_MAX_PHONES = 32  # looked at together; silent ones take until their deadline


@dataclasses.dataclass(frozen=True)
class Entry:
    """One device.

    Attributes:
        device: what to type for it: ``host`` or ``adb:SERIAL``.
        state: "ready", "in use", or adb's word for what keeps it from being used.
        reason: why it cannot be used and what to do; empty when it is ready.
        name: the processor, or a phone's model.
        arch: instruction set; for a phone the best of those it runs.
        os_version: operating system and version.
        cores: how many.
        core_groups: a phone's cores in words, from the slowest to the fastest.
        free_mb: free space for models on a phone, in units of 2**20 bytes.
        conditions: its state, unless it is in use, as looking at it would disturb.
    """

    device: str
    state: str
    reason: str = ""
    name: str = ""
    arch: str = ""
    os_version: str = ""
    cores: int = 0
    core_groups: str = ""
    free_mb: float | None = None
    conditions: Conditions | None = None

    @property
    def ready(self) -> bool:
        """Whether it can be measured on now."""
        return self.state == READY

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as plain data."""
        return dataclasses.asdict(self)


READY, IN_USE = "ready", "in use"


def host_entry() -> Entry:
    """Returns what this machine is."""
    try:
        info = host_info()
    except DeviceError as error:
        return Entry("host", "unusable", str(error))
    return Entry("host", READY, "", info.name, info.arch, info.os_version, info.cores)


def phone_entries(options: DeviceOptions) -> list[Entry]:
    """Returns the phones that adb knows, in its order.

    Args:
        options: the adb client and the executables to take.

    Raises:
        OptionsError: an executable is none.
        DeviceError: adb does not work.
    """
    named_executables(options.benchmark_model)
    client = find_client(options.adb)
    start_server(client)
    phones = attached(client)
    with concurrent.futures.ThreadPoolExecutor(_MAX_PHONES) as workers:
        return list(workers.map(lambda phone: _phone_entry(client, phone, options), phones))


def _phone_entry(client: str, phone: Attached, options: DeviceOptions) -> Entry:
    device = f"adb:{phone.serial}"
    if not phone.usable:
        return Entry(device, phone.state, texts.advice(phone.state))
    try:
        return _known_entry(Adb(client, phone.serial), device, options)
    except DeviceLostError as error:
        return Entry(device, "silent", f"{error} {texts.advice('offline')}")


def _known_entry(adb: Adb, device: str, options: DeviceOptions) -> Entry:
    told = adb.sections({**phone_identity.COMMANDS, "claim": phone_claim.LOOK})
    identity = phone_identity.parse(told)
    entry = Entry(
        device,
        READY,
        name=identity.model,
        arch=identity.abis[0] if identity.abis else "unknown",
        os_version=f"Android {identity.android}",
        cores=identity.cores.count,
        core_groups=str(identity.cores),
    )
    holder = lock.holder(identity.serial or adb.serial) or phone_claim.holder(told["claim"])
    if holder:
        return dataclasses.replace(entry, state=IN_USE, reason=f"By {holder}.")
    answers = adb.sections({**phone_state.COMMANDS, "space": f"df -k {shlex.quote(ROOT)}"})
    entry = dataclasses.replace(entry, conditions=phone_state.parse(answers), free_mb=free_mb(answers["space"]))
    try:
        require_tools(identity, adb.serial)
        executable = executable_for(identity.abis, options.benchmark_model)
    except BenchError as error:
        return dataclasses.replace(entry, state="unusable", reason=str(error))
    return dataclasses.replace(entry, arch=executable.abi)
