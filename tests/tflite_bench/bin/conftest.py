from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import pytest

from tflite_bench.device import DEVICES, Device


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Device]]:
    """The device ``fake`` of the command line: the only one in the list."""
    opened: list[Device] = []
    module = types.ModuleType("fake_device")
    module.open = lambda argument, options: opened[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake_device", module)
    monkeypatch.setitem(DEVICES, "fake", "fake_device:open")
    yield opened
