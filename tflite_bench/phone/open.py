"""Phones by their device strings: ``adb``, ``adb:SERIAL``, ``adb:SERIAL1,SERIAL2``, ``adb:all``."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Sequence

from tflite_bench.adb import texts
from tflite_bench.adb.client import attached, find_client, start_server
from tflite_bench.adb.connection import SILENT, STARTING, Adb
from tflite_bench.device import Device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import DeviceError, DeviceLostError
from tflite_bench.measure.pool import Pool
from tflite_bench.messages import tell
from tflite_bench.phone.choice import ALL, split_model, wanted_model, wanted_serials
from tflite_bench.phone.device import AdbDevice, read_identity
from tflite_bench.phone.identity import Identity
from tflite_bench.phone.wait import wait_for_return

# In these states a phone may come back without a person who attaches, unlocks or starts it.
_COMES_BACK = (texts.DEVICE, "offline", SILENT, STARTING)
_MAX_PHONES = 32  # looked at together


@dataclasses.dataclass(frozen=True)
class _Found:
    adb: Adb
    identity: Identity


def open_adb(argument: str, options: DeviceOptions) -> Device:
    """Returns the phone, or the pool of phones, that follows ``adb:`` in a device string.

    Args:
        argument: "" for the only phone (or that of ANDROID_SERIAL), a serial number as adb shows it, host:port of one
            on the network, several with commas between, or "all". After several or all, "?model=NAME" takes those
            of that model.
        options: how to reach and treat them.

    Raises:
        OptionsError: it names no phone, leaves open which one, or they are of several models.
        DeviceBusyError: another process measures on it.
        DeviceError: it cannot be used; the message tells what to do.
    """
    client = find_client(options.adb)
    start_server(client)
    known = attached(client)
    names, model = split_model(argument)
    serials = wanted_serials(names, known, os.environ.get("ANDROID_SERIAL", ""))
    if names == ALL:
        for one in known:
            if not one.usable:
                tell(f"Measuring without {one.serial}: {one.state}. {texts.advice(one.state)}")
    elif len(serials) == 1 and not model:
        found = _look(client, serials[0], options.lost_secs)
        return AdbDevice(found.adb, options, found.identity)
    return _open_pool(client, serials, model, options)


def _look(client: str, serial: str, lost_secs: float) -> _Found:
    """Returns what the phone is, once it takes commands; one that adb does not know is not waited for.

    Raises:
        DeviceLostError: it is not there, or did not come in time.
        DeviceError: it cannot be used; the message tells what to do.
    """
    adb = Adb(client, serial)
    state = adb.reach()
    if state == texts.NOT_FOUND:
        listed = ", ".join(f"adb:{one.serial} ({one.state})" for one in attached(client)) or "none"
        raise DeviceLostError(f"The phone {serial} is not attached. Attached: {listed}. {adb.advice(state)}")
    if state not in _COMES_BACK:
        raise DeviceError(f"The phone {serial} cannot be used: {state}. {adb.advice(state)}")
    found: list[Identity] = []
    wait_for_return(adb, serial, lost_secs, lambda: found.append(read_identity(adb)), state=state)
    return _Found(adb, found[-1])


def _open_pool(client: str, serials: Sequence[str], model: str, options: DeviceOptions) -> Pool:
    reasons: list[str] = []

    def without(serial: str, error: DeviceError) -> None:
        reasons.append(f"{serial}: {error}")
        tell(f"Measuring without {serial}: {error}")

    # The pool waits for phones that went away, while the others work; each of them looks once and no more.
    each = dataclasses.replace(options, lost_secs=0.0)
    there: list[_Found] = []
    with concurrent.futures.ThreadPoolExecutor(_MAX_PHONES) as workers:
        looks = [(serial, workers.submit(_look, client, serial, 0.0)) for serial in serials]
        for serial, look in looks:
            try:
                there.append(look.result())
            except DeviceError as error:
                without(serial, error)
    # Before anything is done to any of them: phones of another model would be locked and prepared in vain.
    wanted = wanted_model([one.identity.model for one in there], model) if there else ""
    phones: list[AdbDevice] = []
    try:
        for one in there:
            if one.identity.model != wanted:
                continue
            try:
                phones.append(AdbDevice(one.adb, each, one.identity, pooled=True))
            except DeviceError as error:
                without(one.adb.serial, error)
        if not phones:
            raise DeviceError(
                f"None of the phones can be used. {' '.join(reasons) or 'No phone takes commands.'} "
                "'tflite-bench devices' tells more."
            )
        return Pool(phones, lost_secs=options.lost_secs)
    except BaseException:
        with contextlib.ExitStack() as stack:  # all of them, also where some fail
            for phone in phones:
                stack.callback(phone.close)
        raise
