"""What ``tflite-bench staircase`` wrote: the multiples of channels at which a device becomes faster."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tfmeta.errors import UserError


@dataclass(frozen=True)
class DeviceStep:
    """The step of a device.

    Attributes:
        multiple_of: widths that are multiples of this waste nothing there, for `SearchSpace.from_graph`.
        device: the device's fingerprint.
    """

    multiple_of: int
    device: str


def read_staircase(path: str | os.PathLike[str]) -> DeviceStep:
    """Returns the step in a file that ``tflite-bench staircase --output`` wrote.

    Raises:
        UserError: there is no such file, it is another one, or no step was found.
    """
    try:
        data = json.loads(Path(path).read_text("utf-8"))
        step, device = data["step"], str(data["device"]["fingerprint"])
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}. Write it: tflite-bench staircase --output.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"Expected a file that tflite-bench staircase --output wrote. Received: {path}, which is none."
        ) from error
    if step is None:
        raise UserError(
            f"No step was found on the device of {path}. Measure again, longer (--min_secs) or on a cooler device, or "
            "give --multiple_of."
        )
    if not isinstance(step, int) or step < 1:
        raise UserError(f"Expected a step of 1 or more in {path}. Received: {step!r}.")
    return DeviceStep(step, device)


def check_step(expected: str | None, device: str) -> None:
    """Refuses to measure on another device than the one whose step widths are multiples of.

    Args:
        expected: fingerprint of that device; None where it is no device's step.
        device: fingerprint of the device to measure on.

    Raises:
        UserError: it is another one.
    """
    if expected not in (None, device):
        raise UserError(
            f"The widths are multiples of the step of another device. Expected: {expected}. Received: {device}. Take "
            "the phone, executable and modes of tflite-bench staircase, or other widths (--staircase, --multiple_of; a "
            "project needs a new --workdir for that)."
        )
