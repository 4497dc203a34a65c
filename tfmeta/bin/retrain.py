"""`tfmeta retrain`: trains the found structures and their controls as plain Keras models."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.project import Project
from tfmeta.stages.retrain import retrain
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_NAME = option_flags.name(FLAGS)
_INIT = option_flags.init(FLAGS)
_TRAIN = option_flags.train(FLAGS)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of initial weights, order and augmentation.", flag_values=FLAGS)
_RETRAIN = option_flags.retrain(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Retrains, then prints where the models are."""
    options = _RETRAIN(_TRAIN(_SEED.value), _INIT.value, _NAME.value)
    with Workdir(_WORKDIR.value) as workdir:
        for row, path in retrain(Project(workdir), options).items():
            print(f"{row:<10} {path}")
