"""Scores drawn at random: the control that every other criterion must beat."""

from __future__ import annotations

from tfmeta.importance.question import Question, Scores


def scores(question: Question) -> Scores:
    """Returns scores drawn uniformly."""
    return [question.rng.random(group.size) for group in question.graph.searchable]
