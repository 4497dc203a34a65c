"""Small projects for tests of the command line: a network that learns digits in seconds, and ways to run verbs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfmeta.lazy import keras

IMAGE = (16, 16, 1)
CLASSES = 10
TRAIN = ("--dataset=digits", "--batch_size=32", "--epochs=2", "--noaugment")
SEARCH = ("--generations=2", "--population=4", "--calibration_images=100", "--max_macs=0.6x")
RETRAIN = ("--batch_size=32", "--epochs=1", "--noaugment")
EXPORT = ("--num_runs=10",)


def small_model() -> Any:
    """A Sequential model of three convolutions."""
    layers: list[Any] = [keras.Input(IMAGE, name="image"), keras.layers.Rescaling(1 / 127.5, -1.0)]
    for index, (filters, stride) in enumerate([(16, 2), (24, 2), (32, 2)]):
        layers += [
            keras.layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, name=f"conv{index}"),
            keras.layers.BatchNormalization(momentum=0.9, name=f"bn{index}"),
            keras.layers.ReLU(name=f"relu{index}"),
        ]
    return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(CLASSES, name="logits")])


def saved_model(path: Path) -> Path:
    """Writes `small_model` with the same weights every time, and returns ``path``."""
    keras.utils.set_random_seed(0)
    small_model().save(path)
    return path


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Starts ``tfmeta ARGUMENTS`` in a process of its own."""
    command = [sys.executable, "-m", "tfmeta", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finished(process: subprocess.Popen[str], timeout: float = 400) -> subprocess.CompletedProcess[str]:
    """Waits for a process and returns what it said."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def signal_when(process: subprocess.Popen[str], happened: Callable[[], bool], number: int = signal.SIGKILL) -> None:
    """Sends a signal as soon as ``happened``, which must be before the process ends by itself."""
    end = time.monotonic() + 300
    while not happened():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            _, err = process.communicate()
            raise AssertionError(f"It ended before it could be stopped: {err[-2000:]}")
        time.sleep(0.005)
    os.kill(process.pid, number)


def trials(workdir: Path) -> int:
    """Number of trials in the store."""
    try:
        with sqlite3.connect(f"file:{workdir / 'store.sqlite'}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
    except sqlite3.Error:
        return 0  # not there yet


def read(path: Path) -> Any:
    """The JSON at ``path``."""
    return json.loads(path.read_text("utf-8"))


def contents(folder: Path, but: Sequence[str] = ()) -> dict[str, bytes]:
    """Relative path to bytes of every file in ``folder``, but for those whose name begins like one of ``but``."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(tuple(but))
    }


def write(path: Path, value: Any) -> None:
    """Writes ``value`` as JSON."""
    path.write_text(json.dumps(value), "utf-8")
