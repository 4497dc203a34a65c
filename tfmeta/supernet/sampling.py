"""How structures are drawn while a PruningNet trains: one a batch, inside the compiled step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfmeta.graph.space import SearchSpace
from tfmeta.lazy import tf
from tfmeta.registry import resolve

# A sampler draws option positions in [0, 1) for every gene: (seed [2], number of genes) → float32 [num_genes].
Sampler = Callable[[Any, int], Any]

SAMPLERS = {
    "uniform": "tfmeta.supernet.sampling:uniform",
    "spread": "tfmeta.supernet.sampling:spread",
}

# In `spread`, how far a gene strays from the common level of its structure.
_SPREAD = 0.35


def uniform(seed: Any, num_genes: int) -> Any:
    """Every gene independently and uniformly, as in MetaPruning (https://arxiv.org/abs/1903.10258)."""
    return tf.random.stateless_uniform([num_genes], seed)


def spread(seed: Any, num_genes: int) -> Any:
    """A common level for the structure, and every gene near it.

    With independent genes nearly all structures have a medium cost: of MobileNetV1's, none in 200,000 reaches the
    quarter-size budget. Drawing the level first shows the network small, medium and large structures alike.
    """
    level = tf.random.stateless_uniform([], seed)
    offset = tf.random.stateless_uniform([num_genes], seed + 1, -_SPREAD, _SPREAD)
    return tf.clip_by_value(level * (1 + 2 * _SPREAD) - _SPREAD + offset, 0.0, 0.999999)


def draw_widths(space: SearchSpace, sampler: str, seed: int, step: Any) -> Any:
    """Returns the widths of the structure for a training step, int32 `[num_searchable]`.

    The draw is a pure function of (seed, step), so training that resumes at a step goes on with the same structures.

    Args:
        space: the space to draw from.
        sampler: a name in `SAMPLERS`.
        seed: any integer.
        step: int64 scalar tensor.
    """
    counts = np.array([len(gene.options) for gene in space.genes], np.int32)
    table = np.zeros((len(counts), counts.max(initial=1), len(space.sizes)), np.int32)
    for place, gene in enumerate(space.genes):
        for option, widths in enumerate(gene.options):
            table[place, option, list(gene.groups)] = widths
    position = resolve(SAMPLERS, sampler, "sampler")(tf.stack([tf.cast(seed, tf.int64), step * 2]), len(counts))
    index = tf.cast(position * counts.astype(np.float32), tf.int32)
    return tf.reduce_sum(tf.gather(table, index, axis=1, batch_dims=1), 0)
