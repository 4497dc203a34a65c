"""Beside stage 4: the front of a search as files, each tested and timed, so that one can be chosen by what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tfmeta import files, training
from tfmeta.errors import UserError, WorkdirError
from tfmeta.export.bundle import write_bundle
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.graph import cost
from tfmeta.graph.structure import Structure
from tfmeta.progress import bar
from tfmeta.project import Project
from tfmeta.stages.export import ExportOptions, is_current, made_before, measured, origin_of, write_files
from tfmeta.stages.retrain import retrained_with
from tfmeta.stages.search import result
from tfmeta.training import TrainOptions

# Of the folder: export/NAME+pareto. No name of a search holds a plus sign.
PARETO = "pareto"


@dataclass(frozen=True)
class ParetoOptions:
    """What of the front is exported.

    Attributes:
        export: schemes, device and the name of the search.
        count: structures at most, spread evenly over the front.
        epochs: how long each is trained from its generated weights, with the settings that the networks of the search
            were retrained with for the rest; 0 leaves them as the PruningNet made them, which ranks the files but is
            below what training gives.

    Raises:
        UserError: a number out of its range.
    """

    export: ExportOptions = field(default_factory=ExportOptions)
    count: int = 8
    epochs: int = 0

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("epochs", 0)):
            if getattr(self, name) < least:
                raise UserError(f"Expected {name} of {least} or more. Received: {getattr(self, name)}.")


def export_front(project: Project, options: ParetoOptions, command: str = "") -> dict[str, Any]:
    """Writes the bundle ``export/NAME+pareto/`` with files of the search's front, and returns its manifest.

    Raises:
        WorkdirError: the search is not done, or found no front.
        ExportError: none of the models could be exported.
        BenchError: the device does not answer.
    """
    export = options.export
    front, train = _front(project, export.name, options.count), _training(project, options)
    paths = {row: project.workdir.model(export.name, row, PARETO) for row in front}
    _claim(project, options, train)
    folder, made = project.workdir.export(export.name, PARETO), made_before(project, export, PARETO)
    _train(project, options, train, front, paths)
    if made is not None and is_current(folder, made, paths):
        return made
    preprocessing = Preprocessing.of(project.splits)
    origin = origin_of(project, export)
    searched = {"retrained from": "generated", "epochs": options.epochs}
    origin = replace(origin, name=f"{origin.name} front", search={**origin.search, **searched})
    with files.replacing_folder(folder) as new:
        written, refused = write_files(project, export, paths, new, preprocessing)
        shipped = measured(project, export, written, front)
        return write_bundle(new, shipped, refused, preprocessing=preprocessing, origin=origin, command=command)


def _front(project: Project, name: str, count: int) -> dict[str, Structure]:
    """Row name → structure: the front of the search from the smallest to the largest, thinned out evenly."""
    entries: Sequence[Mapping[str, Any]] = result(project, name)["pareto"]
    found = sorted(
        {Structure(tuple(entry["widths"])) for entry in entries}, key=lambda one: int(cost.macs(project.graph, one))
    )
    if not found:
        raise WorkdirError(
            f"The search {name!r} has no front. Run first: tfmeta search --workdir={project.workdir.path}"
        )
    last = len(found) - 1
    places: Sequence[int] = range(last + 1)
    if last >= count:
        places = sorted({round(i * last / max(count - 1, 1)) for i in range(count)})
    return {f"front{number:02d}": found[place] for number, place in enumerate(places)}


def _training(project: Project, options: ParetoOptions) -> TrainOptions:
    """How the networks of the front are trained: as those of the search were retrained, but for the epochs."""
    own = retrained_with(project, options.export.name, options.export.init) if options.epochs else None
    return replace(own or TrainOptions(seed=project.options.seed), epochs=max(options.epochs, 1))


def _claim(project: Project, options: ParetoOptions, train: TrainOptions) -> None:
    """Claims what the networks of the front depend on, which is less than what their files do."""
    name, workdir = options.export.name, project.workdir
    asked = {"count": options.count, "epochs": options.epochs, "train": asdict(train) if options.epochs else None}
    every = (workdir.model(name, "front*", PARETO), workdir.checkpoint(_label(name, "front*")))
    made = [str(path) for pattern in every for path in sorted(pattern.parent.glob(pattern.name))]
    instead = f"delete {', '.join(made)} to make the networks anew"
    workdir.claim(f"{PARETO} {name}", asked, begun=bool(made), instead=instead)


def _label(name: str, row: str) -> str:
    return f"{name}-{row}-{PARETO}"


def _train(
    project: Project,
    options: ParetoOptions,
    train: TrainOptions,
    front: Mapping[str, Structure],
    paths: Mapping[str, Path],
) -> None:
    """Makes the models that are not there yet."""
    missing = [row for row, path in paths.items() if not path.exists()]
    if not missing:
        return
    from tfmeta.supernet.evaluation import Evaluator

    images, _ = project.splits.train.sample(train.calibration_images, train.seed)
    evaluator = Evaluator(project.net)
    for row in bar(missing, "Front", unit="network"):
        model = evaluator.plain_model(front[row], training.batches_of(images, train.batch_size))
        label = _label(options.export.name, row)
        checkpoint = project.workdir.checkpoint(label)
        if options.epochs:
            model = training.train_plain(
                model,
                project.splits,
                train,
                checkpoint=checkpoint,
                logs=project.workdir.logs(label),
                description=f"Training {row}",
            )
        with files.replacing(paths[row]) as temporary:
            model.save(temporary)
        checkpoint.unlink(missing_ok=True)
