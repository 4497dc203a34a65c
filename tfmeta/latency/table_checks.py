"""Whether the plain data of a latency table is whole: every type, length and range, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmeta.latency.predictor import FEWEST, Predictor

# An error of predictions is told of as many structures at least.
FEWEST_HELD_OUT = 2

_TEXTS = ("network", "fingerprint", "converter", "created")
_LARGEST = 2**31  # of dimensions
_HIGHEST = 1e15  # of milliseconds, and of what they are made of


def check(values: Mapping[str, Any]) -> None:
    """Checks what `LatencyTable.save` wrote; whether the options and the device are known ones, it does not.

    Raises:
        KeyError, TypeError, ValueError: something is missing, or is not what belongs there.
    """
    for name in _TEXTS:
        _require(isinstance(values[name], str), f"{name} is no text")
    _require(type(values["seed"]) is int, "seed is no whole number")
    _require(_is_positive(values["baseline_ms"]), "baseline_ms is not above 0")
    for name, value in values["device"].items():
        expected = int if name == "cores" else str
        _require(type(value) is expected, f"{name} of the device is no {expected.__name__}")
    sizes = [_group(one) for one in _entries(values["groups"], "groups")]
    for one in _entries(values["points"], "points"):
        _point(one, sizes)
    held_out = sum(one["held_out"] for one in values["points"])
    enough = held_out >= FEWEST_HELD_OUT and len(values["points"]) - held_out >= FEWEST
    _require(enough, f"fewer than {FEWEST} points to fit and {FEWEST_HELD_OUT} held out")
    _work(values["work"], len(sizes))
    predictor = values["predictor"]
    rates = _entries(predictor["rates"], "rates")
    _require(all(one == 0.0 or _is_positive(one) for one in rates), "a rate is no number of 0 or more")
    for name in ("spread", "misfit", "caution"):
        _require(_is_positive(predictor[name]), f"{name} is not above 0")


def check_predictions(predictor: Predictor, widths: np.ndarray) -> None:
    """Checks that what belongs together by its types tells latencies.

    Raises:
        ValueError: of one of `[P, num_searchable]` structures it does not.
    """
    with np.errstate(all="ignore"):
        told = np.array([*predictor.predict(widths), predictor.parts(widths).sum(1)])
    _require(bool((np.isfinite(told) & (told > 0)).all()), "what it predicts is no latency")


def _group(value: Any) -> int:
    name, size = value
    _require(isinstance(name, str) and _is_count(size) and size > 0, "a group is no name with a width")
    return int(size)


def _point(point: Mapping[str, Any], sizes: Sequence[int]) -> None:
    widths = _entries(point["widths"], "widths")
    _require(len(widths) == len(sizes), "a point has not one width a group")
    fit = all(_is_count(width) and 0 < width <= size for width, size in zip(widths, sizes, strict=True))
    _require(fit, "a width is not between 1 and that of its group")
    for name in ("ratio", "low", "high"):
        _require(_is_positive(point[name]), f"{name} of a point is not above 0")
    _require(point["low"] <= point["high"], "the interval of a point ends before it begins")
    _require(isinstance(point["verdict"], str), "a verdict is no text")
    _require(isinstance(point["held_out"], bool), "held_out of a point is neither true nor false")


def _work(work: Mapping[str, Any], num_groups: int) -> None:
    rows = [_entries(row, "factors") for row in _entries(work["factors"], "factors")]
    constants = _entries(work["constants"], "constants")
    _require(all(len(row) == num_groups for row in rows), "factors are not one a group")
    _require(all(map(_is_count, [*constants, *(one for row in rows for one in row)])), "a length is no whole number")
    for one in _entries(work["operators"], "operators"):
        _require(isinstance(one["kind"], str), "the kind of an operator is no text")
        for shape in (one["weights"], one["outputs"], *one["inputs"]):
            for factor, length in shape:
                _require(_is_count(factor) and type(length) is int, "a dimension is no whole number")


def _entries(value: Any, name: str) -> Sequence[Any]:
    _require(isinstance(value, list) and len(value) > 0, f"{name} is no list of any")
    entries: Sequence[Any] = value
    return entries


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < _HIGHEST


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
