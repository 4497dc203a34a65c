"""A search that is killed with SIGKILL, several times, ends as one that was left alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search import killed_search
from tfmeta.store import Store

ROOT = Path(__file__).parents[2]


def start(path, searcher):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.search.killed_search", str(path), searcher],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("searcher", ["genetic", "random"])
def test_killed_again_and_again_it_gives_the_same_trials(tmp_path, searcher):
    path = tmp_path / "store.sqlite"
    evaluated = 0
    # After so many evaluations of each process: at once, within a generation, past its end.
    for patience in (1, 5, 11):
        child = start(path, searcher)
        for _ in range(patience):
            child.stdout.readline()
            evaluated += 1
        # The child races on, so the kill falls anywhere: in an evaluation, a write, the breeding.
        child.send_signal(signal.SIGKILL)
        evaluated += len(child.stdout.readlines())
        assert child.wait() == -signal.SIGKILL
    child = start(path, searcher)
    evaluated += len(child.stdout.readlines())
    assert child.wait() == 0

    whole = killed_search.run(None, searcher)
    assert killed_search.run(str(path), searcher) == whole
    with Store(path, must_exist=True) as store:
        stored = store.trials(searcher)
    assert tuple(trial for trial in stored if trial.generation >= 0) == whole.trials
    # Each kill may have cost the one evaluation it fell into, and nothing more.
    needed = sum("accuracy" in trial.values for trial in whole.trials)
    assert needed <= evaluated <= needed + 3
