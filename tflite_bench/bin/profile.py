"""``tflite-bench profile MODEL``: how long each operator takes, the slowest first, and summed up by type."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.op_profile import OpProfile
from tflite_bench.bin import option_flags, screen
from tflite_bench.device import open_device
from tflite_bench.measure.interleave import whole
from tflite_bench.messages import visible
from tflite_bench.model_file import read_model_file
from tflite_bench.types import DeviceInfo

FLAGS = flags.FlagValues()
USAGE = "MODEL.tflite --device=DEVICE [--flag=value ...]"

option_flags.define(FLAGS)
flags.DEFINE_integer(
    "rows", 0, "Show so many operators only, the slowest; 0 shows all.", flag_values=FLAGS, lower_bound=0
)


def main(paths: Sequence[str]) -> None:
    """Prints the times of the operators of the model at the only path."""
    if len(paths) != 1:
        raise flags.Error(f"Expected the path of one .tflite file. Received {len(paths)}.")
    options = option_flags.options(FLAGS)
    file = read_model_file(paths[0])
    with open_device(FLAGS["device"].value, option_flags.device_options(FLAGS)) as device:
        option_flags.warn_of_threads(device, options)
        profile = device.run_job(lambda one: whole(one, lambda: one.profile(file.path, options), options.pin))
        info = device.info()
    if FLAGS["json"].value:
        screen.print_json(
            {
                "model_name": file.path.name,
                "model_sha256": file.sha256,
                "device": {**info.to_json(), "fingerprint": info.fingerprint},
                "options": options.to_json(),
                "profile": profile.to_json(),
            }
        )
    else:
        _print(profile, info, options, FLAGS["rows"].value)


def _print(profile: OpProfile, info: DeviceInfo, options: BenchOptions, most: int) -> None:
    total_ms = sum(row.avg_ms for row in profile.rows)
    where = (
        f"{info.kind}: {info.name}, {info.arch}, {info.os_version}, {info.runtime} {info.runtime_version}; "
        f"threads: {options.threads}; delegate: {options.delegate}"
    )
    print(
        f"{visible(where)}\n"
        f"Times an inference, averages over {profile.num_runs} inferences; telling them slows a model down.\n"
    )
    rows = profile.by_time[: most or None]
    print(
        screen.table(
            [
                ("operator", [visible(row.type) for row in rows]),
                ("ms", [f"{row.avg_ms:.3f}" for row in rows]),
                ("share", [f"{row.share:.1%}" for row in rows]),
                ("calls", [f"{row.calls:g}" for row in rows]),
                ("name", [visible(row.name) for row in rows]),
            ]
        )
    )
    if len(rows) < len(profile.rows):
        print(f"... and {len(profile.rows) - len(rows)} more")
    types = profile.by_type
    print()
    print(
        screen.table(
            [
                ("type", [*(visible(one.type) for one in types), "all"]),
                ("operators", [*(str(one.count) for one in types), str(len(profile.rows))]),
                ("ms", [*(f"{one.avg_ms:.3f}" for one in types), f"{total_ms:.3f}"]),
                ("share", [*(f"{one.share:.1%}" for one in types), f"{sum(one.share for one in types):.1%}"]),
            ]
        )
    )
    if profile.init:
        print("\nOnce, before: " + ", ".join(f"{visible(row.type)} {row.avg_ms:.3f} ms" for row in profile.init))
