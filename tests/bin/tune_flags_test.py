"""The flags of schemes that train reach their options."""

from absl import flags

from tfmeta.bin import tune_flags
from tfmeta.export.tuning import TuneOptions


def _parsed(*arguments):
    values = flags.FlagValues()
    options = tune_flags.tune(values)
    values(["program", *arguments])
    return options()


def test_without_flags_the_options_are_the_defaults():
    assert _parsed() == TuneOptions()


def test_flags_reach_the_options():
    options = _parsed("--tune_epochs=7", "--tune_learning_rate=0.5", "--sparsity=0.7", "--clusters=32")
    assert (options.train.epochs, options.train.learning_rate) == (7, 0.5)
    assert (options.sparsity, options.clusters) == (0.7, 32)
