"""Crops arrays to the channels of a structure whose widths are known only when the graph runs.

One compiled function serves every structure: the widths are a tensor, and kernels are sliced to them, so a narrow
structure really computes less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.lazy import tf


class Cropper:
    """Knows how each channel axis of a graph depends on the widths."""

    def __init__(self, graph: ChannelGraph) -> None:
        free = np.array([group.pinned is None for group in graph.groups])
        place = np.cumsum(free) - 1  # group index → index among the searchable groups
        starts = np.array([group.offset for group in graph.groups])
        self._sizes = [len(axis) for axis in graph.axes]
        self._axes = [self._plan(graph, axis, starts, free, place) for axis in graph.axes]

    @staticmethod
    def _plan(graph: ChannelGraph, axis: np.ndarray, starts: np.ndarray, free: np.ndarray, place: np.ndarray) -> Any:
        groups = np.searchsorted(starts, axis, "right") - 1
        if not free[groups].any():
            return None  # never cropped
        group = graph.groups[groups[0]]
        if len(axis) == group.size and (axis == group.offset + np.arange(group.size)).all():
            return int(place[groups[0]])  # the channels of one group in order: a prefix
        ranks = np.where(free[groups], axis - starts[groups], -1)  # pinned channels rank below any width
        return np.maximum(place[groups], 0).astype(np.int32), ranks.astype(np.int32)

    def expand(self, array: Any, dimension: int, axis: int, widths: Any) -> Any:
        """Returns ``array`` at full width, the inverse of `crop`: zeros where channels are not active.

        Args:
            array: tensor that is cropped to the active channels.
            dimension: the dimension of its channels.
            axis: their axis of the graph.
            widths: int32 `[num_searchable]`.
        """
        plan = self._axes[axis]
        if plan is None:
            return array
        groups, ranks = (plan, np.arange(self._sizes[axis], dtype=np.int32)) if isinstance(plan, int) else plan
        active = ranks < tf.gather(widths, groups)
        behind = tf.shape(array)[dimension]  # the place of the zeros that are put behind the channels
        places = tf.where(active, tf.cumsum(tf.cast(active, tf.int32)) - 1, behind)
        padding = [[0, int(place == dimension)] for place in range(array.shape.rank)]
        return tf.gather(tf.pad(array, padding), places, axis=dimension)

    def crop(self, array: Any, axes: Sequence[int | None], widths: Any) -> Any:
        """Returns ``array`` cropped to the active channels.

        Args:
            array: tensor of full width.
            axes: for each dimension its axis of the graph, or None.
            widths: int32 `[num_searchable]`.
        """
        slices: list[Any] = [slice(None)] * len(axes)
        for dimension, axis in enumerate(axes):
            plan = None if axis is None else self._axes[axis]
            if isinstance(plan, int):
                slices[dimension] = slice(0, widths[plan])
            elif plan is not None:
                groups, ranks = plan
                active = tf.where(ranks < tf.gather(widths, groups))[:, 0]
                array = tf.gather(array, active, axis=dimension)
        return array[tuple(slices)] if any(s.stop is not None for s in slices) else array
