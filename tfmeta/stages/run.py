"""All stages in a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfmeta.project import Project
from tfmeta.report.data import ReportData
from tfmeta.stages.export import ExportOptions, export
from tfmeta.stages.report import ReportOptions, report
from tfmeta.stages.retrain import RetrainOptions, retrain
from tfmeta.stages.search import SearchOptions, check, search
from tfmeta.stages.train import train
from tfmeta.training import TrainOptions


@dataclass(frozen=True)
class RunOptions:
    """Options of every stage."""

    train: TrainOptions = field(default_factory=TrainOptions)
    search: SearchOptions = field(default_factory=SearchOptions)
    retrain: RetrainOptions = field(default_factory=RetrainOptions)
    export: ExportOptions = field(default_factory=ExportOptions)


def run(
    project: Project, options: RunOptions, command: str = ""
) -> tuple[ReportData, tuple[Path, ...], dict[str, Any]]:
    """Runs train, search, retrain, export and report; stages that are done are not done again.

    Returns:
        What the report tells, the files it consists of, and the manifest of the export.
    """
    if not project.workdir.search(options.search.name).exists():
        check(project, options.search)  # a mistake in it is told now, and not after hours of training
    train(project, options.train)
    search(project, options.search)
    retrain(project, options.retrain)
    manifest = export(project, options.export, command)
    return *report(project, ReportOptions(options.retrain.init, options.search.name), command), manifest
