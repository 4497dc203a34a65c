from __future__ import annotations

import hashlib
import pathlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tflite_bench.benchmark_model.elf_files import MACHINES, elf
from tflite_bench.benchmark_model import fetch
from tflite_bench.benchmark_model.binaries import executable_for, named_executables
from tflite_bench.benchmark_model.elf import elf_abi
from tflite_bench.errors import DeviceError, DownloadError, OptionsError


def put(folder: pathlib.Path, name: str, content: bytes) -> pathlib.Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("abi", MACHINES)
def test_the_abi_is_read_from_the_file(tmp_path: pathlib.Path, abi: str) -> None:
    path = put(tmp_path, "benchmark_model", elf(abi))
    assert elf_abi(path) == abi
    assert named_executables([str(path)]) == {abi: path}
    assert named_executables([f"{abi}={path}"]) == {abi: path}


def test_big_endian_numbers_are_read_as_such(tmp_path: pathlib.Path) -> None:
    head = b"\x7fELF\x01\x02\x01" + bytes(9) + b"\0\x02" + (40).to_bytes(2, "big")
    assert elf_abi(put(tmp_path, "x", head)) == "armeabi-v7a"


@given(content=st.binary(max_size=64))
def test_no_content_makes_the_reader_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "anything"
    path.write_bytes(content)
    elf_abi(path)
    path.write_bytes(b"\x7fELF" + content)
    elf_abi(path)


def test_a_script_needs_its_abi_beside_it(tmp_path: pathlib.Path) -> None:
    path = put(tmp_path, "a=b.sh", b"#!/bin/sh\n")
    with pytest.raises(OptionsError, match=rf"no such program.*write arm64-v8a={re.escape(str(path))}"):
        named_executables([str(path)])
    assert named_executables([f"arm64-v8a={path}"]) == {"arm64-v8a": path}


def test_mistakes_in_naming_executables_are_told(tmp_path: pathlib.Path) -> None:
    path = put(tmp_path, "one", elf("x86_64"))
    with pytest.raises(OptionsError, match=r"for arm64-v8a\. Received: .*made for x86_64"):
        named_executables([f"arm64-v8a={path}"])
    with pytest.raises(OptionsError, match="two for x86_64"):
        named_executables([str(path), str(path)])
    with pytest.raises(OptionsError, match=r"missing' \(No such file"):
        named_executables([str(tmp_path / "missing")])
    with pytest.raises(OptionsError, match="Is a directory"):
        named_executables([str(tmp_path)])


def test_the_best_instruction_set_that_there_is_an_executable_for_is_taken(tmp_path: pathlib.Path) -> None:
    old, new = put(tmp_path, "old", elf("armeabi-v7a")), put(tmp_path, "new", elf("arm64-v8a"))
    abis = ("arm64-v8a", "armeabi-v7a", "armeabi")
    both = executable_for(abis, [str(old), str(new)])
    assert (both.path, both.abi, both.sha256) == (new, "arm64-v8a", hashlib.sha256(elf("arm64-v8a")).hexdigest())
    assert executable_for(abis, [str(old)]).abi == "armeabi-v7a"


def test_without_an_executable_it_is_told_how_to_get_one(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DeviceError, match=r"tflite-bench fetch --abi=arm64-v8a'.*--benchmark_model=PATH"):
        executable_for(("arm64-v8a", "armeabi-v7a"), [])
    path = put(tmp_path, "x", elf("x86_64"))
    with pytest.raises(DeviceError, match=r"runs arm64-v8a\. Received executables for: x86_64"):
        executable_for(("arm64-v8a",), [str(path)])


def test_what_was_fetched_is_taken_where_none_is_named(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "download", elf("armeabi-v7a"))
    fetched = fetch.take_file(tmp_path / "download", "armeabi-v7a")
    found = executable_for(("arm64-v8a", "armeabi-v7a"), [])
    assert (found.path, found.abi, found.flavour) == (fetched.path, "armeabi-v7a", "tflite")
    put(tmp_path, "download", elf("arm64-v8a"))
    fetch.take_file(tmp_path / "download", "arm64-v8a", "litert")
    assert executable_for(("arm64-v8a", "armeabi-v7a"), []).flavour == "litert"
    fetched.path.write_bytes(b"changed")
    with pytest.raises(DownloadError, match="changed since it was fetched"):
        executable_for(("armeabi-v7a",), [])
