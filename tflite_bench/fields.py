"""Frozen data from JSON: every field there, and none that is not known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflite_bench.errors import BenchError


def fields_of(cls: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns ``data`` as the arguments of the dataclass ``cls``.

    Raises:
        BenchError: a field is missing or unknown.
    """
    fields = dataclasses.fields(cls)
    unknown = sorted(set(data) - {f.name for f in fields})
    required = {f.name for f in fields if f.default is dataclasses.MISSING}
    missing = sorted(required - set(data))
    if unknown or missing:
        raise BenchError(
            f"Cannot read a {cls.__name__}: missing fields {missing}, unknown fields {unknown}. "
            "It was written by another version of tflite_bench, or is damaged."
        )
    return dict(data)
