"""The flags of the export's options, see `option_flags`."""

from __future__ import annotations

from collections.abc import Callable

from absl import flags

from tfmeta.bin import tune_flags
from tfmeta.export import ALL_SCHEMES, TRAINED_SCHEMES
from tfmeta.latency.options import LatencyOptions, Place
from tfmeta.stages.export import ExportOptions


def export(values: flags.FlagValues) -> Callable[[str, str, Place, LatencyOptions], ExportOptions]:
    """Defines the quantization schemes and what they need."""
    schemes = flags.DEFINE_multi_enum(
        "scheme",
        list(ExportOptions.schemes),
        sorted(ALL_SCHEMES),
        f"Quantization scheme; repeat it for several. These train first: {', '.join(TRAINED_SCHEMES)}.",
        flag_values=values,
    )
    tuning = tune_flags.tune(values)
    agreement = flags.DEFINE_float(
        "min_class_agreement",
        None,
        "Share of answers, 0 to 1, for which file and Keras model must name the same class (the scheme's own).",
        flag_values=values,
    )

    images = flags.DEFINE_integer(
        "quantization_images",
        ExportOptions.calibration_images,
        "Training images, balanced by class where an image has one, that integer schemes take their ranges from.",
        flag_values=values,
    )

    def options(name: str, init: str, place: Place, latency: LatencyOptions) -> ExportOptions:
        return ExportOptions(
            schemes=tuple(schemes.value),
            init=init,
            calibration_images=images.value,
            min_class_agreement=agreement.value,
            place=place,
            latency=latency,
            tune=tuning(),
            name=name,
        )

    return options
