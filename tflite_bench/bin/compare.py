"""``tflite-bench compare A B``: both models in turns, and whether one is faster."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from absl import flags

from tflite_bench import stats
from tflite_bench.bin import option_flags, screen
from tflite_bench.device import open_device
from tflite_bench.interleave import ROUNDS, interleave

FLAGS = flags.FlagValues()
USAGE = "A.tflite B.tflite [--flag=value ...]"

option_flags.define(FLAGS)
flags.DEFINE_integer("rounds", ROUNDS, "Blocks of inferences a model, in turns.", flag_values=FLAGS)


def main(paths: Sequence[str]) -> None:
    """Times the two models at ``paths`` in turns and prints the comparison."""
    if len(paths) != 2:
        raise flags.Error(f"Expected the paths of two .tflite files. Received {len(paths)}.")
    options, rounds = option_flags.options(FLAGS), FLAGS["rounds"].value
    with open_device(FLAGS["device"].value) as device:
        option_flags.warn_of_threads(device, options)
        with screen.progress("comparing", rounds * len(paths)) as step:
            a, b = interleave(device, paths, options, rounds, on_block=lambda done, total: step())
    comparison = stats.compare(a.blocks_ms, b.blocks_ms)
    if FLAGS["json"].value:
        screen.print_json(
            {
                "measurements": [a.to_json(), b.to_json()],
                "comparison": dataclasses.asdict(comparison),
            }
        )
    else:
        names = screen.labels(paths)
        screen.print_measurements(names, [a, b])
        print("\n" + _sentence(names, comparison))


def _sentence(names: Sequence[str], comparison: stats.Comparison) -> str:
    a, b = names
    figures = (
        f"{b} takes {comparison.ratio:.3f} times as long as {a} "
        f"(95 % interval {comparison.low:.3f} to {comparison.high:.3f})"
    )
    if comparison.conclusion == stats.NO_DIFFERENCE:
        least = f"a difference below {stats.MIN_EFFECT:.0%} is never counted as one"
        return f"No significant difference: {figures}; {least}."
    return f"{b} is {comparison.conclusion}: {figures}."
