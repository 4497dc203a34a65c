"""Which of the attached phones a device string means. Pure."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from tflite_bench.adb.texts import Attached, advice
from tflite_bench.errors import DeviceError, OptionsError

ALL = "all"
_MODEL = "?model="


def wanted_serials(argument: str, phones: Sequence[Attached], from_environment: str) -> tuple[str, ...]:
    """Returns the serial numbers that are meant, without a look at whether those named are there.

    Args:
        argument: what follows ``adb:``, see `tflite_bench.phone.open.open_adb`.
        phones: what ``adb devices`` lists.
        from_environment: ANDROID_SERIAL, which counts where no serial number is given.

    Raises:
        OptionsError: several phones are attached, of which not just one takes commands, and none is named; or one is
            named twice.
        DeviceError: none is attached.
    """
    argument = argument or from_environment
    if argument and argument != ALL:
        serials = tuple(part.strip() for part in argument.split(","))
        if "" in serials or len(set(serials)) < len(serials):
            raise OptionsError(f"Expected serial numbers with commas between, each once. Received: {argument!r}.")
        return serials
    if not phones:
        raise DeviceError(
            "No phone is attached. Switch on USB debugging in its developer options, plug it in and unlock it; for "
            "one on the network name it: adb:HOST:PORT."
        )
    if argument == ALL:
        return tuple(phone.serial for phone in phones if phone.usable)
    usable = [phone for phone in phones if phone.usable]
    if len(usable) == 1:  # what else is listed may be left over from a phone that moved to another address
        return (usable[0].serial,)
    if len(phones) > 1:
        listed = ", ".join(f"adb:{phone.serial} ({phone.state})" for phone in phones)
        raise OptionsError(f"Expected the name of one of {len(phones)} attached phones: {listed}; or adb:all.")
    (phone,) = phones
    if phone.state.startswith("offline"):  # it may come back in a moment
        return (phone.serial,)
    raise DeviceError(f"The phone {phone.serial} cannot be used: {phone.state}. {advice(phone.state)}")


def split_model(argument: str) -> tuple[str, str]:
    """Returns what comes before ``?model=`` in a device string, and the model's name behind it or ""."""
    names, _, model = argument.partition(_MODEL)
    return names, model.strip()


def wanted_model(models: Sequence[str], wanted: str) -> str:
    """Returns the one model whose phones are meant.

    Args:
        models: maker and model of each phone, at least one.
        wanted: the model that a person named, with or without its maker; "" where all are of one model.

    Raises:
        OptionsError: there are several models, and none is named; or none of that name.
    """
    counts = collections.Counter(models)
    listed = ", ".join(f"{count} x {name or 'unknown'}" for name, count in counts.most_common())
    if not wanted:
        if len(counts) == 1:
            return models[0]
        raise OptionsError(
            "Expected phones of one model, as latencies of different ones are not comparable. Received: "
            f"{listed}. Name one of them: 'adb:all{_MODEL}{counts.most_common(1)[0][0]}', in quotes."
        )
    for name in counts:
        if wanted.lower() == name.lower() or name.lower().endswith(f" {wanted.lower()}"):
            return name
    raise OptionsError(f"Expected a model that is attached: {listed}. Received: {_MODEL.strip('?')}{wanted}.")
