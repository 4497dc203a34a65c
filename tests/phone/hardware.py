"""What a phone is made of, and the files in which Android shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Equal cores.

    Attributes:
        cores: how many.
        top_khz: the clock they are built for.
    """

    cores: int
    top_khz: int


@dataclasses.dataclass(frozen=True)
class Hardware:
    """A phone, by default one with four little, three big and one prime core.

    Attributes:
        serial_number: ``ro.serialno``, any text.
        features: what adbd offers; without ``shell_v2`` there are no exit codes.
        has_fixed_performance: whether the phone has a fixed-performance mode.
        missing: programs that are not there, as on old phones.
        unreadable_clocks: the shell may not read the clocks, as on some phones.
        properties: more properties, or others.
    """

    model: str = "Mi 11"
    manufacturer: str = "Xiaomi"
    device: str = "venus"
    serial_number: str = "4a7b0c1d"
    android: str = "13"
    sdk: int = 33
    abis: tuple[str, ...] = ("arm64-v8a", "armeabi-v7a", "armeabi")
    build: str = "Xiaomi/venus/venus:13/TKQ1.220829.002/V14.0.2:user/release-keys"
    clusters: tuple[Cluster, ...] = (Cluster(4, 1804800), Cluster(3, 2419200), Cluster(1, 2841600))
    features: tuple[str, ...] = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir", "sendrecv_v2")
    has_fixed_performance: bool = True
    missing: tuple[str, ...] = ()
    unreadable_clocks: bool = False
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def tops_khz(self) -> tuple[int, ...]:
        """The clock that each core is built for, by number."""
        return tuple(cluster.top_khz for cluster in self.clusters for _ in range(cluster.cores))

    def all_properties(self) -> dict[str, str]:
        """Returns what ``getprop`` tells."""
        return {
            "ro.product.model": self.model,
            "ro.product.manufacturer": self.manufacturer,
            "ro.product.brand": self.manufacturer.lower(),
            "ro.product.name": self.device,
            "ro.product.device": self.device,
            "ro.product.cpu.abi": self.abis[0],
            "ro.product.cpu.abilist": ",".join(self.abis),
            "ro.product.cpu.abilist64": ",".join(abi for abi in self.abis if "64" in abi),
            "ro.build.version.release": self.android,
            "ro.build.version.sdk": str(self.sdk),
            "ro.build.fingerprint": self.build,
            "ro.build.id": "TKQ1.220829.002",
            "ro.build.type": "user",
            "ro.serialno": self.serial_number,
            "ro.boot.serialno": self.serial_number,
            "ro.hardware": "qcom",
            "ro.board.platform": "lahaina",
            "ro.soc.model": "SM8350",
            "sys.boot_completed": "1",
            **self.properties,
        }

    def banner(self) -> bytes:
        """Returns what the phone says of itself when a computer connects."""
        words = {
            "ro.product.name": self.device,
            "ro.product.model": self.model,
            "ro.product.device": self.device,
            "features": ",".join(self.features),
        }
        return ("device::" + "".join(f"{key}={value};" for key, value in words.items())).encode()

    def core_files(self, limits_khz: tuple[int, ...], clocks_khz: tuple[int, ...]) -> dict[str, str]:
        """Returns what lies under /sys/devices/system/cpu, by path."""
        tops = self.tops_khz
        everyone = f"0-{len(tops) - 1}" if len(tops) > 1 else "0"
        files = {name: f"{everyone}\n" for name in ("online", "possible", "present")}
        for first, cores in self.policies():
            related = " ".join(map(str, cores)) + "\n"
            values = {
                "cpuinfo_max_freq": f"{tops[first]}\n",
                "cpuinfo_min_freq": "300000\n",
                "scaling_max_freq": f"{limits_khz[first]}\n",
                "scaling_min_freq": "300000\n",
                "scaling_cur_freq": f"{clocks_khz[first]}\n",
                "scaling_governor": "schedutil\n",
                "related_cpus": related,
                "affected_cpus": related,
            }
            files |= {f"cpufreq/policy{first}/{name}": text for name, text in values.items()}
            for core in cores:
                files[f"cpu{core}/online"] = "1\n"
                files[f"cpu{core}/cpu_capacity"] = f"{1024 * tops[first] // max(tops)}\n"
        if self.unreadable_clocks:
            files = {path: text for path, text in files.items() if "scaling_" not in path}
        return {f"/sys/devices/system/cpu/{path}": text for path, text in files.items()}

    def policies(self) -> list[tuple[int, range]]:
        """Returns the first core of each cluster, and all of them."""
        found, first = [], 0
        for cluster in self.clusters:
            found.append((first, range(first, first + cluster.cores)))
            first += cluster.cores
        return found
