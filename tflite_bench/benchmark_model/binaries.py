"""Which ``benchmark_model`` executable runs on a phone: those that were named, else those that were fetched."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence

from tflite_bench.benchmark_model.elf import ABIS, ARM64, elf_abi
from tflite_bench.benchmark_model.fetch import FLAVOURS, cached
from tflite_bench.benchmark_model.lines import TFLITE
from tflite_bench.errors import DeviceError, OptionsError


@dataclasses.dataclass(frozen=True)
class Executable:
    """One executable.

    Attributes:
        path: where it lies on this computer.
        abi: the instruction set that it is made for.
        sha256: hash of its content.
        size_bytes: its size.
        flavour: which of the two programs of that name it is; that of a named one shows when it runs.
    """

    path: pathlib.Path
    abi: str
    sha256: str
    size_bytes: int
    flavour: str = TFLITE


def named_executables(texts: Sequence[str]) -> dict[str, pathlib.Path]:
    """Returns the executables of ``DeviceOptions.benchmark_model`` by ABI.

    Args:
        texts: each a path, whose ABI is read from the file, or ``ABI=PATH`` where the file does not tell it.

    Raises:
        OptionsError: a file is missing, its ABI is unknown, or two are for the same one.
    """
    found: dict[str, pathlib.Path] = {}
    for text in texts:
        abi, equals, rest = text.partition("=")
        given = abi if equals and abi in ABIS else None
        path = pathlib.Path(os.path.expanduser(rest if given else text))
        try:
            read = elf_abi(path)
        except OSError as error:
            raise OptionsError(
                f"Expected the path of a benchmark_model executable. Received: {str(path)!r} ({error.strerror})."
            ) from error
        if given and read and given != read:
            raise OptionsError(f"Expected an executable for {given}. Received: {path}, which is made for {read}.")
        known = given or read
        if known is None:
            raise OptionsError(
                f"Expected a benchmark_model executable for one of {', '.join(ABIS)}. Received: {path}, which is no "
                f"such program. If it is one after all, write {ARM64}={path}, with the instruction set it is for."
            )
        if known in found:
            raise OptionsError(
                f"Expected one executable for each ABI. Received two for {known}: {found[known]}, {path}."
            )
        found[known] = path
    return found


def executable_for(abis: Sequence[str], texts: Sequence[str]) -> Executable:
    """Returns the executable for the best of a phone's instruction sets that there is one for.

    Args:
        abis: the phone's, the best first.
        texts: see `named_executables`; where there are none, what was fetched is taken.

    Raises:
        OptionsError: see `named_executables`.
        DeviceError: there is none for this phone, or a fetched one was changed.
    """
    named = named_executables(texts)
    for abi in abis:
        if abi in named:
            try:
                with named[abi].open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                    return Executable(named[abi], abi, sha256, file.tell())
            except OSError as error:
                raise OptionsError(f"Cannot read {named[abi]}: {error.strerror}.") from error
        if not texts:
            for flavour in FLAVOURS:
                fetched = cached(abi, flavour)
                if fetched is not None:
                    return Executable(fetched.path, abi, fetched.sha256, fetched.path.stat().st_size, flavour)
    wanted = ", ".join(abis) or "an unknown instruction set"
    if named:
        raise DeviceError(
            f"No benchmark_model for this phone: it runs {wanted}. "
            f"Received executables for: {', '.join(sorted(named))}."
        )
    raise DeviceError(
        f"No benchmark_model for this phone: it runs {wanted}. Get the official one with 'tflite-bench fetch "
        f"--abi={abis[0] if abis else ARM64}', or name your own with --benchmark_model=PATH."
    )
