"""The loop that measures again what cannot be trusted."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

from tflite_bench.device import Device
from tflite_bench.errors import OptionsError
from tflite_bench.interleave import ROUNDS, interleave
from tflite_bench.types import BenchOptions, Measurement, Verdict

RETRIES = 2

Review = Callable[[list[Measurement]], list[Measurement]]


def until_ok(
    device: Device,
    models: Sequence[str | os.PathLike[str]],
    options: BenchOptions | None = None,
    rounds: int = ROUNDS,
    retries: int = RETRIES,
    *,
    review: Review | None = None,
    on_block: Callable[[int, int], None] | None = None,
) -> list[list[Measurement]]:
    """Returns all attempts at measuring ``models`` in turns; the last one counts, and is OK if any was.

    An attempt in which any model's verdict is not OK is followed by another, at most ``retries`` times. Before each,
    the device is waited for until it is fit to measure, so that one that was hot can cool down. Each measurement tells
    what was wrong with the attempts before it.

    Args:
        device: where to measure.
        models: paths of .tflite files.
        options: how; the defaults of `BenchOptions` when None.
        rounds: blocks a model.
        retries: how often to measure again.
        review: called with each attempt's measurements; returns them, with another verdict where it knows more.
        on_block: see `interleave`.

    Raises:
        OptionsError: retries below 0, and as `interleave`.
        ModelFileError, DeviceError: as `interleave`.
    """
    if retries < 0:
        raise OptionsError(f"Expected retries to be 0 or more. Received: {retries}.")
    attempts: list[list[Measurement]] = []
    while True:
        measured = interleave(device, models, options, rounds, on_block=on_block)
        if review is not None:
            measured = review(measured)
        earlier = tuple(_trouble(attempt) for attempt in attempts)
        attempts.append([dataclasses.replace(one, attempts=earlier) for one in measured])
        if not _trouble(measured) or len(attempts) > retries:
            return attempts


def _trouble(measured: Sequence[Measurement]) -> str:
    """The first verdict that is not OK, or nothing."""
    return next((one.verdict.value for one in measured if one.verdict is not Verdict.OK), "")
