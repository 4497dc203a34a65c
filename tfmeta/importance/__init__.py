"""Which channels to keep: criteria that score every channel of every searchable group.

A criterion is a function of a `tfmeta.importance.question.Question` and returns one array `[size]` a searchable group,
in graph order: the larger, the more a channel is worth keeping (`Selection.largest`). All are taken over a whole group,
since its channels can only go together. To add one, write its file and add a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.importance.question import IMAGES, Question, Scores
from tfmeta.registry import resolve

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits

# Name of a criterion to its function.
CRITERIA = {
    "bn_gamma": "tfmeta.importance.bn_gamma:scores",
    "first": "tfmeta.importance.first:scores",
    "fisher": "tfmeta.importance.fisher:scores",
    "fpgm": "tfmeta.importance.fpgm:scores",
    "l1": "tfmeta.importance.l1:scores",
    "l2": "tfmeta.importance.l2:scores",
    "lamp": "tfmeta.importance.lamp:scores",
    "random": "tfmeta.importance.random:scores",
    "taylor": "tfmeta.importance.taylor:scores",
}
# Those that need images and labels.
NEED_DATA = frozenset({"fisher", "taylor"})


def score(
    criterion: str, model: Any, graph: ChannelGraph, splits: Splits, *, images: int = IMAGES, seed: int = 0
) -> Scores:
    """Returns how much every channel is worth keeping: one array `[size]` a searchable group.

    Args:
        criterion: a name in `CRITERIA`.
        model: the pretrained model.
        graph: its channel graph.
        splits: its data, for criteria that look at training images.
        images: how many they look at.
        seed: which ones, and of a criterion that draws.

    Raises:
        UserError: an unknown criterion, or one that cannot answer for this model.
    """
    function = resolve(CRITERIA, criterion, "criterion")
    seen = splits.train.sample(images, seed) if criterion in NEED_DATA else (None, None)
    return list(function(Question(model, graph, np.random.default_rng(seed), *seen)))
