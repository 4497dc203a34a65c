"""Beside the stages: tells whether a .tflite file, of any origin, is fit to ship."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from tfmeta.errors import UserError
from tfmeta.export import ship_run
from tfmeta.export.ship_check import INFO, WARN, Finding, ShipOptions, ShipReport, ship_check
from tfmeta.latency.measure import measure_files
from tfmeta.latency.options import HOST, LatencyOptions, Place

NO_DEVICE = "none"


@dataclass(frozen=True)
class CheckOptions:
    """What is asked of a file.

    Attributes:
        ship: what the app asks for.
        place: where it must run: the device "host" runs it once in this process, another device text of tflite_bench
            times it there, "none" does not run it.
        latency: how it is timed.
        full_delegation: whether it fails when a delegate leaves operators out.
        reference: a float .tflite file that it must agree with; None compares with nothing.
        samples: an .npy file of images `[N, H, W, C]` float32 to compare on; None draws random ones.
        min_class_agreement: share of them that both files must give the same class, 0 to 1.

    Raises:
        UserError: an agreement out of its range.
    """

    ship: ShipOptions = field(default_factory=ShipOptions)
    place: Place = HOST
    latency: LatencyOptions = field(default_factory=LatencyOptions)
    full_delegation: bool = False
    reference: str | None = None
    samples: str | None = None
    min_class_agreement: float = 0.9

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_class_agreement <= 1.0:
            raise UserError(f"Expected an agreement of classes between 0 and 1. Received: {self.min_class_agreement}.")


def check(path: str | os.PathLike[str], options: CheckOptions) -> ShipReport:
    """Returns what speaks against shipping the file at ``path``. Whatever is wrong with the file itself is a finding.

    Raises:
        UserError: the samples cannot be read.
        BenchError: the device does not answer.
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
        least = options.min_class_agreement
        more.append(ship_run.agreement(path, options.reference, samples, min_class_agreement=least))
    return replace(report, findings=(*report.findings, *more))


def _timed(path: str | os.PathLike[str], options: CheckOptions) -> list[Finding]:
    device = options.place.device
    (latency,) = measure_files(device, [path], path, options.latency, options.place.options)
    measured = latency.measurement
    times = f"median {measured.median_ms:.3f} ms, p90 {measured.p90_ms:.3f} ms"
    text = f"{device}: {times}, {measured.num_runs} runs, {latency.verdict}"
    found = [Finding("latency", INFO, text)]
    told = measured.delegation
    if told is None:
        return [*found, Finding("delegate", WARN, f"{device} does not tell what a delegate took over")]
    counts = (told.nodes_delegated, told.nodes_total, told.partitions)
    return [
        *found,
        ship_run.delegation(told.name, told.complete, *counts, required=options.full_delegation),
    ]
