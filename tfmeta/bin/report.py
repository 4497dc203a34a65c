"""`tfmeta report`: makes the result table, the plots and the HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.bin.app import command_line
from tfmeta.project import Project
from tfmeta.report.text import to_text
from tfmeta.stages.report import ReportOptions, report
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_NAME = option_flags.name(FLAGS)
_INIT = option_flags.init(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Writes the report and prints its table."""
    with Workdir(_WORKDIR.value) as workdir:
        data, paths = report(Project(workdir), ReportOptions(_INIT.value, _NAME.value), command_line(FLAGS, "report"))
    print(to_text(data, paths))
