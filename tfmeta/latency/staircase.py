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
