"""Stage 1: trains the PruningNet."""

from __future__ import annotations

from dataclasses import asdict

from tfmeta.files import replacing
from tfmeta.graph import cost
from tfmeta.project import Project
from tfmeta.training import TrainOptions, fit


def train(project: Project, options: TrainOptions) -> list[tuple[str, int, float]]:
    """Trains the PruningNet of a project, or does nothing when that is done.

    Returns:
        (name, MACs, accuracy on the search split) of the smallest, the half-width and the full structure, each with
        batch-norm statistics of its own. The accuracy that training shows on the way is that of random structures.
    """
    from tfmeta.objectives.accuracy import Accuracy

    project.workdir.claim("train", asdict(options))
    final = project.workdir.checkpoint("pruning_net")
    if not final.exists():
        net = project.new_net()
        checkpoint = project.workdir.checkpoint("train")
        logs = project.workdir.logs("train")
        fit(net, project.splits, options, checkpoint=checkpoint, logs=logs, description="Training PruningNet")
        with replacing(final) as temporary:
            net.save_weights(temporary)
        checkpoint.unlink()
    space = project.space
    shown = {"smallest": space.smallest(), "half width": space.uniform(0.5), "full": space.full()}
    accuracy = Accuracy(project.net, project.splits, calibration_images=options.calibration_images, seed=options.seed)
    values = accuracy(list(shown.values()))
    costs = [int(cost.macs(project.graph, structure)) for structure in shown.values()]
    return list(zip(shown, costs, values, strict=True))
