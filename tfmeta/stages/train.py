"""Stage 1: trains the PruningNet."""

from __future__ import annotations

from dataclasses import asdict

from tfmeta.checkpoint import save_weights
from tfmeta.graph import cost
from tfmeta.project import Project
from tfmeta.training import TrainOptions, fit


def train(project: Project, options: TrainOptions) -> None:
    """Trains the PruningNet of a project, or does nothing when that is done.

    Raises:
        WorkdirError: it was begun with other options.
        TrainingError: the loss is not a number, or the checkpoint is damaged.
    """
    final, checkpoint = project.workdir.checkpoint("pruning_net"), project.workdir.checkpoint("train")
    instead = "give another --workdir" if final.exists() else f"delete {checkpoint} to begin anew"
    # The project comes first: a mistake in the model or the data is told before anything is written.
    net = None if final.exists() else project.first_net()
    project.workdir.claim("train", asdict(options), begun=final.exists() or checkpoint.exists(), instead=instead)
    if net is not None:
        logs = project.workdir.logs("train")
        fit(net, project.splits, options, checkpoint=checkpoint, logs=logs, description="Training PruningNet")
        save_weights(net, final)
    checkpoint.unlink(missing_ok=True)


def shown_accuracies(project: Project, options: TrainOptions) -> list[tuple[str, int, float]]:
    """Returns how well the trained PruningNet does.

    Returns:
        (name, MACs, accuracy on the search split) of the smallest, the half-width and the full structure, each with
        batch-norm statistics of its own. The accuracy that training shows on the way is that of random structures.
    """
    from tfmeta.objectives.accuracy import Accuracy

    space = project.space
    shown = {"smallest": space.smallest(), "half width": space.uniform(0.5), "full": space.full()}
    accuracy = Accuracy(project.net, project.splits, calibration_images=options.calibration_images, seed=options.seed)
    values = accuracy(list(shown.values()))
    costs = [int(cost.macs(project.graph, structure)) for structure in shown.values()]
    return list(zip(shown, costs, values, strict=True))
