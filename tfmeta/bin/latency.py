"""`tfmeta latency`: makes a latency table, or prints what is in one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from tfmeta.bin import option_flags
from tfmeta.errors import UserError
from tfmeta.latency.building import BuildOptions
from tfmeta.latency.options import LatencyOptions
from tfmeta.latency.table import LatencyTable
from tfmeta.latency.table_text import lines
from tfmeta.project import Project
from tfmeta.stages.latency import TableOptions, build_table
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_BUILD = flags.DEFINE_bool("build", False, "Measure, and write a table.", flag_values=FLAGS)
_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the project whose network is measured: one that tfmeta train began, or a new one with --model and "
    "--dataset, which tfmeta train goes on with.",
    flag_values=FLAGS,
)
_SHOW = flags.DEFINE_string("show", None, "Table to print, instead of the project's own.", flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write, instead of into the work directory.", flag_values=FLAGS)
_MEASUREMENTS = flags.DEFINE_integer(
    "measurements", BuildOptions.measurements, "Structures that the predictor is fitted to.", flag_values=FLAGS
)
_HELD_OUT = flags.DEFINE_integer(
    "held_out", BuildOptions.held_out, "Structures that it is judged by and never sees.", flag_values=FLAGS
)
_DEVICE = option_flags.device(FLAGS)
_SCHEME = option_flags.latency_scheme(FLAGS)
_BEFORE = set(FLAGS)
_PROJECT = option_flags.project(FLAGS, trains_net=False)
_OF_PROJECTS = sorted(set(FLAGS) - _BEFORE)


def main(argv: Sequence[str]) -> None:
    """Builds where asked to, then prints the table."""
    if (_WORKDIR.value is None) == (_SHOW.value is None) or (_BUILD.value and _SHOW.value is not None):
        raise UserError("Expected --build --workdir=DIR, --workdir=DIR or --show=FILE.")
    if _SHOW.value is not None:
        table, path = LatencyTable.load(_SHOW.value), Path(_SHOW.value)
    else:
        with Workdir(_WORKDIR.value) as workdir:
            if _BUILD.value:
                place, latency = _DEVICE(LatencyOptions())
                latency = dataclasses.replace(latency, scheme=_SCHEME.value)
                project = _project(workdir)
                counts = BuildOptions(_MEASUREMENTS.value, _HELD_OUT.value, project.options.seed)
                table, path = build_table(project, TableOptions(place, latency, counts, _OUTPUT.value))
            else:
                table, path = LatencyTable.load(workdir.latency_table), workdir.latency_table
    print("\n".join([*lines(table), f"Table: {path}"]))


def _project(workdir: Workdir) -> Project:
    """The project that the folder belongs to; until something is trained there, flags may tell which."""
    given = [f"--{name}" for name in _OF_PROJECTS if FLAGS[name].present]
    if given and workdir.begun:
        raise UserError(
            f"{workdir.path} has a trained network, which is what is measured. Leave out {', '.join(given)}, or give "
            "another --workdir."
        )
    if not given and "project" not in workdir.config:
        raise UserError(
            f"{workdir.path} has no network to measure yet. Give --model and --dataset, or run tfmeta train first."
        )
    return Project(workdir, _PROJECT() if given else None)
