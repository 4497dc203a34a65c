"""The flags of schemes that train a network before they write it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from absl import flags

from tfmeta.export.tuning import TuneOptions


def tune(values: flags.FlagValues) -> Callable[[], TuneOptions]:
    """Defines how schemes that train do it. What is not asked here is as the network was retrained."""
    default = TuneOptions()
    epochs = flags.DEFINE_integer(
        "tune_epochs", default.train.epochs, "Epochs of each step of a scheme that trains.", flag_values=values
    )
    learning_rate = flags.DEFINE_float(
        "tune_learning_rate", default.train.learning_rate, "Peak of its learning rate.", flag_values=values
    )
    sparsity = flags.DEFINE_float(
        "sparsity", default.sparsity, "Share of zeros in kernels of sparse schemes.", flag_values=values
    )
    clusters = flags.DEFINE_integer(
        "clusters", default.clusters, "Distinct values a kernel of clustered schemes.", flag_values=values
    )

    def options() -> TuneOptions:
        training = dataclasses.replace(default.train, epochs=epochs.value, learning_rate=learning_rate.value)
        return TuneOptions(training, sparsity.value, clusters.value)

    return options
