"""Beside the stages: tells whether a .tflite file, of any origin, is fit to ship."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from tfmeta.errors import UserError
from tfmeta.export import ship_run
from tfmeta.export.interface import Tolerance
from tfmeta.export.ship_check import FAIL, INFO, WARN, Finding, ShipOptions, ShipReport, ship_check
from tfmeta.latency import DeviceError, ModelFileError, measure_files
from tfmeta.latency.options import HOST, LatencyOptions, Place

NO_DEVICE = "none"
DEVICE = "device"  # what a device that cannot be used is told as


@dataclass(frozen=True)
class CheckOptions:
    """What is asked of a file.

    Attributes:
        ship: what the app asks for.
        place: where it must run: the device "host" runs it once, in a process of its own, another device text of
            tflite_bench times it there, "none" does not run it.
        latency: how it is timed.
        full_delegation: whether it fails when a delegate leaves operators out, or the device does not tell.
        reference: a float .tflite file that it must agree with; None compares with nothing.
        samples: an .npy file of images `[N, H, W, C]` float32 to compare on; None draws random ones.
        min_class_agreement: share of the answers that both files must give the same class, 0 to 1; see
            `ship_run.agreement` for None.
        max_relative_error: the largest difference of an answer, divided by the largest answer of the reference.

    Raises:
        UserError: an agreement or an error out of its range, or one of these that the others leave without effect.
    """

    ship: ShipOptions = field(default_factory=ShipOptions)
    place: Place = HOST
    latency: LatencyOptions = field(default_factory=LatencyOptions)
    full_delegation: bool = False
    reference: str | None = None
    samples: str | None = None
    min_class_agreement: float | None = None
    max_relative_error: float | None = None

    def __post_init__(self) -> None:
        Tolerance(self.min_class_agreement or 0.0, self.max_relative_error)  # tells what is out of range
        if self.full_delegation and self.place.device == NO_DEVICE:
            raise UserError(
                f'Expected a device to tell what its delegate takes over. Received: "{NO_DEVICE}", where nothing runs. '
                "Name a device, or do not require full delegation."
            )
        compared = (self.samples, self.min_class_agreement, self.max_relative_error)
        if self.reference is None and any(one is not None for one in compared):
            raise UserError(
                "Expected a float .tflite file as the reference, to compare with. Received: none, but samples or a "
                "tolerance for it. Give both, or neither."
            )


def check(path: str | os.PathLike[str], options: CheckOptions) -> ShipReport:
    """Returns what speaks against shipping the file at ``path``. Whatever is wrong with the file itself is a finding.

    Raises:
        UserError: the samples cannot be read.
        BenchError: no such device. One that cannot be used is a finding, `DEVICE`.
    """
    samples = None if options.samples is None else ship_run.read_samples(options.samples)
    report = ship_check(path, options.ship)
    if any(finding.check == "file" for finding in report.findings):
        return report
    more: list[Finding] = []
    if options.place.device == HOST.device:
        more.append(ship_run.host_delegation(path, required=options.full_delegation))
    elif options.place.device != NO_DEVICE:
        more += _timed(path, options)
    if options.reference is not None:
        compared = ship_run.agreement(
            path,
            options.reference,
            samples,
            min_class_agreement=options.min_class_agreement,
            max_relative_error=options.max_relative_error,
        )
        more.append(compared)
    return replace(report, findings=(*report.findings, *more))


def _timed(path: str | os.PathLike[str], options: CheckOptions) -> list[Finding]:
    device = options.place.device
    try:
        (latency,) = measure_files(device, [path], path, options.latency, options.place.options)
    except ModelFileError as error:
        return [Finding("runs", FAIL, str(error))]
    except DeviceError as error:
        return [Finding(DEVICE, FAIL, str(error))]
    measured = latency.measurement
    times = f"median {measured.median_ms:.3f} ms, p90 {measured.p90_ms:.3f} ms"
    text = f"{device}: {times}, {measured.num_runs} runs, {latency.verdict}"
    found = [Finding("latency", INFO, text)]
    told = measured.delegation
    if told is None:
        level = FAIL if options.full_delegation else WARN
        return [*found, Finding("delegate", level, f"{device} does not tell what a delegate took over")]
    counts = (told.nodes_delegated, told.nodes_total, told.partitions)
    return [
        *found,
        ship_run.delegation(told.name, told.complete, *counts, required=options.full_delegation),
    ]
