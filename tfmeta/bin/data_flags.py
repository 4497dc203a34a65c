"""The flags of how data is found, split and shaped."""

from __future__ import annotations

from collections.abc import Callable

from absl import flags

from tfmeta.data.options import FITS, INPUT_RANGES, DataOptions


def define(values: flags.FlagValues) -> Callable[[int], DataOptions]:
    """Defines how data is found, split and shaped; the returned function takes the seed."""
    default = DataOptions
    data_dir = flags.DEFINE_string("data_dir", None, "Folder that is looked in first for the data.", flag_values=values)
    download = flags.DEFINE_bool(
        "download", default.download, "Fetch data that is found nowhere locally.", flag_values=values
    )
    image_size = flags.DEFINE_integer(
        "image_size", None, "Height and width that images get (the data set's own).", flag_values=values
    )
    fit = flags.DEFINE_enum("fit", default.fit, FITS, "How images get there.", flag_values=values)
    input_range = flags.DEFINE_enum(
        "input_range",
        default.input_range,
        INPUT_RANGES,
        "Range of the pixel values the model takes: the one that trained weights were trained on.",
        flag_values=values,
    )
    fraction = flags.DEFINE_float(
        "search_fraction", default.search_fraction, "Share of the training images to search on.", flag_values=values
    )
    size = flags.DEFINE_integer("search_size", None, "Number of them, instead of a share.", flag_values=values)
    train_size = flags.DEFINE_integer("train_size", None, "Use only so many training images.", flag_values=values)
    test_size = flags.DEFINE_integer("test_size", None, "Use only so many test images.", flag_values=values)
    test_fraction = flags.DEFINE_float(
        "test_fraction",
        default.test_fraction,
        "Share to test on, where the data has no test split.",
        flag_values=values,
    )
    memory = flags.DEFINE_integer(
        "memory_limit_mb",
        default.memory_limit_mb,
        "Image folders that need less than this, decoded, are held in memory.",
        flag_values=values,
    )

    def options(seed: int) -> DataOptions:
        return DataOptions(
            data_dir=data_dir.value,
            download=download.value,
            seed=seed,
            image_size=image_size.value,
            fit=fit.value,
            input_range=input_range.value,
            search_fraction=fraction.value,
            search_size=size.value,
            train_size=train_size.value,
            test_size=test_size.value,
            test_fraction=test_fraction.value,
            memory_limit_mb=memory.value,
        )

    return options
