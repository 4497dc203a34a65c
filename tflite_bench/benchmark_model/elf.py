"""For which processor an executable is made: read from the header of the ELF file."""

from __future__ import annotations

import pathlib
import struct

# Machine numbers of the ELF specification (e_machine) and Android's names of them:
# https://developer.android.com/ndk/guides/abis
ARM64 = "arm64-v8a"
_ABIS = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: ARM64, 243: "riscv64"}
ABIS = tuple(_ABIS.values())
_MAGIC = b"\x7fELF"
_HEADER_BYTES = 20


def elf_abi(path: pathlib.Path) -> str | None:
    """Returns Android's name of the instruction set that the file is made for; None if it is no such file.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or not head.startswith(_MAGIC):
        return None
    order = {1: "<", 2: ">"}.get(head[5])  # EI_DATA: which end of a number comes first
    if order is None:
        return None
    (machine,) = struct.unpack_from(f"{order}H", head, 18)
    return _ABIS.get(machine)
