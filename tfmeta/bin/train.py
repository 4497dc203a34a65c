"""`tfmeta train`: trains the PruningNet of a project."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.project import Project
from tfmeta.stages.train import train
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_PROJECT = option_flags.project(FLAGS)
_TRAIN = option_flags.train(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Trains, then prints how well a small, a medium and the full structure do."""
    project = Project(Workdir(_WORKDIR.value), _PROJECT())
    for name, macs, accuracy in train(project, _TRAIN(project.options.seed)):
        print(f"{name:<12} {macs / 1e6:>10.2f} M MACs   accuracy on the search split {100 * accuracy:.2f} %")
    print("Batch norm was recalibrated for each of them. Next: tfmeta search --max_macs=0.5x")
