"""The beginnings of executables for several processors."""

from __future__ import annotations

MACHINES = {"x86": 3, "armeabi-v7a": 40, "x86_64": 62, "arm64-v8a": 183, "riscv64": 243}


def elf(abi: str, more: bytes = b"") -> bytes:
    """Returns the beginning of an executable for ``abi``."""
    bits = 2 if "64" in abi else 1
    return (
        b"\x7fELF"
        + bytes([bits, 1, 1])
        + bytes(9)
        + (3).to_bytes(2, "little")
        + MACHINES[abi].to_bytes(2, "little")
        + more
    )
