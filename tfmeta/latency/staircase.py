"""What ``tflite-bench staircase`` wrote: the multiples of channels at which a device becomes faster."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflite_bench.staircase.steps import Point
from tfmeta.errors import UserError


@dataclass(frozen=True)
class LayerSteps:
    """How the latency of a layer follows its channels.

    Attributes:
        name: "conv float32".
        step: its own step, 1 where every channel counts.
        points: the latencies, by channels.
    """

    name: str
    step: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class DeviceStep:
    """The step of a device.

    Attributes:
        multiple_of: widths that are multiples of this waste nothing there, for `SearchSpace.from_graph`.
        device: the device's fingerprint.
        where: the device for a person, "Pixel 6, 1 thread".
        layers: what it was found from.
    """

    multiple_of: int
    device: str
    where: str
    layers: tuple[LayerSteps, ...]


def read_staircase(path: str | os.PathLike[str]) -> DeviceStep:
    """Returns the step in a file that ``tflite-bench staircase --output`` wrote.

    Raises:
        UserError: there is no such file, it is another one, or the step of a layer could not be told.
    """
    try:
        data = json.loads(Path(path).read_text("utf-8"))
        undecided = [_name(layer) for layer in data["layers"] if layer["step"] is None]
        if not undecided:
            return _step(data)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}. Write it: tflite-bench staircase --output.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"Expected a file that tflite-bench staircase --output wrote. Received: {path}, which is none."
        ) from error
    raise UserError(
        f"There is no step in {path}: {', '.join(undecided)} could not be told. Run tflite-bench staircase again, "
        "longer (--min_secs), on a quieter or cooler device, or without those layers (--layer, --dtype); or give "
        "--multiple_of."
    )


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


def _step(data: Mapping[str, Any]) -> DeviceStep:
    device, threads = data["device"], int(data["options"]["threads"])
    layers = tuple(
        LayerSteps(_name(layer), int(layer["step"]), tuple(Point(**point) for point in layer["points"]))
        for layer in data["layers"]
    )
    if not all(isinstance(layer["step"], int) and layer["step"] > 0 for layer in data["layers"]):
        raise ValueError("expected steps of 1 or more")
    where = f"{device['name']}, {threads} thread{'' if threads == 1 else 's'}"
    return DeviceStep(max(layer.step for layer in layers), str(device["fingerprint"]), where, layers)


def _name(layer: Mapping[str, Any]) -> str:
    return f"{layer['kind']} {layer['dtype']}"
