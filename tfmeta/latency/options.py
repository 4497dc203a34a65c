"""How latencies are measured."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tflite_bench
from tfmeta.errors import UserError
from tfmeta.export import SCHEMES
from tfmeta.latency.predictor import FEWEST

SOURCES = ("measured", "predicted", "hybrid")

# Fewer timed inferences are NOISY whatever they say.
_FEWEST_RUNS = 10


@dataclasses.dataclass(frozen=True)
class Place:
    """Where latency is measured.

    Attributes:
        device: a device string of tflite_bench, such as "host" or "adb:SERIAL".
        options: how to reach that device.
    """

    device: str = "host"
    options: tflite_bench.DeviceOptions = dataclasses.field(default_factory=tflite_bench.DeviceOptions)

    def to_json(self) -> dict[str, Any]:
        """Returns what measured numbers depend on, as plain data; how long to wait for a phone is not part of it."""
        return {"device": self.device, "fixed_performance": self.options.fixed_performance}


HOST = Place()


@dataclasses.dataclass(frozen=True)
class LatencyOptions:
    """How one model is measured beside the reference.

    A model is timed until it has both ``num_runs`` inferences and ``min_secs`` seconds in all rounds together. For
    networks of less than a millisecond the seconds decide, for those of tens of milliseconds the runs.

    Attributes:
        scheme: quantization scheme of the files that are measured, a name in `tfmeta.export.SCHEMES`.
        threads: threads of the CPU kernels.
        rounds: turns that model and reference take; the ratio is the median over the rounds. Fewer than 5 are for
            trying out: the ratio's interval is too narrow then, and as the order of so few blocks proves nothing, a
            slower end is THROTTLED whatever the blocks between say.
        num_runs: least number of timed inferences, at least 10.
        min_secs: least time of the timed inferences, in seconds.
        warmup_secs: how long a model runs before, in seconds; phones need longer than the default to reach their
            steady clock.
        retries: how often a measurement whose verdict is not OK is repeated before it is taken as it is.
        pin: cores to run on, as in `tflite_bench.BenchOptions`.
        delegate: what runs the operators, likewise.

    Raises:
        UserError: an unknown scheme, or a number out of its range.
    """

    scheme: str = "fp32"
    threads: int = 1
    rounds: int = 10
    num_runs: int = 50
    min_secs: float = 0.3
    warmup_secs: float = 0.1
    retries: int = 2
    pin: str = tflite_bench.BenchOptions.pin
    delegate: str = tflite_bench.BenchOptions.delegate

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UserError(f"Unknown quantization scheme {self.scheme!r}. Expected one of: {', '.join(SCHEMES)}.")
        for name, least in (("threads", 1), ("rounds", 1), ("num_runs", _FEWEST_RUNS), ("retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(f"Expected {name} to be a whole number, at least {least}. Received: {value!r}.")
        for name in ("min_secs", "warmup_secs"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UserError(f"Expected {name} in seconds, 0 or more. Received: {value!r}.")
        try:
            self.bench()
        except tflite_bench.OptionsError as error:
            raise UserError(str(error)) from error

    def bench(self) -> tflite_bench.BenchOptions:
        """Returns the options of a single model."""
        return tflite_bench.BenchOptions(
            threads=self.threads,
            num_runs=self.num_runs,
            min_secs=self.min_secs,
            warmup_min_secs=self.warmup_secs,
            pin=self.pin,
            delegate=self.delegate,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the options as plain data."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class LatencySource:
    """Where the latencies of a search come from.

    Attributes:
        how: "measured", every structure on the device; "predicted", every one by a table; "hybrid", by prediction, and
            on the device what misses a limit by so little that it may meet it, and whatever may be the best.
        table: file of the table (`tfmeta.latency.table`) to predict with; None takes that of the work directory, or
            in a hybrid search measurements of its own.
        allow_other_device: whether the table may be of another device, runtime or options. Results say so.
        begin_with: structures that a hybrid search without a table measures before it predicts.

    Raises:
        UserError: what does not go together.
    """

    how: str = "measured"
    table: str | None = None
    allow_other_device: bool = False
    begin_with: int = 40

    def __post_init__(self) -> None:
        if self.how not in SOURCES:
            raise UserError(f"Expected latencies to be one of {', '.join(SOURCES)}. Received: {self.how!r}.")
        if self.how == "measured" and (self.table is not None or self.allow_other_device):
            raise UserError("Where every latency is measured, no table is used. Set --latency=predicted or hybrid.")
        if self.how == "hybrid" and self.table is None and self.allow_other_device:
            raise UserError(
                "A hybrid search without a table begins with measurements of its own, so there is no other device to "
                "allow. Give --latency_table, or leave out --allow_other_device_table."
            )
        if self.begin_with < FEWEST:
            raise UserError(f"Expected at least {FEWEST} structures to begin with. Received: {self.begin_with}.")


MEASURED = LatencySource()

# For the few files that are shipped or reported: longer, so that p90 means something too.
FINAL = LatencyOptions(num_runs=200, min_secs=1.0, warmup_secs=0.5, retries=3)
