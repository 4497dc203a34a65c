"""``tflite-bench staircase``: at which multiples of channels layers become faster on a device."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

from absl import flags

from tflite_bench.bin import curves, option_flags, screen
from tflite_bench.device import open_device
from tflite_bench.measure.interleave import ROUNDS
from tflite_bench.staircase.layers import DTYPES, KINDS
from tflite_bench.staircase.steps import FIRST, LAST, STEPS, counts
from tflite_bench.staircase.sweep import Staircase, Sweep, sweep

FLAGS = flags.FlagValues()
USAGE = "--device=DEVICE [--flag=value ...]"

option_flags.define(FLAGS)
option_flags.define_retries(FLAGS)
_LAYERS = flags.DEFINE_multi_enum("layer", list(KINDS), KINDS, "Layer to sweep; may be repeated.", flag_values=FLAGS)
_DTYPES = flags.DEFINE_multi_enum("dtype", list(DTYPES), DTYPES, "Its numbers; may be repeated.", flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write, for tfmeta's --staircase.", flag_values=FLAGS)
_PLOT = flags.DEFINE_string("plot", None, "Picture to write: .png, .svg or .pdf.", flag_values=FLAGS)


def main(paths: Sequence[str]) -> None:
    """Sweeps the layers and prints the steps that were found."""
    if paths:
        raise flags.Error(f"Expected no paths. Received: {', '.join(paths)}.")
    if _PLOT.value is not None:
        curves.check_picture(_PLOT.value)
    if _OUTPUT.value is not None:
        option_flags.check_output(_OUTPUT.value, "the sweep")
    options = option_flags.options(FLAGS)
    rounds = min(ROUNDS, options.num_runs)
    wanted = [(kind, dtype) for dtype in dict.fromkeys(_DTYPES.value) for kind in dict.fromkeys(_LAYERS.value)]
    with open_device(FLAGS["device"].value, option_flags.device_options(FLAGS)) as device:
        option_flags.warn_of_threads(device, options)
        with screen.progress("staircase", len(wanted) * rounds * len(counts())) as show:

            def swept(place: int, kind: str, dtype: str) -> Sweep:
                retries = FLAGS["retries"].value
                return sweep(
                    device, kind, dtype, options, rounds, retries, on_block=lambda done, total: show(place, done)
                )

            found = Staircase(tuple(swept(place, *one) for place, one in enumerate(wanted)), options)
    # Shown first: a disk may be full, and minutes were spent.
    if FLAGS["json"].value:
        screen.print_json(found.to_json())
    else:
        _print(found)
    if _OUTPUT.value is not None:
        pathlib.Path(_OUTPUT.value).write_text(json.dumps(found.to_json(), indent=2) + "\n", "utf-8")
    if _PLOT.value is not None:
        curves.write_staircase(found, _PLOT.value)
    if not FLAGS["json"].value:
        for what, path in (("File", _OUTPUT.value), ("Plot", _PLOT.value)):
            if path is not None:
                print(f"{what}: {path}")


def _print(found: Staircase) -> None:
    sweeps = found.sweeps
    print(f"{screen.where(sweeps[0].device, found.options)}\n")
    columns: screen.Columns = [("layer", [sweep.name for sweep in sweeps])]
    for place, channels in ((0, FIRST), (-1, LAST)):
        medians = [sweep.points[place].median_ms for sweep in sweeps]
        columns.append((f"at {channels} ms", screen.decimals(medians)))
    columns.append(("runs", [str(sum(point.num_runs for point in sweep.points)) for sweep in sweeps]))
    for step in STEPS:
        shares = [f"{sweep.step.within[step].share:.0%}" if sweep.step.within else "-" for sweep in sweeps]
        columns.append((f"in {step}", shares))
    columns.append(("step", [str(sweep.step.step or "none found") for sweep in sweeps]))
    print(screen.table(columns))
    print(f"\nin N: what widths between multiples of N save, of the rise from {FIRST} to {LAST} channels\n")
    print("\n".join(f"{sweep.name}: {sweep.step.reason}" for sweep in sweeps))
    print(f"\n{found.sentence}")
