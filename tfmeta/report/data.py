"""What a report tells, as plain data. What was not measured is a `Missing` with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tfmeta.errors import UserError


@dataclass(frozen=True)
class Missing:
    """Stands where a number was not measured, and says why."""

    reason: str


NOT_MEASURED = Missing("not measured")


@dataclass(frozen=True)
class Latency:
    """The time of one inference in milliseconds; ``verdict`` is "OK" where it can be trusted."""

    p50_ms: float
    p90_ms: float
    verdict: str = "OK"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.p50_ms) and math.isfinite(self.p90_ms)):
            raise UserError(
                f"Expected finite latencies. Received: {self.p50_ms} and {self.p90_ms} ms. Pass "
                "Missing(reason) for what was not measured."
            )


@dataclass(frozen=True)
class Row:
    """One network of the table; accuracies are 0 to 1.

    Attributes:
        name: "searched", "random", "uniform", "full".
        macs: multiply-adds of one inference.
        params: number of weights.
        search_accuracy: on the search split with generated weights, before retraining.
        test_accuracy: on the test split after retraining.
        size_bytes: of the shipped file that `ReportData.file_label` names.
        latency: of that file.
    """

    name: str
    macs: int
    params: int
    search_accuracy: float | Missing = NOT_MEASURED
    test_accuracy: float | Missing = NOT_MEASURED
    size_bytes: int | Missing = NOT_MEASURED
    latency: Latency | Missing = NOT_MEASURED

    def __post_init__(self) -> None:
        _require_parts(self.name, (self.search_accuracy, self.test_accuracy))
        if self.macs <= 0 or self.params <= 0:
            raise UserError(
                f"Expected MACs and params above 0 for {self.name}. Received: {self.macs} and {self.params}."
            )


@dataclass(frozen=True)
class FileRow:
    """One shipped .tflite file.

    Attributes:
        model: which network it is: the name of a `Row`.
        scheme: how it is quantized.
        size_bytes: of the file.
        test_accuracy: of the file itself on the test split, 0 to 1.
        agreement: part of the answers that are the class which its Keras model names.
        latency: of the file.
        minimum_runtime: the oldest TFLite runtime that can run it.
    """

    model: str
    scheme: str
    size_bytes: int
    test_accuracy: float | Missing = NOT_MEASURED
    agreement: float | Missing = NOT_MEASURED
    latency: Latency | Missing = NOT_MEASURED
    minimum_runtime: str | Missing = NOT_MEASURED

    def __post_init__(self) -> None:
        _require_parts(f"{self.model} {self.scheme}", (self.test_accuracy, self.agreement))


@dataclass(frozen=True)
class TrialPoint:
    """One evaluated structure: ``accuracy`` 0 to 1 on the search split, with generated weights."""

    macs: float
    accuracy: float
    searcher: str
    feasible: bool = True

    def __post_init__(self) -> None:
        _require_parts(f"trial of {self.searcher}", (self.accuracy,))


@dataclass(frozen=True)
class GroupWidth:
    """The channels of one group before and after."""

    name: str
    full: int
    chosen: int


@dataclass(frozen=True)
class ReportData:
    """Everything that a report tells.

    Attributes:
        network: the network's name.
        data_set: the data set's name.
        budget: the constraint in words, "at most 10.4 M MACs (0.50 of the full network)".
        rows: the networks of the table; the one named ``winner`` is compared with the others.
        files: the shipped .tflite files.
        front: the files of the search's front, from the smallest network to the largest, where they were exported.
        trials: every evaluated structure.
        groups: channels before and after.
        how: (what, how that number was made) in the order to tell it.
        versions: package to version.
        command: the command line that made the numbers.
        created: when, as text.
        winner: the row that the search chose.
        full: the row of the network that was not pruned.
        file_label: which file the size and latency of a `Row` are of, "int8 .tflite".
        latency_label: where the latency was measured, "host CPU, 1 thread".
        search_images: size of the search split, or None when unknown.
        test_images: size of the test split, or None when unknown.
        metric: what every accuracy here is called, within a sentence.
        binomial: whether it is a mean over independent images, so that the margin of chance is known.
    """

    network: str
    data_set: str
    budget: str
    rows: tuple[Row, ...]
    files: tuple[FileRow, ...] = ()
    front: tuple[FileRow, ...] = ()
    trials: tuple[TrialPoint, ...] = ()
    groups: tuple[GroupWidth, ...] = ()
    how: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    created: str = ""
    winner: str = "searched"
    full: str = "full"
    file_label: str = "int8 .tflite"
    latency_label: str = "host CPU"
    search_images: int | None = None
    test_images: int | None = None
    metric: str = "accuracy"
    binomial: bool = True

    @property
    def title(self) -> str:
        """The metric at the beginning of a column."""
        return self.metric[:1].upper() + self.metric[1:]

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if len(set(names)) != len(names):
            raise UserError(f"Expected rows with different names. Received: {', '.join(names)}.")

    def row(self, name: str) -> Row | None:
        """Returns the row of that name, or None."""
        return next((row for row in self.rows if row.name == name), None)


def _require_parts(what: str, values: tuple[float | Missing, ...]) -> None:
    for value in values:
        if not isinstance(value, Missing) and not 0.0 <= value <= 1.0:
            raise UserError(
                f"Expected an accuracy between 0 and 1 for {what}. Received: {value}. Give a part, "
                "not a percentage, and Missing(reason) for what was not measured."
            )
