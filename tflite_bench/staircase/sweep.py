"""Measures layers over their channels and finds the device's step."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import Device
from tflite_bench.measure.repeat import RETRIES, until_ok
from tflite_bench.staircase.layers import Layer, layer_file
from tflite_bench.staircase.steps import Point, Step, counts, find_step
from tflite_bench.statistics.bootstrap import MIN_BLOCKS
from tflite_bench.statistics.verdict import MIN_RUNS
from tflite_bench.types import DeviceInfo, Measurement, Verdict


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One kind of layer over its channels.

    Attributes:
        kind, dtype: as of `Layer`.
        points: the latencies, by channels.
        step: what they tell.
        device: where they were measured.
    """

    kind: str
    dtype: str
    points: tuple[Point, ...]
    step: Step
    device: DeviceInfo

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.kind} {self.dtype}"

    def to_json(self) -> dict[str, Any]:
        """Returns the sweep as plain data."""
        return {
            "kind": self.kind,
            "dtype": self.dtype,
            "step": self.step.step,
            "reason": self.step.reason,
            "within": {str(step): dataclasses.asdict(share) for step, share in self.step.within.items()},
            "points": [dataclasses.asdict(point) for point in self.points],
        }


@dataclasses.dataclass(frozen=True)
class Staircase:
    """All sweeps on one device, at least one."""

    sweeps: tuple[Sweep, ...]
    options: BenchOptions

    @property
    def undecided(self) -> tuple[str, ...]:
        """Names of the layers whose step could not be told."""
        return tuple(sweep.name for sweep in self.sweeps if sweep.step.step is None)

    @property
    def step(self) -> int | None:
        """The largest step of a layer, which is a multiple of the others; None where that of any could not be told."""
        return None if self.undecided else self._largest

    @property
    def sentence(self) -> str:
        """The step, for a person, or what to do to get one."""
        if self.undecided:
            least = f"The step is {self._largest} or more" if self._largest > 1 else "No step can be told"
            return (
                f"{least}: {', '.join(self.undecided)} could not be told. Measure longer (--min_secs), on a quieter or "
                "cooler device, or without what does not matter to you (--layer, --dtype)."
            )
        if self.step == 1:
            return "Every channel counts on this device: it has no step."
        return f"Widths that are multiples of {self.step} waste nothing on this device."

    @property
    def _largest(self) -> int:
        """The largest step that was found, 1 where none was."""
        return max((sweep.step.step for sweep in self.sweeps if sweep.step.step is not None), default=1)

    def to_json(self) -> dict[str, Any]:
        """Returns all of it as plain data."""
        device = self.sweeps[0].device
        return {
            "step": self.step,
            "undecided": list(self.undecided),
            "device": {**device.to_json(), "fingerprint": device.fingerprint},
            "options": self.options.to_json(),
            "layers": [sweep.to_json() for sweep in self.sweeps],
        }


def sweep(
    device: Device,
    kind: str,
    dtype: str,
    options: BenchOptions,
    rounds: int,
    retries: int = RETRIES,
    *,
    on_block: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Returns how the latency of a layer follows its channels, all numbers of them measured in turns.

    Args:
        device: where to measure.
        kind, dtype: as of `Layer`.
        options: how.
        rounds: blocks a number of channels.
        retries: how often to measure again where a verdict is not OK.
        on_block: see `interleave`.

    Raises:
        OptionsError: no such layer, or options that the device cannot follow.
        DeviceError: the device fails.
    """
    layers = [Layer(kind, channels, dtype) for channels in counts()]
    with tempfile.TemporaryDirectory(prefix="tflite_bench-") as folder:
        paths = [pathlib.Path(folder, f"{layer.name}.tflite") for layer in layers]
        for path, layer in zip(paths, layers, strict=True):
            path.write_bytes(layer_file(layer))
        measured = until_ok(device, paths, options, rounds, retries, on_block=on_block)[-1]
    points = tuple(
        Point(layer.channels, one.median_ms, one.median_low_ms, one.median_high_ms, one.num_runs)
        for layer, one in zip(layers, measured, strict=True)
    )
    return Sweep(kind, dtype, points, _step(points, measured), measured[0].device)


def _step(points: Sequence[Point], measured: Sequence[Measurement]) -> Step:
    # Noise is in the intervals. A device that slows down, or another file, is not.
    for one in measured:
        if one.verdict in (Verdict.THROTTLED, Verdict.STALE):
            return Step(None, {}, f"{one.model_name} was {one.verdict.value}: {one.reason}")
        # The intervals of so few are too narrow; that of a single run has no width.
        if one.num_runs < MIN_RUNS or len(one.blocks) < MIN_BLOCKS:
            return Step(
                None,
                {},
                f"{one.model_name} has {one.num_runs} runs in {len(one.blocks)} blocks: at least {MIN_RUNS} runs in "
                f"{MIN_BLOCKS} are needed (--num_runs).",
            )
    return find_step(points)
