"""Makes labels of channels, remembers which are inseparable and which must stay, and sorts them into groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tfmeta.graph.calls import Labels

# Why the places are pinned that stand for no channels.
NO_CHANNELS = "no channels"


class Labelling:
    """The `Flow` that rules act on. What they say is only collected; `roots` draws the conclusions at once."""

    def __init__(self) -> None:
        self.at = ""
        self.producers: list[str] = []
        self._starts: list[int] = []
        self._count = 0
        self._pairs: list[tuple[Labels, Labels]] = []
        self._pins: list[tuple[Labels, str]] = []
        self._whole: Labels | None = None

    def new(self, size: int) -> Labels:
        """Returns labels `[size]` of new channels."""
        self._starts.append(self._count)
        self.producers.append(self.at)
        self._count += size
        return np.arange(self._count - size, self._count)

    def whole(self, *shape: int) -> Labels:
        """Returns labels of what always stays: one label for all of it."""
        if self._whole is None:
            here, self.at = self.at, "whole"
            self._whole = self.new(1)
            self.at = here
            self.pin(self._whole, NO_CHANNELS)
        return np.full(shape, self._whole[0])

    def unite(self, first: Labels, second: Labels) -> None:
        """Makes channels at equal places inseparable."""
        one, two = np.broadcast_arrays(first, second)
        self._pairs.append((one.ravel(), two.ravel()))

    def pin(self, labels: Labels, reason: str) -> None:
        """Forbids to remove these channels."""
        self._pins.append((labels.ravel(), reason))

    def producer(self, label: int) -> str:
        """Returns the name of the layer that made a label."""
        return self.producers[int(np.searchsorted(self._starts, label, "right")) - 1]

    def roots(self) -> Labels:
        """Returns for every label the smallest of those that it is inseparable from."""
        parent = np.arange(self._count)
        if not self._pairs:
            return parent
        first, second = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        while True:  # hooks every tree to the smallest that it touches, then flattens all trees
            one, two = parent[first], parent[second]
            apart = one != two
            if not apart.any():
                return parent
            first, second, one, two = first[apart], second[apart], one[apart], two[apart]
            np.minimum.at(parent, np.maximum(one, two), np.minimum(one, two))
            while (parent[parent] != parent).any():
                parent = parent[parent]

    def groups(self, roots: Labels, axes: Sequence[Labels]) -> list[tuple[Labels, str | None]]:
        """Returns the labels of every group and why it is pinned, in order of first labels.

        Args:
            roots: as from `roots`.
            axes: labels (roots) of all axes of the model.
        """
        reasons: dict[int, list[str]] = defaultdict(list)
        for labels, reason in self._pins:
            for label in np.unique(roots[labels]).tolist():
                reasons[label].append(reason)
        texts = {label: ", ".join(dict.fromkeys(found)) for label, found in reasons.items()}
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts.values()), 1)}
        # Labels are told apart by their reasons, and then by how often they stand in one axis after the other.
        part = np.zeros(self._count, np.int64)
        for label, text in texts.items():
            part[label] = numbers[text]
        fresh = len(numbers) + 1
        seen = np.zeros(self._count, bool)
        for axis in axes:
            members, times = np.unique(axis, return_counts=True)
            seen[members] = True
            _, index = np.unique(part[members] * (times.max() + 1) + times, return_inverse=True)
            part[members] = fresh + index
            fresh += len(members)
        labels = np.flatnonzero(seen)
        order = labels[np.argsort(part[labels], kind="stable")]
        pieces = np.split(order, np.flatnonzero(np.diff(part[order])) + 1) if len(order) else []
        return [(piece, texts.get(int(piece[0]))) for piece in sorted(pieces, key=lambda piece: int(piece[0]))]
