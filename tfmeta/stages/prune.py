"""Prunes a pretrained model in one shot: which channels are the least important, and out with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfmeta import files, tasks
from tfmeta.errors import UserError
from tfmeta.export import SCHEMES
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Bound, Selection
from tfmeta.importance import score
from tfmeta.importance.question import IMAGES
from tfmeta.importance.ranking import ladder, rank
from tfmeta.latency.options import FINAL, HOST, LatencyOptions, Place
from tfmeta.objectives import OBJECTIVES
from tfmeta.project import check_choices, check_fit
from tfmeta.prune import prune as remove
from tfmeta.registry import resolve
from tfmeta.stages.limits import Limit, constraints
from tfmeta.stages.prune_latency import FastEnough, measured_file, widest_within
from tfmeta.training import TrainOptions

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits

# Training images that the quantizer of files looks at.
_FILE_IMAGES = 500


@dataclass(frozen=True)
class PruneOptions:
    """How to prune.

    Attributes:
        criterion: a name in `tfmeta.importance.CRITERIA`.
        ranking: a name in `tfmeta.importance.ranking.RANKINGS`.
        ratio: share of the channels to keep.
        limits: what the pruned network may cost, instead. One on latency is measured at `place`.
        multiple_of: widths are multiples of this.
        step_device: fingerprint of the device that `multiple_of` is the step of, None where it is no device's.
        min_ratio: smallest width as a share of the full one.
        images: training images that criteria look at.
        calibration_images: training images that batch-norm statistics are taken from anew; 0 leaves them.
        finetune: how to train afterwards, or None.
        schemes: quantization schemes of the files to write.
        place: where latency is measured; used when a limit is on it.
        latency: how. The file of the first scheme is what the limit is about.
        seed: of the criterion, and of which images it sees.
    """

    criterion: str = "l1"
    ranking: str = "uniform"
    ratio: float | None = None
    limits: tuple[Limit, ...] = ()
    multiple_of: int = 8
    step_device: str | None = None
    min_ratio: float = 0.1
    images: int = IMAGES
    calibration_images: int = 2000
    finetune: TrainOptions | None = None
    schemes: tuple[str, ...] = field(default_factory=lambda: tuple(SCHEMES))
    place: Place = HOST
    latency: LatencyOptions = FINAL
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.ratio is None) == (not self.limits):
            raise UserError("Expected a ratio of channels to keep, or a limit (of MACs, for example), and not both.")


def prune(model: Any, splits: Splits, options: PruneOptions, folder: Path) -> dict[str, Any]:
    """Writes `pruned.keras`, its .tflite files and `pruned.json` into ``folder`` and returns what pruned.json holds.

    Args:
        model: the pretrained model; it is not changed.
        splits: its data. The test split is only used to tell the accuracies.
        options: how to prune.
        folder: where to write, all or nothing; it is made. Files of other names that are there stay.

    Raises:
        GraphError: the model cannot be read.
        UserError: the model is for other data or has no channels to choose, the criterion cannot answer for it, or a
            limit cannot be met.
        ExportError: a file does not compute what the pruned model computes.
        BenchError: the device does not answer.
    """
    from tfmeta.training import evaluate

    graph = ChannelGraph.from_model(model)
    check_fit(graph, splits)
    selection, fast = choose(model, graph, splits, options)
    small = _recovered(remove(model, selection), splits, options)
    told: dict[str, Any] = {
        "criterion": options.criterion,
        "ranking": options.ranking,
        "widths": dict(zip((g.name for g in graph.searchable), selection.structure.widths, strict=True)),
        "channels": [sum(graph.full.widths), sum(selection.structure.widths)],
        "macs": [cost.macs(graph, graph.full), cost.macs(graph, selection.structure)],
        "params": [cost.params(graph, graph.full), cost.params(graph, selection.structure)],
        "test_accuracy": [evaluate(each, splits.test) for each in (model, small)],
    }
    with files.adding(folder) as new:
        small.save(new / "pruned.keras")
        told["files"] = _exported(small, splits, options, new)
        if fast is not None:
            path = new / told["files"][0]["file"]
            told["latency"] = measured_file(path, fast, options.place, _latency(options))
        files.write_json(new / "pruned.json", told)
    return told


def choose(
    model: Any, graph: ChannelGraph, splits: Splits, options: PruneOptions
) -> tuple[Selection, FastEnough | None]:
    """Returns which channels stay, and what was measured for a limit on latency."""
    space = SearchSpace.from_graph(graph, options.multiple_of, options.min_ratio)
    check_choices(space, graph)
    scores = score(options.criterion, model, graph, splits, images=options.images, seed=options.seed)
    fast = None
    bounds = _bounds(graph, space, [limit for limit in options.limits if limit.objective != "latency"])
    measured = [limit for limit in options.limits if limit.objective == "latency"]
    if measured:
        rungs = ladder(graph, space, scores, ranking=options.ranking, bounds=bounds)
        fast = widest_within(rungs, graph, options.place, _latency(options), measured[0], options.step_device)
        structure = fast.structure
    else:
        structure = rank(graph, space, scores, ranking=options.ranking, ratio=options.ratio, bounds=bounds)
    return Selection.largest(structure, scores), fast


def _bounds(graph: ChannelGraph, space: SearchSpace, limits: Sequence[Limit]) -> list[Bound]:
    objectives = {limit.objective: resolve(OBJECTIVES, limit.objective, "objective")(graph) for limit in limits}
    full = {name: float(objective([space.full()])[0]) for name, objective in objectives.items()}
    return [limit.bound(objectives[limit.objective]) for limit in constraints(limits, full)]


def _latency(options: PruneOptions) -> LatencyOptions:
    return replace(options.latency, scheme=options.schemes[0])


def _recovered(small: Any, splits: Splits, options: PruneOptions) -> Any:
    """The pruned model, trained on or at least with statistics of its own activations, where it has any."""
    from tfmeta.supernet.evaluation import Evaluator
    from tfmeta.training import batches_of, plain_net, train_plain

    if options.finetune is not None:
        return train_plain(small, splits, options.finetune, description="Fine-tuning")
    if not options.calibration_images or not any(type(la).__name__ == "BatchNormalization" for la in small.layers):
        return small
    images, _ = splits.train.sample(options.calibration_images, options.seed)
    net = plain_net(small)
    batches = batches_of(images, tasks.at_a_time(splits.image_shape, splits.label_shape))
    return Evaluator(net).plain_model(net.space.full(), batches)


def _exported(small: Any, splits: Splits, options: PruneOptions, folder: Path) -> list[dict[str, Any]]:
    from tfmeta.export.preprocessing import Preprocessing
    from tfmeta.export.tflite import export_tflite

    images, others = (split.sample(_FILE_IMAGES, options.seed)[0] for split in (splits.train, splits.search))
    found = []
    for scheme in options.schemes:
        path = folder / f"pruned-{scheme}.tflite"
        result = export_tflite(small, path, scheme, images, others, preprocessing=Preprocessing.of(splits))
        found.append({"file": result.path.name, "scheme": scheme, "size_bytes": result.size_bytes})
    return found
