"""`tfmeta run`: all stages, from training to the report."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import export_flags, option_flags, shared_flags
from tfmeta.bin.app import command_line
from tfmeta.latency.options import FINAL, LatencyOptions
from tfmeta.project import Project
from tfmeta.report.text import to_text
from tfmeta.stages.export import require_written
from tfmeta.stages.run import RunOptions, run
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_PROJECT = option_flags.project(FLAGS)
_NAME = option_flags.name(FLAGS)
_TRAIN = option_flags.train(FLAGS, "train_", "of the PruningNet")
_DEVICE = option_flags.device(FLAGS)
_SEARCH = option_flags.search(FLAGS, own_seed=False)
_INIT = option_flags.init(FLAGS)
_RETRAIN_TRAIN = option_flags.train(FLAGS, "retrain_", "of the found networks")
_RETRAIN = option_flags.retrain(FLAGS)
_EXPORT = export_flags.export(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Runs what is not done yet, then prints the result table."""
    options, name, init = _PROJECT(), _NAME.value, _INIT.value
    stages = RunOptions(
        train=_TRAIN(options.seed),
        search=_SEARCH(name, *_DEVICE(LatencyOptions()), options.seed),
        retrain=_RETRAIN(_RETRAIN_TRAIN(options.seed), init, name),
        export=_EXPORT(name, init, *_DEVICE(FINAL)),
    )
    with Workdir(_WORKDIR.value) as workdir:
        project = Project(workdir, options, FLAGS["staircase"].value)
        data, paths, manifest = run(project, stages, command_line(FLAGS, "run"))
    print(to_text(data, paths))
    require_written(manifest)
