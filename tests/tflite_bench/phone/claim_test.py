"""Who uses a phone, told on the phone itself."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.phone import Phone
from tflite_bench.adb.client import find_client
from tflite_bench.adb.connection import Adb, ShellResult
from tflite_bench.errors import DeviceBusyError
from tflite_bench.phone import claim as phone_claim
from tflite_bench.phone import files as phone_files
from tflite_bench.phone.claim import FOLDER, PhoneClaim


@pytest.fixture
def claim(phone: Phone, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> PhoneClaim:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    return PhoneClaim(Adb(find_client(), phone.serial), "Pixel (1)", 10.0)


@pytest.fixture
def other(phone: Phone, claim: PhoneClaim, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> PhoneClaim:
    """A claim that another computer holds."""
    found = PhoneClaim(Adb(find_client(), phone.serial), "Pixel (1)", 10.0)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
        patch.setattr(phone_claim, "_host", lambda: "desk pid:[1]")
        patch.setattr(sys, "argv", ["tflite-bench", "run", "$(touch x)'.tflite"])
        found.take()
    return found


def test_a_claim_is_taken_and_given_back(phone: Phone, claim: PhoneClaim) -> None:
    claim.take()
    assert claim.taken and phone.changes() == {f"{FOLDER}/holder": "new"}
    claim.take()  # after a reboot
    claim.release()
    assert phone.changes() == {} and not phone.path(FOLDER).exists()


def test_a_phone_that_another_computer_uses_is_busy(phone: Phone, claim: PhoneClaim, other: PhoneClaim) -> None:
    words = rf"Pixel \(1\) is in use by process {os.getpid()} on desk \(tflite-bench run \$\(touch x\)'\.tflite\)"
    with pytest.raises(DeviceBusyError, match=words):
        claim.take()
    assert not claim.taken
    claim.release()
    other.release()
    claim.take()
    claim.release()
    assert phone.changes() == {}


def test_a_claim_from_before_the_phone_s_start_does_not_hold(
    phone: Phone, claim: PhoneClaim, other: PhoneClaim
) -> None:
    phone.state.boot()
    claim.take()
    other.release()  # not his any more
    assert phone.path(f"{FOLDER}/holder").exists()


def test_a_claim_that_nobody_has_touched_for_hours_does_not_hold(
    phone: Phone, claim: PhoneClaim, other: PhoneClaim
) -> None:
    note = phone.path(f"{FOLDER}/holder")
    hours_ago = note.stat().st_mtime - phone_claim.FORGOTTEN_SECS - 60
    os.utime(note, (hours_ago, hours_ago))
    Adb(find_client(), phone.serial).shell(phone_claim.TOUCH)
    with pytest.raises(DeviceBusyError):
        claim.take()
    os.utime(note, (hours_ago, hours_ago))
    claim.take()
    assert claim.taken


def test_a_claim_of_a_process_that_has_ended_here_does_not_hold(
    phone: Phone, claim: PhoneClaim, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    theirs = PhoneClaim(Adb(find_client(), phone.serial), "x", 10.0)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
        patch.setattr(os, "getpid", lambda: ended.pid)
        theirs.take()
    claim.take()
    assert claim.taken


@pytest.mark.parametrize("note", [None, "", "garbage", "bm90IGpzb24=", "e30= x"])
def test_a_note_that_tells_nothing_holds_for_a_minute(phone: Phone, claim: PhoneClaim, note: str | None) -> None:
    phone.path(FOLDER).mkdir()
    if note is not None:
        phone.path(f"{FOLDER}/holder").write_text(note)
    with pytest.raises(DeviceBusyError, match="in use by another computer or user"):
        claim.take()
    for path in (phone.path(FOLDER), phone.path(f"{FOLDER}/holder")):
        if path.exists():
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
    claim.take()
    assert claim.taken


def test_the_note_s_words_cannot_reach_the_phone_s_shell() -> None:
    note = phone_claim.Note("$(x)", 1, "'; rm -rf /", "/a", "t")
    assert set(note.packed()) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert phone_claim.read(f"note: {note.packed()} boot\n") == phone_claim.Note(**{**vars(note), "boot_id": "boot"})
    assert json.dumps(phone_claim.holder("")) == '""'


def test_computers_of_one_name_do_not_take_each_other_s_phone(
    phone: Phone, claim: PhoneClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = PhoneClaim(Adb(find_client(), phone.serial), "x", 10.0)
    with monkeypatch.context() as patch:
        for module in (phone_claim, phone_files):
            patch.setattr(module, "computer_id", lambda: "another")
        patch.setattr(os, "getpid", lambda: 2**22 + 1)
        theirs.take()
    with pytest.raises(DeviceBusyError):
        claim.take()


def test_a_note_that_changes_while_it_is_taken_over_stays(
    phone: Phone, claim: PhoneClaim, other: PhoneClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.state.boot()  # it does not hold any more
    adb, note = Adb(find_client(), phone.serial), f"{FOLDER}/holder"
    fresh = f"{phone_claim.Note('elsewhere', 7, 'x', '/y', 'token').packed()} $(cat /proc/sys/kernel/random/boot_id)"
    shell = adb.shell

    def overtaken(command: str, deadline_secs: float) -> ShellResult:
        return shell(command.replace(f"mv {FOLDER} ", f"echo {fresh} > {note} && mv {FOLDER} ", 1), deadline_secs)

    monkeypatch.setattr(adb, "shell", overtaken)
    with pytest.raises(DeviceBusyError, match="process 7 on elsewhere"):
        PhoneClaim(adb, "x", 10.0).take()
    assert phone.path(note).exists() and len(list(phone.path(FOLDER).parent.glob("tflite_bench.lock*"))) == 1
