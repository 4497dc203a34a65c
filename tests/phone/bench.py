"""The stand-in for ``benchmark_model``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.phone.calls import Becomes, Call, Killed

if TYPE_CHECKING:
    from tests.phone.phone import Phone


def run(phone: Phone, call: Call) -> int | Killed | Becomes:
    return 1
