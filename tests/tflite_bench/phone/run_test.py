"""The command for one run, carried out by this machine's own shell."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tflite_bench.adb.connection import ShellResult
from tflite_bench.phone import run as phone_run
from tflite_bench.phone.run import PhoneAnswer, PhoneRun

MARKER = phone_run.new_marker()


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make(where: pathlib.Path, script: str, **changes: object) -> PhoneRun:
    # Under their hashes, as on a phone.
    text = f"#!/bin/sh\n{script}\n".encode()
    program = where / f"{hashlib.sha256(text).hexdigest()}.benchmark_model"
    model = where / f"{hashlib.sha256(b'model').hexdigest()}.tflite"
    program.write_bytes(text)
    program.chmod(0o755)
    model.write_bytes(b"model")
    values: dict[str, object] = {
        "folder": str(where),
        "program": str(program),
        "program_sha256": sha256(program),
        "model": str(model),
        "model_sha256": sha256(model),
        "arguments": ["--graph=" + str(model)],
        "result": str(where / "x.result"),
        "mask": None,
        "limit_secs": 20,
    }
    return PhoneRun(**(values | changes))  # type: ignore[arg-type]


def carry_out(run: PhoneRun) -> PhoneAnswer:
    done = subprocess.run(["sh", "-c", phone_run.command(run, MARKER)], capture_output=True, text=True, timeout=30)
    return phone_run.read(ShellResult(done.stdout, done.stderr, done.returncode), MARKER)


def test_output_code_and_result_come_back_as_they_are(tmp_path: pathlib.Path) -> None:
    script = 'printf "one\\n\\ntwo"; printf err >&2; printf "\\001\\377" > x.result; exit 7'
    answer = carry_out(make(tmp_path, script))
    assert dataclasses.replace(answer, seen="") == PhoneAnswer("one\n\ntwo", "err", 7, b"\x01\xff", "", True)
    assert not (tmp_path / "x.result").exists()


def test_a_result_of_before_is_not_taken(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.result").write_bytes(b"old")
    assert carry_out(make(tmp_path, "true")).result is None
    assert carry_out(make(tmp_path, "true", result=None)).result is None


@pytest.mark.parametrize("suffix", [".benchmark_model", ".tflite"])
def test_a_stale_file_of_equal_name_and_size_is_not_run(tmp_path: pathlib.Path, suffix: str) -> None:
    run = make(tmp_path, "touch ran")
    (path,) = tmp_path.glob(f"*{suffix}")
    path.write_bytes(path.read_bytes()[:-1] + b"~")
    answer = carry_out(run)
    assert not answer.ran and "not those that were put there" in answer.stale
    assert not (tmp_path / "ran").exists()


def test_files_that_are_as_they_were_are_not_hashed_again(tmp_path: pathlib.Path, monkeypatch) -> None:
    run = make(tmp_path, "touch ran")
    first = carry_out(run)
    assert first.seen and not first.stale
    (tmp_path / "bin").mkdir()
    counting = tmp_path / "bin" / "sha256sum"
    counting.write_text(f"#!/bin/sh\necho >> {tmp_path}/hashed\nexec {shutil.which('sha256sum')}\n")
    counting.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    known = dataclasses.replace(run, known=first.seen)
    assert carry_out(known).seen == first.seen and not (tmp_path / "hashed").exists()
    assert carry_out(run).seen == first.seen and (tmp_path / "hashed").read_text() == "\n\n"
    path = pathlib.Path(run.model)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"~odel")
    os.utime(path, ns=times)  # size and time of writing as before: the time of the change tells
    answer = carry_out(known)
    assert not answer.ran and answer.stale and answer.seen == ""
    path.write_bytes(b"model")  # written to, but right
    answer = carry_out(known)
    assert answer.ran and not answer.stale and answer.seen not in ("", first.seen)


@pytest.mark.parametrize("time", ["2026-01-02 03:04:05.000000000 +0000", "2026-01-02 03:04:05 +0000", ""])
def test_a_phone_with_coarse_times_hashes_each_time(time: str) -> None:
    seen = f"12 34 {time} {time}"
    assert phone_run.read(ShellResult(f"\n{MARKER} same {seen} {seen}\n", "", 0), MARKER).seen == ""


def test_a_missing_file_is_not_run(tmp_path: pathlib.Path) -> None:
    run = make(tmp_path, "touch ran")
    pathlib.Path(run.model).unlink()
    assert not carry_out(run).ran


def test_a_file_that_is_replaced_meanwhile_is_told(tmp_path: pathlib.Path) -> None:
    answer = carry_out(make(tmp_path, "cp *.tflite other; mv other *.tflite"))
    assert answer.ran and "replaced while it ran" in answer.stale


def test_the_phone_itself_ends_what_takes_too_long(tmp_path: pathlib.Path) -> None:
    run = make(tmp_path, "exec sleep 60", limit_secs=0.3)
    begin = time.monotonic()
    answer = carry_out(run)
    assert time.monotonic() - begin < 10
    assert answer.timed_out(run, 1.0)
    assert not answer.timed_out(run, 0.2)


def test_a_program_that_is_killed_is_not_one_that_took_too_long(tmp_path: pathlib.Path) -> None:
    run = make(tmp_path, "kill -9 $$")
    answer = carry_out(run)
    assert answer.exit_code == 137 and not answer.timed_out(run, 0.1)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
def test_the_mask_is_given_as_android_takes_it(tmp_path: pathlib.Path) -> None:
    run = make(tmp_path, "grep Cpus_allowed: /proc/self/status", mask=1)
    assert " taskset 1 " in phone_run.command(run, MARKER)
    assert carry_out(run).stdout.split()[-1].lstrip("0,") == "1"
    assert " taskset f0 " in phone_run.command(make(tmp_path, "", mask=0xF0), MARKER)


def test_a_shell_that_was_ended_leaves_its_own_words() -> None:
    answer = phone_run.read(ShellResult("half of", "Killed", 137), MARKER)
    assert (answer.stdout, answer.exit_code, answer.result) == ("half of", 137, None)
    assert answer.stale == ""  # the exit code says enough
    answer = phone_run.read(ShellResult("text", "", 0), MARKER)
    assert answer.ran and "did not tell whether its files stayed" in answer.stale


def test_a_result_that_is_no_base64_is_none() -> None:
    answer = phone_run.read(ShellResult(f"text\n{MARKER} same\n???", "", 0), MARKER)
    assert (answer.stdout, answer.result) == ("text", None)


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(names, max_size=3))
def test_no_argument_reaches_the_shell_unquoted(tmp_path: pathlib.Path, arguments: list[str]) -> None:
    run = make(tmp_path, "for word; do printf '%s\\0' \"$word\"; done > x.result", arguments=arguments)
    result = carry_out(run).result or b""
    assert result.decode().split("\0")[:-1] == arguments
    assert {path.suffix for path in tmp_path.iterdir()} == {".tflite", ".benchmark_model"}


def test_the_command_is_short_enough_for_old_phones(tmp_path: pathlib.Path) -> None:
    folder = "/data/local/tmp/tflite_bench-0123456789ab"
    run = make(
        tmp_path, "", folder=folder, program=f"{folder}/{'0' * 64}.benchmark_model", model=f"{folder}/{'1' * 64}.tflite"
    )
    assert len(phone_run.command(run, MARKER)) < 2000  # one packet of theirs holds 4096
