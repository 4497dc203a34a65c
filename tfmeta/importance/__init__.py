"""Which channels to keep: criteria that score every channel of every searchable group.

A criterion is a function of a `tfmeta.importance.question.Question` and returns one array `[size]` a searchable group,
in graph order: the larger, the more a channel is worth keeping (`Selection.largest`). All are taken over a whole group,
since its channels can only go together. To add one, write its file and add a line here.
"""

from __future__ import annotations

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
