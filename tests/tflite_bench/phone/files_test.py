"""The folder on a phone, through the real adb client."""

from __future__ import annotations

import hashlib
import os
import pathlib
import time

import pytest

from tests.phone import Phone
from tflite_bench.adb import client as adb
from tflite_bench.adb.connection import Adb, NoSpaceError
from tflite_bench.errors import DeviceError, DeviceLostError, ModelFileError
from tflite_bench.phone import files as phone_files
from tflite_bench.phone.files import PhoneFiles

TMP = "/data/local/tmp"


@pytest.fixture
def files(phone: Phone) -> PhoneFiles:
    made = PhoneFiles(Adb(adb.find_client(), phone.serial), 10.0)
    made.prepare()
    return made


def make(folder: pathlib.Path, name: str, content: bytes) -> tuple[pathlib.Path, str]:
    path = folder / name
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def names(phone: Phone, files: PhoneFiles) -> set[str]:
    folder = phone.path(files.folder)
    return set(os.listdir(folder)) if folder.exists() else set()


def test_a_file_lies_under_its_hash_and_is_pushed_once(phone: Phone, files: PhoneFiles, tmp_path: pathlib.Path) -> None:
    path, sha256 = make(tmp_path, "a b'$(x).tflite", b"content")
    remote = files.put(path, sha256, ".tflite")
    assert remote == f"{files.folder}/{sha256}.tflite"
    assert phone.path(remote).read_bytes() == b"content"
    assert files.put(path, sha256, ".tflite") == remote
    assert len(phone.pushes) == 1
    assert all(push.endswith(".part") for push in phone.pushes)
    files.close(keep=False)
    assert phone.changes() == {}


def test_what_is_kept_is_there_for_the_next_time(phone: Phone, files: PhoneFiles, tmp_path: pathlib.Path) -> None:
    path, sha256 = make(tmp_path, "a", b"content")
    remote = files.put(path, sha256, ".tflite")
    phone.path(f"{files.folder}/1234.part").write_bytes(b"half")
    files.close(keep=True)
    assert names(phone, files) == {f"{sha256}.tflite"}
    again = PhoneFiles(Adb(adb.find_client(), phone.serial), 10.0)
    again.prepare()
    assert again.put(path, sha256, ".tflite") == remote
    assert len(phone.pushes) == 1


def test_what_a_killed_process_left_half_done_is_removed(phone: Phone, files: PhoneFiles) -> None:
    for name in ("1234.part", "0.result"):
        phone.path(f"{files.folder}/{name}").write_bytes(b"half")
    other = phone.path(f"{TMP}/tflite_bench-of-another")
    other.mkdir()
    (other / "1.part").write_bytes(b"theirs")
    files.prepare()
    assert names(phone, files) == set()
    assert (other / "1.part").exists()


def test_programs_that_outlived_their_connection_are_ended(phone: Phone, files: PhoneFiles) -> None:
    way = Adb(adb.find_client(), phone.serial)
    way.shell(
        f"cd {files.folder}; cp /system/bin/sleep x; "
        f"for i in 1 2; do {files.folder}/x 60 </dev/null >/dev/null 2>&1 & done"
    )
    way.shell("sleep 61 </dev/null >/dev/null 2>&1 &")
    assert len(phone.processes) == 3
    files.end_leftovers()
    deadline = time.monotonic() + 5
    while len(phone.processes) > 1:
        assert time.monotonic() < deadline
    (foreign,) = phone.processes
    assert foreign.arguments[-1] == "61"


def test_a_damaged_copy_is_pushed_again(phone: Phone, files: PhoneFiles, tmp_path: pathlib.Path) -> None:
    path, sha256 = make(tmp_path, "a", b"content" * 1000)
    phone.set(flip_bits=1)
    assert phone.path(files.put(path, sha256, ".tflite")).read_bytes() == path.read_bytes()
    other, sha256 = make(tmp_path, "b", b"others" * 1000)
    phone.set(flip_bits=9)
    with pytest.raises(DeviceError, match=rf"damaged copy .* 2 times: expected the SHA-256 {sha256}, received .*cable"):
        files.put(other, sha256, ".tflite")
    assert len(names(phone, files)) == 1


