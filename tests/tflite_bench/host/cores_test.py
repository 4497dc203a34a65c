"""Cores of this machine, as its own files tell of them (here: a folder that a test writes)."""

from __future__ import annotations

import os
import pathlib
import threading

import pytest

from tflite_bench.errors import OptionsError
from tflite_bench.host import cores as host_cores

Files = dict[int, tuple[int, int, int]]  # core -> clock now, its limit, its top, in kHz

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    """Returns a function that sets up the cores 0 to 3, of which this process may use all but the last."""

    def make(files: Files) -> None:
        for core, values in files.items():
            folder = tmp_path / f"cpu{core}" / "cpufreq"
            folder.mkdir(parents=True)
            for name, value in zip(("scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq"), values, strict=True):
                (folder / name).write_text(f"{value}\n")
        (tmp_path / "cpufreq").mkdir()
        (tmp_path / "cpuidle").mkdir()
        monkeypatch.setattr(host_cores, "_CPUS", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})

    return make


SLOW, FAST = (600_000, 1_800_000, 1_800_000), (2_400_000, 2_200_000, 2_400_000)
UNLIKE = {0: SLOW, 1: SLOW, 2: FAST, 3: FAST}


@pytest.mark.parametrize(
    ("pin", "cores"),
    [("none", set()), ("all", {0, 1, 2}), ("big", {2}), ("little", {0, 1}), ("0x5", {0, 2}), ("0X2", {1})],
)
def test_pins_name_cores_that_this_process_may_use(machine, pin: str, cores: set[int]) -> None:
    machine(UNLIKE)
    assert host_cores.chosen_cores(pin) == cores


@pytest.mark.parametrize(
    ("files", "pin", "text"),
    [
        (UNLIKE, "0x8", r"may use: 0, 1, 2. Received: pin='0x8', which is 3"),
        (UNLIKE, "0xf0", r"which is 4, 5, 6, 7"),
        ({core: SLOW for core in range(4)}, "big", "have the same clock, so none is big. Give pin=all"),
        ({}, "little", "does not tell the clocks of its cores, so none is little"),
    ],
)
def test_cores_that_are_not_there_are_an_error(machine, files: Files, pin: str, text: str) -> None:
    machine(files)
    with pytest.raises(OptionsError, match=text):
        host_cores.chosen_cores(pin)


def test_a_system_that_cannot_pin_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    assert host_cores.chosen_cores("none") == set()
    with pytest.raises(OptionsError, match="cannot bind a program to cores"):
        host_cores.chosen_cores("all")


def test_clocks_are_told_core_by_core(machine) -> None:
    machine(UNLIKE)
    found = host_cores.clocks()
    assert found is not None
    assert found.clocks_mhz == ((0, 600), (1, 600), (2, 2400), (3, 2400))
    assert found.clock_limits_mhz == ((0, 1800), (1, 1800), (2, 2200), (3, 2200))
    assert found.clock_tops_mhz == ((0, 1800), (1, 1800), (2, 2400), (3, 2400))


def test_a_machine_without_clocks_tells_nothing(machine) -> None:
    machine({})
    assert host_cores.clocks() is None


def test_a_thread_is_kept_on_its_cores_and_those_it_starts_stay() -> None:
    before, chosen = os.sched_getaffinity(0), frozenset({min(os.sched_getaffinity(0))})
    seen: list[set[int]] = []
    with host_cores.on_cores(chosen):
        seen.append(os.sched_getaffinity(0))
        started = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        started.start()
        started.join()
    assert seen == [chosen, chosen]
    assert os.sched_getaffinity(0) == before
    with host_cores.on_cores(frozenset()):
        assert os.sched_getaffinity(0) == before
