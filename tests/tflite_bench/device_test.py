from __future__ import annotations

import pytest

from tflite_bench.device import Device, open_device
from tflite_bench.errors import OptionsError


def test_the_host_opens() -> None:
    with open_device("host") as device:
        assert isinstance(device, Device)
        assert device.info().kind == "host"


@pytest.mark.parametrize("text", ["", "phone", "usb:SERIAL"])
def test_an_unknown_device_is_an_error_that_lists_the_known(text: str) -> None:
    with pytest.raises(OptionsError, match=f"Expected a device among: adb, binary, host.*Received: '{text}'"):
        open_device(text)


@pytest.mark.parametrize("text", ["host:", "host:1"])
def test_host_takes_nothing_after_a_colon(text: str) -> None:
    with pytest.raises(OptionsError, match="host"):
        open_device(text)
