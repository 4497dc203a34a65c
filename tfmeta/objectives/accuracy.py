"""Accuracy of structures, as their task has it, under the generated weights of a PruningNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfmeta import tasks
from tfmeta.graph.structure import Structure

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits
    from tfmeta.supernet.pruning_net import PruningNet

# Data sets whose judged images take more memory than this are read anew for every structure.
_KEEP_BYTES = 2 * 1024**3


class Accuracy:
    """How good structures are on the search split, after batch-norm statistics were taken on training images.

    The share of right top answers, or the metric of another task: its name is in `unit`.

    Args:
        net: the trained PruningNet.
        splits: the search split judges, the training split calibrates; the test split is not touched.
        calibration_images: number of training images for the statistics, balanced by class where an image has one.
        batch_size: images a batch; by default as many as go well together.
        seed: which training images calibrate.
    """

    name = "accuracy"
    minimize = False
    closed_form = False

    def __init__(
        self,
        net: PruningNet,
        splits: Splits,
        *,
        calibration_images: int = 2000,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        from tfmeta.supernet.evaluation import Evaluator
        from tfmeta.training import batches_of

        self.unit = splits.task.unit
        batch_size = batch_size or tasks.at_a_time(splits.image_shape, splits.label_shape)
        self._evaluator = Evaluator(net)
        images, _ = splits.train.sample(calibration_images, seed)
        self._calibration = batches_of(images, batch_size)
        self._batches: Any = splits.search.batches(batch_size)
        if splits.search.size * images[0].nbytes <= _KEEP_BYTES:
            self._batches = list(self._batches)

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        """Returns the accuracy of each structure, 0 to 1."""
        return [self._evaluator.accuracy(structure, self._calibration, self._batches) for structure in structures]
