"""Stage 3: trains the found structures, and the controls beside them, as plain Keras models with the same budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tfmeta import training
from tfmeta.errors import UserError, WorkdirError
from tfmeta.files import replacing
from tfmeta.graph.answers import gives_probabilities
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.rebuild import rebuild
from tfmeta.graph.structure import Structure
from tfmeta.lazy import keras, tf
from tfmeta.networks.spec import UNREADABLE, why_unreadable
from tfmeta.project import Project
from tfmeta.stages.search import ROWS, structures
from tfmeta.training import TrainOptions
from tfmeta.workdir import MAIN

INITS = ("scratch", "generated")


@dataclass(frozen=True)
class RetrainOptions:
    """How to retrain.

    Attributes:
        train: how every network is trained.
        init: "scratch" draws new weights, as the paper does; "generated" starts from the PruningNet's.
        distill: whether the full network teaches the smaller ones.
        rows: which networks to train.
        name: name of the search.
    """

    train: TrainOptions = field(default_factory=TrainOptions)
    init: str = "scratch"
    distill: bool = False
    rows: tuple[str, ...] = ROWS
    name: str = MAIN

    def __post_init__(self) -> None:
        if self.init not in INITS:
            raise UserError(f"Unknown init {self.init!r}. Expected one of: {', '.join(INITS)}.")
        unknown = sorted(set(self.rows) - set(ROWS))
        if unknown or not self.rows:
            raise UserError(f"Expected rows out of {', '.join(ROWS)}, received {', '.join(unknown) or 'none'}.")


def retrain(project: Project, options: RetrainOptions) -> dict[str, Path]:
    """Trains the networks of a search and returns row name → saved Keras model. What is done already is left alone.

    Raises:
        WorkdirError: the search is not done.
        TrainingError: the loss is not a number.
    """
    found = structures(project, options.name)
    rows = [row for row in ROWS if row in found and row in options.rows]
    if options.distill and "full" not in rows:
        raise UserError("Distillation needs the full network as the teacher: add 'full' to --rows.")
    paths = {row: project.workdir.model(options.name, row, options.init) for row in rows}
    _claim(project, options, paths)
    order = sorted(rows, key=lambda row: row != "full")  # the teacher is trained first
    for row in order:
        if not paths[row].exists():
            teacher = _teacher(project, paths["full"]) if options.distill and row != "full" else None
            _retrain_one(project, options, row, found[row], paths[row], teacher)
        project.workdir.checkpoint(_label(options, row)).unlink(missing_ok=True)
    return paths


def load_model(path: Path, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Returns the retrained Keras model at ``path``.

    Args:
        path: of the file.
        custom_objects: what it may be made of besides Keras (`Project.custom_objects`).

    Raises:
        WorkdirError: the file is damaged.
    """
    try:
        return keras.models.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=True)
    except UNREADABLE as error:
        raise WorkdirError(
            f"{path} cannot be loaded as a Keras model ({why_unreadable(path, error)}). Delete it and run tfmeta "
            "retrain again."
        ) from error


def retrained_with(project: Project, name: str, init: str) -> TrainOptions | None:
    """Returns how the networks of the search ``name`` were retrained from ``init``, or None where they were not."""
    section = project.workdir.config.get(f"retrain {name} {init}")
    if section is None:
        return None
    train = section["train"]
    return TrainOptions(**{**train, "augmentation": tuple(train["augmentation"])})


def _claim(project: Project, options: RetrainOptions, paths: Mapping[str, Path]) -> None:
    values = {name: value for name, value in asdict(options).items() if name != "rows"}  # rows may be added later
    checkpoints = {row: project.workdir.checkpoint(_label(options, row)) for row in ROWS}
    made = [path for path in (*paths.values(), *checkpoints.values()) if path.exists()]
    project.workdir.claim(
        f"retrain {options.name} {options.init}",
        values,
        begun=bool(made),
        instead=f"delete {', '.join(str(path.relative_to(project.workdir.path)) for path in made)} in it to train anew",
    )


def _label(options: RetrainOptions, row: str) -> str:
    return f"{options.name}-{row}-{options.init}"


def _retrain_one(
    project: Project, options: RetrainOptions, row: str, structure: Structure, path: Path, teacher: Any
) -> None:
    label = _label(options, row)
    checkpoint = project.workdir.checkpoint(label)
    trained = training.train_plain(
        _start(project, options, structure),
        project.splits,
        options.train,
        checkpoint=checkpoint,
        logs=project.workdir.logs(label),
        description=f"Training {row} ({options.init})",
        teacher=teacher,
    )
    with replacing(path) as temporary:
        trained.save(temporary)


def _start(project: Project, options: RetrainOptions, structure: Structure) -> Any:
    if options.init == "scratch":
        graph = project.graph
        training.set_seed(
            options.train.seed
        )  # after the graph: reading it may build the project's model, which draws too
        return rebuild(graph, graph.kept(structure))
    from tfmeta.supernet.evaluation import Evaluator

    images, _ = project.splits.train.sample(options.train.calibration_images, options.train.seed)
    return Evaluator(project.net).plain_model(structure, training.batches_of(images, options.train.batch_size))


def _teacher(project: Project, path: Path) -> Callable[[Any], Any]:
    model = load_model(path, project.custom_objects)
    probabilities = gives_probabilities(ChannelGraph.from_model(model))

    def logits(images: Any) -> Any:
        outputs = model(images, training=False)
        return tf.math.log(outputs + 1e-9) if probabilities else outputs

    return logits
