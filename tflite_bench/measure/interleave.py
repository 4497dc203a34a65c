"""Several models timed in turns, so that what slows the device down meets all of them alike."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import Device, LoadedModel
from tflite_bench.errors import DeviceLostError, OptionsError
from tflite_bench.messages import tell
from tflite_bench.model_file import read_model_file
from tflite_bench.statistics.block import Block
from tflite_bench.statistics.summary import summarise
from tflite_bench.types import Measurement

ROUNDS = 10
# A phone that is lost more often than this in one measurement has a bad cable.
MAX_RESTARTS = 3

T = TypeVar("T")


def interleave(
    device: Device,
    models: Sequence[str | os.PathLike[str]],
    options: BenchOptions | None = None,
    rounds: int = ROUNDS,
    *,
    on_block: Callable[[int, int], None] | None = None,
) -> list[Measurement]:
    """Returns one measurement a model, in the order of ``models``.

    The device is waited for until it is fit to measure. All models are loaded first. Then each round
    times one block of every model, the next round in reverse order (A B, B A, A B, ...), so that a
    steady drift costs every model the same. The options' runs and seconds are those of a model in all
    its rounds together. ``stats.compare(a.blocks, b.blocks)`` then tells which is faster.

    Where the device goes away in the middle, everything is measured anew: no measurement is put
    together of a time before and a time after. Of a pool, one device measures all of it.

    Args:
        device: where to measure.
        models: paths of .tflite files.
        options: how; the defaults of `BenchOptions` when None.
        rounds: blocks a model.
        on_block: called as ``on_block(done, total)`` after each block, outside the timing. When
            everything is measured anew, ``done`` begins at 1 again.

    Raises:
        OptionsError: no models, or rounds below 1, or options that the device cannot follow.
        ModelFileError: a file is no model, or cannot be run; nothing is timed then.
        DeviceError: the device fails, or went away too often or for too long.
    """
    options = BenchOptions() if options is None else options
    if not models or rounds < 1:
        raise OptionsError(
            f"Expected at least one model and one round. Received: {len(models)} models, {rounds} rounds."
        )
    # A mistyped last path should not cost the loading of the ones before it.
    for model in models:
        read_model_file(model)
    return device.run_job(lambda one: whole(one, lambda: _measure(one, models, options, rounds, on_block), options.pin))


def whole(device: Device, measure: Callable[[], T], pin: str = "none") -> T:
    """Returns what ``measure`` returns, called again from its beginning where the device went away in the middle.

    Before each call the device is waited for until it is there and fit to measure on the cores of ``pin``.

    Raises:
        DeviceLostError: it went away more than `MAX_RESTARTS` times, or did not come back.
        BenchError: what ``measure`` raised.
    """
    restarts = 0
    while True:
        device.settle(pin)
        try:
            return measure()
        except DeviceLostError as error:
            if restarts == MAX_RESTARTS:
                text = (
                    f"{error} That happened {restarts + 1} times in one measurement: check cable and hub, and whether "
                    "the model runs there at all."
                )
                raise DeviceLostError(text) from error
            restarts += 1
            tell(f"{error} This measurement starts anew ({restarts} of at most {MAX_RESTARTS} times).")


def _measure(
    device: Device,
    models: Sequence[str | os.PathLike[str]],
    options: BenchOptions,
    rounds: int,
    on_block: Callable[[int, int], None] | None,
) -> list[Measurement]:
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    before = device.conditions()
    with contextlib.ExitStack() as stack:
        loaded = [stack.enter_context(device.load(model, options)) for model in models]
        blocks = _run_rounds(loaded, options, rounds, on_block)
        after = device.conditions()
        info = device.info()
        limits = dataclasses.replace(device.limits, pin=options.pin)
        return [
            summarise(
                one,
                timed,
                device=info,
                options=options,
                started_at=started_at,
                before=before,
                after=after,
                limits=limits,
            )
            for one, timed in zip(loaded, blocks, strict=True)
        ]


def _run_rounds(
    loaded: Sequence[LoadedModel],
    options: BenchOptions,
    rounds: int,
    on_block: Callable[[int, int], None] | None,
) -> list[list[Block]]:
    blocks: list[list[Block]] = [[] for _ in loaded]
    order = list(range(len(loaded)))
    done = 0
    for number in range(rounds):
        for index in order:
            block = loaded[index].run(
                max(1, (options.num_runs + number) // rounds),  # adds up to num_runs
                options.min_secs / rounds,
                options.max_secs / rounds,
            )
            blocks[index].append(block)
            done += 1
            if on_block is not None:
                on_block(done, rounds * len(loaded))
        order.reverse()
    return blocks