def test_a_file_that_changed_here_is_not_taken_for_the_one_that_was_read(
    phone: Phone, files: PhoneFiles, tmp_path: pathlib.Path
) -> None:
    path, sha256 = make(tmp_path, "a", b"content")
    path.write_bytes(b"CONTENT")
    with pytest.raises(ModelFileError, match="changed while it was copied"):
        files.put(path, sha256, ".tflite")
    path.unlink()
    with pytest.raises(ModelFileError, match=r"Cannot read .*No such file"):
        files.put(path, sha256, ".tflite")
    assert names(phone, files) == set()


def test_a_full_phone_is_told_with_what_is_free(phone: Phone, files: PhoneFiles, tmp_path: pathlib.Path) -> None:
    path, sha256 = make(tmp_path, "a.tflite", bytes(3 << 20))
    phone.set(no_space_after=1 << 20)
    with pytest.raises(NoSpaceError, match=r"a\.tflite needs 3\.0 MiB, 1 MiB are free\. Delete something"):
        files.put(path, sha256, ".tflite")
    assert names(phone, files) == set()


def test_room_is_made_by_removing_what_nobody_uses(
    phone: Phone, files: PhoneFiles, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_files, "KEPT_BYTES", 3500)
    made = [make(tmp_path, name, name.encode() * 1000) for name in "abcde"]
    remotes = []
    for path, sha256 in made[:3]:
        remotes.append(files.put(path, sha256, ".tflite"))
        files.hold(remotes[-1])
    files.release(remotes[1])
    files.release(remotes[2])
    files.put(*made[1], ".tflite")  # used again: now c is the one used longest ago
    files.put(*made[3], ".tflite")
    kept = [path.name for path, sha256 in made if f"{sha256}.tflite" in names(phone, files)]
    assert kept == ["a", "b", "d"]
    phone.set(no_space_after=100, keep_partial=True)
    with pytest.raises(NoSpaceError):
        files.put(*made[4], ".tflite")
    assert not any(name.endswith(".part") for name in names(phone, files))
    kept = [path.name for path, sha256 in made if f"{sha256}.tflite" in names(phone, files)]
    assert kept == ["a"]


def test_a_push_whose_connection_ends_leaves_nothing_behind(
    phone: Phone, files: PhoneFiles, tmp_path: pathlib.Path
) -> None:
    path, sha256 = make(tmp_path, "a", os.urandom(3 << 20))
    phone.set(cut_after_bytes=1 << 20, keep_partial=True)
    with pytest.raises(DeviceLostError):
        files.put(path, sha256, ".tflite")
    way = Adb(adb.find_client(), phone.serial)
    assert way.reach() == "device"
    files.prepare()
    assert names(phone, files) == set()
    files.put(path, sha256, ".tflite")
    assert names(phone, files) == {f"{sha256}.tflite"}


def test_a_folder_that_cannot_be_made_is_told(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_files, "ROOT", "/system")
    files = PhoneFiles(Adb(adb.find_client(), phone.serial), 10.0)
    with pytest.raises(DeviceError, match=r"Cannot use /system/tflite_bench-\w+ on the phone .*Permission denied"):
        files.prepare()


def test_the_folder_is_of_this_computer_user_and_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = phone_files.folder_of_this_computer()
    assert one == phone_files.folder_of_this_computer()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "o'th;er"))
    two = phone_files.folder_of_this_computer()
    assert one != two
    for folder in (one, two):
        assert folder.startswith(f"{TMP}/tflite_bench-") and folder.rpartition("-")[2].isalnum()


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("Filesystem     1K-blocks    Used Available Use% Mounted on\n/dev/x  1000 24 2048 58% /data\n", 2.0),
        (
            "Filesystem     1K-blocks    Used Available Use% Mounted on\n/dev/a/very/long\n  1000 24 512 58% /data\n",
            0.5,
        ),
        ("df: /data: No such file or directory\n", None),
        ("", None),
    ],
)
def test_free_space_is_read(text: str, free: float | None) -> None:
    assert phone_files.free_mb(text) == free
