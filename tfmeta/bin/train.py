"""`tfmeta train`: trains the PruningNet of a project."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.project import Project
from tfmeta.stages.train import shown_accuracies, train
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_PROJECT = option_flags.project(FLAGS)
_TRAIN = option_flags.train(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Trains, then prints how well a small, a medium and the full structure do."""
    with Workdir(_WORKDIR.value) as workdir:
        project = Project(workdir, _PROJECT(), FLAGS["staircase"].value)
        options = _TRAIN(project.options.seed)
        train(project, options)
        metric = project.splits.task.metric
        for name, macs, accuracy in shown_accuracies(project, options):
            print(f"{name:<12} {macs / 1e6:>10.2f} M MACs   {metric} on the search split {100 * accuracy:.2f} %")
    print(
        "Batch norm was recalibrated for each of them. "
        f"Next: tfmeta search --workdir={shlex.quote(_WORKDIR.value)} --max_macs=0.5x"
    )
