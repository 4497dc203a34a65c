"""In what two pieces of JSON data differ, in words for a message."""

from __future__ import annotations

import json
from typing import Any

_NAMED = 3
_LONGEST = 60


def differences(old: Any, new: Any) -> str:
    """Returns "place was x, is y; ..." for the first leaves in which two JSON values differ, "" where none does."""
    found = _leaves(old, new, "")
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def _leaves(old: Any, new: Any, prefix: str) -> list[str]:
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = ({str(place): item for place, item in enumerate(items)} for items in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [text for key in keys for text in _leaves(old.get(key), new.get(key), f"{prefix}{key}.")]
    return [] if old == new else [f"{prefix.rstrip('.')} was {_short(old)}, is {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
