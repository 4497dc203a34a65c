from __future__ import annotations

from tflite_bench.phone import identity

PROPERTIES = """\
[dalvik.vm.heapsize]: [512m]
[persist.odd]: [a
[b]: [c
d]
[ro.build.fingerprint]: [google/oriole/oriole:14/AP1A/1:user/release-keys]
[ro.build.version.release]: [14]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 6]
[ro.serialno]: [1A2B; $(x) 'é']
"""


def answers(**given: str) -> dict[str, str]:
    return dict.fromkeys(identity.COMMANDS, "") | given


def test_a_phone_is_read() -> None:
    found = identity.parse(
        answers(
            properties=PROPERTIES,
            cores="online:0-1\ncpu0/cpufreq/cpuinfo_max_freq:1000000\ncount:2\n",
            tools="/system/bin/sha256sum\n/system/bin/timeout\ntaskset\n",
        )
    )
    assert (found.model, found.android, found.serial) == ("Google Pixel 6", "14", "1A2B; $(x) 'é'")
    assert found.build == "google/oriole/oriole:14/AP1A/1:user/release-keys"
    assert found.abis == ("arm64-v8a", "armeabi-v7a", "armeabi")
    assert found.cores.count == 2
    assert found.tools == {"sha256sum", "timeout", "taskset"}


def test_the_maker_is_named_once() -> None:
    text = "[ro.product.manufacturer]: [HUAWEI]\n[ro.product.model]: [HUAWEI P20]\n"
    assert identity.parse(answers(properties=text)).model == "HUAWEI P20"


def test_an_old_phone_names_one_instruction_set() -> None:
    text = "[ro.product.cpu.abilist]: []\n[ro.product.cpu.abi]: [armeabi-v7a]\n[ro.boot.serialno]: [x]\n"
    found = identity.parse(answers(properties=text))
    assert (found.abis, found.serial) == (("armeabi-v7a",), "x")


def test_a_phone_that_tells_nothing_is_read() -> None:
    found = identity.parse(answers())
    assert (found.model, found.serial, found.abis, found.tools) == ("", "", (), frozenset())
