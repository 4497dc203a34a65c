"""Registries: a dict literal per package, from a name to the place of the thing.

The places are strings (``"package.module:attribute"``), so listing the names for ``--help`` imports nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from tfmeta.errors import UserError


def resolve(registry: Mapping[str, str], name: str, kind: str) -> Any:
    """Returns what ``registry`` holds under ``name``.

    Args:
        registry: names to ``"package.module:attribute"``.
        name: the name asked for.
        kind: what the registry holds, for the error text ("searcher").

    Raises:
        UserError: no such name; the text lists the known ones.
    """
    if name not in registry:
        known = ", ".join(sorted(registry))
        raise UserError(f"Unknown {kind} {name!r}. Expected one of: {known}.")
    module, _, attribute = registry[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
