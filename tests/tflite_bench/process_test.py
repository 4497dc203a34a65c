"""Programs with a deadline; `adb_test` and `binary_test` tell what comes of it."""

from __future__ import annotations

import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator

import pytest

from tflite_bench.process import Cut, Runner

MOST = 10**6


def sh(text: str, runner: Runner | None = None, secs: float = 20.0, **more: bool) -> tuple[bytes, int, Cut | None]:
    ran = (runner or Runner()).run(["/bin/sh", "-c", text], secs, MOST, **more)
    return ran.stdout, ran.exit_code, ran.cut


def test_what_ends_by_itself_gives_its_code() -> None:
    assert sh("echo a; exit 3") == (b"a\n", 3, None)
    assert sh("kill -9 $$") == (b"", -9, None)


def test_what_does_not_end_is_killed_with_what_it_printed() -> None:
    assert sh("echo a; sleep 60", secs=0.3) == (b"a\n", -9, Cut.LATE)
    out, code, cut = sh("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done")
    assert len(out) > MOST and (code, cut) == (-9, Cut.FLOOD)


def test_a_stopped_runner_kills_what_runs_and_what_comes_until_it_is_resumed() -> None:
    runner = Runner()
    threading.Timer(0.3, runner.stop).start()
    begin = time.monotonic()
    assert sh("sleep 60", runner)[2] is Cut.STOPPED
    assert sh("sleep 60", runner)[2] is Cut.STOPPED
    runner.wait(60)
    assert time.monotonic() - begin < 10
    runner.resume()
    assert sh("exit 1", runner) == (b"", 1, None)


@pytest.mark.parametrize("lives", [False, True])
def test_what_it_leaves_running_lives_only_where_that_is_wanted(tmp_path: pathlib.Path, lives: bool) -> None:
    done = tmp_path / "done"
    sh(f"(sleep 0.5; touch {done}) < /dev/null > /dev/null 2>&1 & echo begun", leaves_daemons=lives)
    time.sleep(1.0)
    assert done.exists() is lives


def test_what_is_no_program_is_an_error_of_the_system(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        Runner().run([str(tmp_path / "none")], 1.0, MOST)


def test_a_signal_right_after_the_start_leaves_nothing_running(tmp_path: pathlib.Path) -> None:
    @contextlib.contextmanager
    def interrupted() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner().run(["/bin/sh", "-c", f"sleep 0.5; touch {tmp_path}/done"], 20.0, MOST, starting=interrupted())
    time.sleep(1.0)
    assert not (tmp_path / "done").exists()
