"""What a phone is: its name, its Android, the instruction sets that it runs. Pure."""

from __future__ import annotations

import dataclasses
import re

from tflite_bench.phone import cores as phone_cores
from tflite_bench.phone.cores import Cores

COMMANDS = {
    "properties": "getprop",
    "cores": phone_cores.COMMAND,
    "tools": "command -v sha256sum; command -v timeout; command -v taskset; command -v base64",
}
# A value may hold line breaks, so the bracket that ends it stands before a line break that a next property or the
# end follows.
_PROPERTY = re.compile(r"^\[([^\]\n]+)\]: \[(.*?)\]$(?=\n\[|\n*\Z)", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Identity:
    """One phone, as it describes itself.

    Attributes:
        serial: its own serial number, the same over USB and over the network; "" where it tells none.
        model: maker and model.
        android: version of Android, such as "14".
        build: the build's fingerprint; another one may come with another kernel and other clocks.
        abis: instruction sets that it runs, the best first.
        cores: its cores.
        tools: names of the programs, of those needed, that its shell has.
    """

    serial: str
    model: str
    android: str
    build: str
    abis: tuple[str, ...]
    cores: Cores
    tools: frozenset[str]


def parse(answers: dict[str, str]) -> Identity:
    """Returns the identity that the answers to `COMMANDS` tell."""
    properties = dict(_PROPERTY.findall(answers["properties"]))

    def first(*names: str) -> str:
        return next((value for value in (properties.get(name, "").strip() for name in names) if value), "")

    maker, model = first("ro.product.manufacturer"), first("ro.product.model", "ro.product.name")
    abis = first("ro.product.cpu.abilist", "ro.product.cpu.abi").split(",")
    return Identity(
        serial=first("ro.serialno", "ro.boot.serialno"),
        # Some models repeat the maker: "HUAWEI HUAWEI P20".
        model=model if model.lower().startswith(maker.lower()) else f"{maker} {model}".strip(),
        android=first("ro.build.version.release"),
        build=first("ro.build.fingerprint", "ro.build.display.id"),
        abis=tuple(abi.strip() for abi in abis if abi.strip()),
        cores=phone_cores.parse(answers["cores"]),
        tools=frozenset(line.rpartition("/")[2] for line in answers["tools"].split()),
    )
