"""`tfmeta mixed`: int8 with the layers that suffer from it kept in float or int16, for every number of layers."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.bin.app import command_line
from tfmeta.export.bundle import MANIFEST
from tfmeta.latency.options import FINAL
from tfmeta.project import Project
from tfmeta.stages.mixed import MixedOptions, mixed
from tfmeta.stages.search import ROWS
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_NAME = option_flags.name(FLAGS)
_INIT = option_flags.init(FLAGS)
_DEVICE = option_flags.device(FLAGS)
_ROW = flags.DEFINE_enum("row", MixedOptions.row, ROWS, "Which retrained network.", flag_values=FLAGS)
_KEPT = flags.DEFINE_enum(
    "kept", MixedOptions.kept, ("float", "int16"), "What the kept layers are in.", flag_values=FLAGS
)
_MAX_KEPT = flags.DEFINE_integer(
    "max_kept", MixedOptions.max_kept, "Largest number of kept layers that is tried.", flag_values=FLAGS
)
_MAX_LOSS = flags.DEFINE_float(
    "max_loss",
    MixedOptions.max_loss,
    "Accuracy or other metric of the task, 0 to 1, that the chosen file may lose against float on the search split.",
    flag_values=FLAGS,
)
_AGREEMENT = flags.DEFINE_float(
    "min_class_agreement",
    MixedOptions.min_class_agreement,
    "Share of answers, 0 to 1, for which the chosen file and the Keras model must name the same class.",
    flag_values=FLAGS,
)


def main(argv: Sequence[str]) -> None:
    """Tries every number of kept layers, then prints the layers and one line a file."""
    place, latency = _DEVICE(FINAL)
    options = MixedOptions(
        row=_ROW.value,
        init=_INIT.value,
        kept=_KEPT.value,
        max_kept=_MAX_KEPT.value,
        max_loss=_MAX_LOSS.value,
        min_class_agreement=_AGREEMENT.value,
        place=place,
        latency=latency,
        name=_NAME.value,
    )
    with Workdir(_WORKDIR.value) as workdir:
        project = Project(workdir)
        found = mixed(project, options, command_line(FLAGS, "mixed"))
    print("Layers by what int8 in them alone adds to the loss:")
    for one in found["sensitivity"][: options.max_kept]:
        print(f"  {one['layer']:<28} {one['loss']:+.4f}   {one['weights']:>9,} weights")
    metric = project.splits.task.metric
    for row in found["files"]:
        what = "float" if row["kept"] is None else f"int8, {row['kept']} in {options.kept}"
        mark = "  ← written" if row["kept"] == found["chosen"] else ""
        print(
            f"{what:<18} {row['size_bytes'] / 1024:>9.1f} KiB   test {metric} {100 * row['test_accuracy']:.2f} %   "
            f"{row['median_ms']:.3f} ms ({row['num_runs']} runs, {row['verdict']}){mark}"
        )
    print(f"Manifest: {workdir.mixed(options.name, options.init) / options.base / MANIFEST}")
