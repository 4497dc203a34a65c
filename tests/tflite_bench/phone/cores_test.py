from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_bench.errors import DeviceError, OptionsError
from tflite_bench.phone import cores as phone_cores
from tflite_bench.phone.cores import Cores


def text(clocks_khz: list[int], online: str = "", allowed: str = "", name: str = "cpufreq/cpuinfo_max_freq") -> str:
    lines = [f"online:{online}"] if online else []
    lines += [f"cpu{core}/{name}:{clock}" for core, clock in enumerate(clocks_khz) if clock]
    lines += [f"count:{len(clocks_khz)}"]
    lines += [f"Cpus_allowed_list:\t{allowed}"] if allowed else []
    return "\n".join(lines) + "\n"


PIXEL = phone_cores.parse(text([1803000] * 4 + [2348000] * 2 + [2850000] * 2, "0-7", "0-7"))
PRIME = phone_cores.parse(text([1804800] * 4 + [2419200] * 3 + [2841600], "0-7", "0-7"))


@pytest.mark.parametrize(
    ("cores", "pin", "threads", "mask"),
    [
        (PIXEL, "none", 99, None),
        (PIXEL, "big", 2, 0xC0),
        (PIXEL, "little", 4, 0x0F),
        (PIXEL, "all", 8, 0xFF),
        (PIXEL, "0xf0", 4, 0xF0),
        (PIXEL, "0x1", 1, 0x01),
        (PRIME, "big", 1, 0x80),
        (PRIME, "0x070", 3, 0x70),
    ],
)
def test_the_mask_of_each_pin(cores: Cores, pin: str, threads: int, mask: int | None) -> None:
    assert cores.mask(pin, threads) == mask


def test_groups_go_from_the_slowest_to_the_fastest_wherever_they_are_numbered() -> None:
    swapped = phone_cores.parse(text([2000000] * 2 + [1000000] * 2, "0-3", "0-3"))
    assert (swapped.mask("big", 1), swapped.mask("little", 1)) == (0b0011, 0b1100)
    assert str(PRIME) == ("4 x at 1804 MHz (cores 0-3) + 3 x at 2419 MHz (cores 4-6) + 1 x at 2841 MHz (cores 7)")


def test_cores_that_are_alike_are_big_and_little() -> None:
    alike = phone_cores.parse(text([1500000] * 4, "0-3", "0-3"))
    assert alike.mask("big", 4) == alike.mask("little", 4) == alike.mask("all", 4) == 0xF


def test_without_clocks_the_capacities_tell() -> None:
    cores = phone_cores.parse(text([300, 300, 1024], "0-2", "0-2", name="cpu_capacity"))
    assert (cores.mask("big", 1), cores.mask("little", 2)) == (0b100, 0b011)
    assert "MHz" not in str(cores)


def test_a_phone_that_tells_nothing_has_cores_all_the_same() -> None:
    assert phone_cores.parse("count:4\n").mask("all", 4) == 0xF
    assert phone_cores.parse("").count == 1


def test_cores_that_are_off_or_not_allowed_are_left_out() -> None:
    cores = phone_cores.parse(text([1000000] * 4 + [2000000] * 4, "0-5,7", "0-3,6-7"))
    assert cores.usable == (0, 1, 2, 3, 7)
    assert cores.mask("big", 1) == 0x80
    assert cores.mask("all", 5) == 0x8F


@pytest.mark.parametrize(
    ("pin", "threads", "message"),
    [
        ("0x100", 1, r"can be used now: 0-7\. Received: pin=0x100, which has 8 besides"),
        ("0x1ff", 1, "which has 8 besides"),
        ("big", 3, r"pin=big has 2 \(6-7\)\. Received: threads=3\. Its 3 fastest cores are pin=0xd0"),
        ("all", 9, "The phone has 8 cores"),
        ("little", 5, "fastest cores are pin=0xf1"),
    ],
)
def test_what_cannot_be_pinned_is_told_with_what_can(pin: str, threads: int, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        PIXEL.mask(pin, threads)


def test_a_group_that_is_switched_off_is_told() -> None:
    cores = phone_cores.parse(text([1000000] * 4 + [2000000] * 4, "0-3", "0-3"))
    with pytest.raises(DeviceError, match=r"None of the cores of pin=big \(4-7\).*These can: 0-3.*let it cool down"):
        cores.mask("big", 1)


OFF = phone_cores.parse(text([1803000] * 6 + [0, 0], "0-5", "0-7"))


@pytest.mark.parametrize("pin", ["big", "little"])
@pytest.mark.parametrize("cores", [OFF, phone_cores.parse(text([1804800] * 4 + [2419200] * 3 + [0], "0-6"))])
def test_what_cores_that_are_off_are_made_for_is_not_guessed(cores: Cores, pin: str) -> None:
    off = phone_cores.spans(cores.unknown)
    with pytest.raises(DeviceError, match=rf"pin={pin} cannot be told: .* its cores {off}, .*let it cool down.*pin=0x"):
        cores.mask(pin, 1)
    assert cores.count == 8 and f"1 x at an unknown clock (cores {off})"[1:] in str(cores)
    assert cores.mask("all", 1) == sum(1 << core for core in cores.usable)
    assert cores.mask("0x3", 1) == 0x3


def test_an_earlier_look_tells_what_cores_that_are_off_are_made_for() -> None:
    now = OFF.remembering(PIXEL)
    assert now.usable == OFF.usable and now.mask("little", 4) == 0x0F
    with pytest.raises(DeviceError, match=r"None of the cores of pin=big \(6-7\)"):
        now.mask("big", 1)
    assert PIXEL.remembering(OFF) == PIXEL


def test_capacities_tell_of_cores_that_are_off_where_clocks_do_not() -> None:
    capacities = "".join(f"cpu{core}/cpu_capacity:{300 if core < 4 else 1024}\n" for core in range(8))
    cores = phone_cores.parse(text([1803000] * 4 + [0] * 4, "0-3", "0-7") + capacities)
    assert cores.unknown == () and cores.mask("little", 4) == 0x0F
    with pytest.raises(DeviceError, match=r"pin=big \(4-7\)"):
        cores.mask("big", 1)


@given(st.sets(st.integers(0, 40), min_size=1))
def test_spans_are_read_as_they_are_written(cores: set[int]) -> None:
    parsed = phone_cores.parse(text([1000] * 41, phone_cores.spans(cores)))
    assert parsed.usable == tuple(sorted(cores))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=16), st.sampled_from(["big", "little", "all"]))
def test_a_mask_holds_usable_cores_only(clocks: list[int], pin: str) -> None:
    cores = phone_cores.parse(text([clock * 1000 for clock in clocks]))
    if cores.unknown and pin != "all":
        with pytest.raises(DeviceError):
            cores.mask(pin, 1)
        return
    mask = cores.mask(pin, 1)
    assert mask is not None
    assert 0 < mask < 1 << len(clocks)
    assert cores.count == len(clocks)


@given(st.text())
def test_no_text_makes_the_parser_fail(anything: str) -> None:
    assert phone_cores.parse(anything).usable
