"""Single measurements of a report, and what stands where there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfmeta.errors import UserError


@dataclass(frozen=True)
class Missing:
    """Stands where a number was not measured, and says why."""

    reason: str


NOT_MEASURED = Missing("not measured")


@dataclass(frozen=True)
class Latency:
    """The time of one inference in milliseconds; ``verdict`` is "OK" where it can be trusted.

    Attributes:
        p50_ms: the median.
        p90_ms: the 90th percentile.
        verdict: "OK", "NOISY", "THROTTLED" or "STALE".
        count: number of inferences that were timed; None, as for the others, where it is not known.
        init_ms: reading the file, building the interpreter and allocating its tensors.
        first_inference_ms: the first inference.
        peak_memory_mb: how far the memory rose until then, in units of 2**20 bytes.
    """

    p50_ms: float
    p90_ms: float
    verdict: str = "OK"
    count: int | None = None
    init_ms: float | None = None
    first_inference_ms: float | None = None
    peak_memory_mb: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.p50_ms) and math.isfinite(self.p90_ms)):
            raise UserError(
                f"Expected finite latencies. Received: {self.p50_ms} and {self.p90_ms} ms. Pass "
                "Missing(reason) for what was not measured."
            )


@dataclass(frozen=True)
class OpTime:
    """Operators of one type in one file: how many, and the milliseconds that they take of an inference together.

    ``share`` is their part of the time of all operators, 0 to 1.
    """

    type: str
    count: int
    ms: float
    share: float

    def __post_init__(self) -> None:
        require_parts(f"the share of {self.type}", (self.share,))


@dataclass(frozen=True)
class MixedRow:
    """One file of mixed precision that was tried.

    Attributes:
        network: the name of a `Row`.
        kind: what the layers that are not int8 are in: "float".
        kept: number of those layers, the most sensitive ones; None is the float file that all are compared with.
        size_bytes: of the file.
        search_accuracy: top-1 on images of the search split, 0 to 1, which the choice is made on.
        test_accuracy: top-1 on the test split, 0 to 1.
        p50_ms: median of one inference in milliseconds.
        ratio: its time over that of the float file, which ran in turns with it.
        verdict: how far that can be trusted.
        chosen: whether this is the file that was written.
    """

    network: str
    kind: str
    kept: int | None
    size_bytes: int
    search_accuracy: float
    test_accuracy: float
    p50_ms: float
    ratio: float
    verdict: str
    chosen: bool

    def __post_init__(self) -> None:
        require_parts(f"{self.network} with {self.kept} layers kept", (self.search_accuracy, self.test_accuracy))


@dataclass(frozen=True)
class LatencyPoint:
    """A latency that was predicted before it was measured.

    Attributes:
        predicted_ms: the prediction.
        deviation_ms: its standard deviation, as it was told.
        measured_ms: the measurement.
        origin: "held out" of a latency table, or "search".
    """

    predicted_ms: float
    deviation_ms: float
    measured_ms: float
    origin: str


@dataclass(frozen=True)
class OperatorShare:
    """The share of a kind of operator in the latency of two networks, 0 to 1, as a predictor divides it.

    Attributes:
        kind: "CONV_2D 1x1"; one is whatever no width changes, which a predictor cannot divide.
        count: how many operators of the kind there are.
        full: share in the full network.
        winner: share in the searched network.
    """

    kind: str
    count: int
    full: float
    winner: float


def require_parts(what: str, values: tuple[float | Missing, ...]) -> None:
    """Raises UserError where a value is there and is not between 0 and 1."""
    for value in values:
        if not isinstance(value, Missing) and not 0.0 <= value <= 1.0:
            raise UserError(
                f"Expected an accuracy between 0 and 1 for {what}. Received: {value}. Give a part, "
                "not a percentage, and Missing(reason) for what was not measured."
            )
