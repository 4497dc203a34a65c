"""A reference model that is measured again and again, so that drift of the device shows.

A device that has become slower makes every later model look slow. The reference is one and the same file, so when it
takes longer than at the start it is the device that changed, and what was measured since it was last in order is
measured again.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

from tflite_bench.bench_options import BenchOptions
from tflite_bench.device import Device
from tflite_bench.errors import OptionsError
from tflite_bench.measure.interleave import ROUNDS
from tflite_bench.measure.repeat import RETRIES, until_ok
from tflite_bench.messages import tell
from tflite_bench.types import Measurement, Verdict

# One step of a phone's clock is 5 % to 15 %.
MAX_DRIFT = 0.10
EVERY = 5


@dataclasses.dataclass(frozen=True)
class Checked:
    """A measurement between two of the reference.

    Attributes:
        measurement: of the model; not OK where the reference had drifted.
        drift: the reference's median after it over that at the start; above 1 the device has become slower.
    """

    measurement: Measurement
    drift: float


@dataclasses.dataclass(frozen=True)
class ReferenceRun:
    """Models with their drift, in order, and the reference's measurements, the first from before everything else."""

    checked: tuple[Checked, ...]
    references: tuple[Measurement, ...]


def measure_with_reference(
    device: Device,
    models: Sequence[str | os.PathLike[str]],
    reference: str | os.PathLike[str],
    options: BenchOptions | None = None,
    *,
    every: int = EVERY,
    rounds: int = ROUNDS,
    retries: int = RETRIES,
    max_drift: float = MAX_DRIFT,
    on_measured: Callable[[ReferenceRun, int], None] | None = None,
) -> ReferenceRun:
    """Returns the latency of each model, with the reference measured at the start and after every ``every`` models.

    Where the reference's median differs by more than ``max_drift`` from that at the start, the models since it was
    last in order are measured again, at most ``retries`` times. If the device stays slow, they are `Verdict.THROTTLED`
    (`Verdict.NOISY` if it became faster). Where the reference itself is not OK at the start, no model is. Of a pool,
    one device measures everything.

    Args:
        device: where to measure.
        models: paths of .tflite files.
        reference: path of the reference.
        options: how; the defaults of `BenchOptions` when None.
        every: models between two measurements of the reference.
        rounds: blocks a model.
        retries: how often to measure again.
        max_drift: how far the reference may drift, as a share.
        on_measured: called with what there is so far, and the number of all models, after every batch that is not
            repeated; where another device starts all over, from the beginning again.

    Raises:
        OptionsError: every below 1, and as `until_ok`.
        ModelFileError, DeviceError: as `until_ok`.
    """
    if every < 1:
        raise OptionsError(f"Expected reference_every to be 1 or more. Received: {every}.")

    def measured(one: Device, path: str | os.PathLike[str]) -> Measurement:
        (found,) = until_ok(one, [path], options, rounds, retries)[-1]
        return found

    def job(one: Device) -> ReferenceRun:
        references = [measured(one, reference)]
        checked: list[Checked] = []
        for begin in range(0, len(models), every):
            batch = models[begin : begin + every]
            earlier: tuple[str, ...] = ()
            while True:
                found = [measured(one, path) for path in batch]
                references.append(drifted(measured(one, reference), references[0].median_ms, max_drift))
                if not _apart(references[-1], references[0], max_drift) or len(earlier) >= retries:
                    break
                tell(f"{references[-1].reason} The last {len(batch)} measurements are made again.")
                earlier = (*earlier, references[-1].verdict.value)
            checked += [_checked(each, references[-1], references[0], max_drift, earlier) for each in found]
            if on_measured is not None:
                on_measured(ReferenceRun(tuple(checked), tuple(references)), len(models))
        return ReferenceRun(tuple(checked), tuple(references))

    return device.run_job(job)


def drifted(reference: Measurement, start_ms: float, max_drift: float) -> Measurement:
    """Returns the reference's measurement, with the verdict that its drift asks for.

    Args:
        reference: a measurement of the reference.
        start_ms: its median at the start, in milliseconds.
        max_drift: how far it may drift, as a share.
    """
    ratio = reference.median_ms / start_ms
    now = f"{reference.median_ms:.4g} ms ({reference.num_runs} runs)"
    figures = f"The reference takes {now}, at the start it took {start_ms:.4g} ms"
    if ratio > 1 + max_drift:
        text = f"{figures}: the device is {ratio - 1:.0%} slower."
        return dataclasses.replace(reference, verdict=Verdict.THROTTLED, reason=text)
    if ratio < 1 / (1 + max_drift) and reference.verdict is Verdict.OK:
        text = f"{figures}: the device is {1 - ratio:.0%} faster."
        return dataclasses.replace(reference, verdict=Verdict.NOISY, reason=text)
    return reference


def _apart(now: Measurement, start: Measurement, max_drift: float) -> bool:
    ratio = now.median_ms / start.median_ms
    return not 1 / (1 + max_drift) <= ratio <= 1 + max_drift


def _checked(
    measurement: Measurement, now: Measurement, start: Measurement, max_drift: float, earlier: tuple[str, ...]
) -> Checked:
    found = dataclasses.replace(measurement, attempts=(*earlier, *measurement.attempts))
    if _apart(now, start, max_drift) and found.verdict is Verdict.OK:
        found = dataclasses.replace(found, verdict=now.verdict, reason=now.reason)
    if start.verdict is not Verdict.OK and found.verdict is Verdict.OK:
        text = f"The reference was {start.verdict.value} at the start, so drift cannot be told from it. {start.reason}"
        found = dataclasses.replace(found, verdict=start.verdict, reason=text)
    return Checked(found, now.median_ms / start.median_ms)
