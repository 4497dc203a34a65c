"""``tflite-bench compare A B``: both models in turns, and whether one is faster."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from absl import flags

from tflite_bench.bin import app, option_flags, screen
from tflite_bench.device import open_device
from tflite_bench.measure.interleave import ROUNDS
from tflite_bench.measure.repeat import until_ok
from tflite_bench.model_file import read_model_file
from tflite_bench.statistics import bootstrap
from tflite_bench.types import Verdict

FLAGS = flags.FlagValues()
USAGE = "A.tflite B.tflite [--flag=value ...]"

option_flags.define(FLAGS)
option_flags.define_retries(FLAGS)
option_flags.define_require_ok(FLAGS)
_ROUNDS = flags.DEFINE_integer("rounds", ROUNDS, "Blocks of inferences a model, in turns.", flag_values=FLAGS)


def main(paths: Sequence[str]) -> None:
    """Times the two models at ``paths`` in turns and prints the comparison."""
    if len(paths) != 2:
        raise flags.Error(f"Expected the paths of two .tflite files. Received {len(paths)}.")
    options, rounds = option_flags.options(FLAGS), _ROUNDS.value
    if rounds < bootstrap.MIN_BLOCKS:
        raise flags.Error(
            f"Expected at least {bootstrap.MIN_BLOCKS} rounds, as fewer tell no difference. Received: {rounds} rounds."
        )
    device_options = option_flags.device_options(FLAGS)
    for path in paths:
        read_model_file(path)
    with open_device(FLAGS["device"].value, device_options) as device:
        option_flags.warn_of_threads(device, options)
        with screen.progress("comparing", rounds * len(paths)) as show:
            attempts = until_ok(
                device, paths, options, rounds, FLAGS["retries"].value, on_block=lambda done, total: show(0, done)
            )
    a, b = attempts[-1]
    comparison = bootstrap.compare(a.blocks, b.blocks)
    if FLAGS["json"].value:
        screen.print_json(
            {
                "measurements": [a.to_json(), b.to_json()],
                "comparison": {**dataclasses.asdict(comparison), "num_rounds": rounds},
                "trusted": all(one.verdict is Verdict.OK for one in (a, b)),
            }
        )
    else:
        names = screen.labels(paths)
        screen.print_measurements(names, [a, b])
        doubts = [
            f"{name} was {one.verdict.value}"
            for name, one in zip(names, (a, b), strict=True)
            if one.verdict is not Verdict.OK
        ]
        doubt = f"Not to be relied on: {' and '.join(doubts)}. " if doubts else ""
        print("\n" + doubt + _sentence(names, comparison, rounds))
    if FLAGS["require_ok"].value:
        app.require_ok((a, b))


def _sentence(names: Sequence[str], comparison: bootstrap.Comparison, rounds: int) -> str:
    a, b = names
    figures = (
        f"{b} takes {comparison.ratio:.3f} times as long as {a} "
        f"(95 % interval {comparison.low:.3f} to {comparison.high:.3f}, {rounds} rounds)"
    )
    if comparison.conclusion == bootstrap.TOO_FEW:
        return f"Too few rounds to tell: {figures}; give --rounds={bootstrap.MIN_BLOCKS} or more."
    if comparison.conclusion == bootstrap.NO_DIFFERENCE:
        least = f"a difference below {bootstrap.MIN_EFFECT:.0%} is never counted as one"
        return f"No significant difference: {figures}; {least}."
    return f"{b} is {comparison.conclusion}: {figures}."
