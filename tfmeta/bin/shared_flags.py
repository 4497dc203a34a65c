"""Flags that several verbs have, so that they read and behave alike everywhere.

Each function defines one flag in the ``FLAGS`` of a verb and returns its holder::

    FLAGS = flags.FlagValues()
    _WORKDIR = shared_flags.workdir(FLAGS)
"""

from __future__ import annotations

from absl import flags


def debug(flag_values: flags.FlagValues) -> flags.FlagHolder[bool]:
    """Defines ``--debug``. Every verb gets it without asking."""
    return flags.DEFINE_bool("debug", False, "Show where in the program an error arose.", flag_values=flag_values)


def allow_custom_objects(flag_values: flags.FlagValues) -> flags.FlagHolder[list[str]]:
    """Defines ``--allow_custom_objects``."""
    return flags.DEFINE_multi_string(
        "allow_custom_objects",
        [],
        "Module whose layers a saved model may be made of; it is imported. Repeat it for several.",
        flag_values=flag_values,
    )


class _Multiple(flags.IntegerParser):
    """An integer, and what to do for who expects it to be measured."""

    def convert(self, argument: str | int) -> int:
        try:
            return super().convert(argument)
        except ValueError as error:
            raise ValueError(
                "Expected an integer. The step of a device is measured: run tflite-bench staircase --device=DEVICE "
                "--output=FILE and give --staircase=FILE to tfmeta train, run or prune."
            ) from error


def multiple_of(flag_values: flags.FlagValues, default: int) -> flags.FlagHolder[int]:
    """Defines ``--multiple_of``."""
    text, plain = "Widths are multiples of this.", flags.ArgumentSerializer()
    return flags.DEFINE(_Multiple(), "multiple_of", default, text, flag_values=flag_values, serializer=plain)


def workdir(flag_values: flags.FlagValues) -> flags.FlagHolder[str]:
    """Defines ``--workdir``, which must be given."""
    holder = flags.DEFINE_string(
        "workdir",
        None,
        "Folder of one project; every stage reads, writes and resumes there. Must be given.",
        flag_values=flag_values,
    )
    flags.register_validator(
        "workdir",
        bool,
        message="Expected the folder of the project, for example --workdir=runs/first",
        flag_values=flag_values,
    )
    return holder
