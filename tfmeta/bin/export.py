"""`tfmeta export`: writes verified TFLite files with everything that an app needs beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from tfmeta.bin import export_flags, option_flags, shared_flags
from tfmeta.bin.app import command_line
from tfmeta.errors import UserError
from tfmeta.latency.options import FINAL
from tfmeta.project import Project
from tfmeta.stages.export import export, require_written
from tfmeta.stages.pareto import PARETO, ParetoOptions, export_front
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_NAME = option_flags.name(FLAGS)
_INIT = option_flags.init(FLAGS)
_DEVICE = option_flags.device(FLAGS)
_EXPORT = export_flags.export(FLAGS)
_PARETO = flags.DEFINE_bool("pareto", False, "Export the front of the search instead.", flag_values=FLAGS)
_COUNT = flags.DEFINE_integer("pareto_count", ParetoOptions.count, "Networks of the front at most.", flag_values=FLAGS)
_EPOCHS = flags.DEFINE_integer(
    "pareto_epochs",
    ParetoOptions.epochs,
    "Training of each from its generated weights, with the settings of tfmeta retrain for the rest.",
    flag_values=FLAGS,
)


def main(argv: Sequence[str]) -> None:
    """Exports, then prints one line a file.

    Raises:
        UserError: a flag of the front without ``--pareto``.
        ExportError: a file of the searched network was not written.
    """
    of_front = [f"--{name}" for name in FLAGS if name.startswith("pareto_") and FLAGS[name].present]
    if of_front and not _PARETO.value:
        raise UserError(f"Expected --pareto with {' and '.join(of_front)}. Received: no --pareto. Add it.")
    options = _EXPORT(_NAME.value, _INIT.value, *_DEVICE(FINAL))
    command = command_line(FLAGS, "export")
    with Workdir(_WORKDIR.value) as workdir:
        project = Project(workdir)
        if _PARETO.value:
            manifest = export_front(project, ParetoOptions(options, _COUNT.value, _EPOCHS.value), command)
        else:
            manifest = export(project, options, command)
    for file in manifest["files"]:
        print(_line(file, manifest["metric"]))
    for one in manifest["refused"]:
        print(f"{one['model']}-{one['scheme']}: not written. {one['reason']}")
    print(f"Manifest: {workdir.export(_NAME.value, PARETO if _PARETO.value else _INIT.value) / 'manifest.json'}")
    require_written(manifest)


def _line(file: Mapping[str, Any], metric: str) -> str:
    latency = file["latency"]
    return (
        f"{file['file']:<24} {file['size_bytes'] / 1024:>9.1f} KiB   "
        f"test {metric} {100 * file['test_accuracy']:.2f} %   "
        f"{latency['median_ms']:.3f} ms (p90 {latency['p90_ms']:.3f} ms, {latency['measurement']['num_runs']} runs, "
        f"{latency['verdict']})"
    )
