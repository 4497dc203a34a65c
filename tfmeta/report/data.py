"""What a report tells, as plain data. What was not measured is a `Missing` with its reason (`pieces`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfmeta.errors import UserError
from tfmeta.report.pieces import (
    NOT_MEASURED,
    Latency,
    LatencyPoint,
    Missing,
    MixedRow,
    OperatorShare,
    OpTime,
    require_parts,
)

if TYPE_CHECKING:
    from tfmeta.latency.staircase import DeviceStep


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
        widths: its structure, a width for each of `ReportData.groups`.
        values: objective to value, as the search stored them; see `ReportData.axes`.
    """

    name: str
    macs: int
    params: int
    search_accuracy: float | Missing = NOT_MEASURED
    test_accuracy: float | Missing = NOT_MEASURED
    size_bytes: int | Missing = NOT_MEASURED
    latency: Latency | Missing = NOT_MEASURED
    widths: tuple[int, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_parts(self.name, (self.search_accuracy, self.test_accuracy))
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
        agreement: part of the answers that are the class which the Keras network names that it was converted from.
        float_agreement: part of those that are the class which the float network names that its scheme began with.
        latency: of the file.
        minimum_runtime: the oldest TFLite runtime that can run it.
        path: where it lies, as a relative path from the report's folder; empty where it cannot be reached from there.
        sha256: of its content, in hexadecimal digits; empty when unknown.
        operators: the time of its operators by type, the slowest first.
    """

    model: str
    scheme: str
    size_bytes: int
    test_accuracy: float | Missing = NOT_MEASURED
    agreement: float | Missing = NOT_MEASURED
    float_agreement: float | Missing = NOT_MEASURED
    latency: Latency | Missing = NOT_MEASURED
    minimum_runtime: str | Missing = NOT_MEASURED
    path: str = ""
    sha256: str = ""
    operators: tuple[OpTime, ...] | Missing = NOT_MEASURED

    def __post_init__(self) -> None:
        require_parts(f"{self.model} {self.scheme}", (self.test_accuracy, self.agreement, self.float_agreement))


@dataclass(frozen=True)
class Axis:
    """An objective that every structure was evaluated in.

    Attributes:
        name: its key in the values of a structure.
        label: what it is, in words.
        unit: "MACs", "bytes", "ms".
        minimize: whether smaller is better. One of which more is better is a part, 0 to 1.
    """

    name: str
    label: str
    unit: str
    minimize: bool


# How a structure stands to the budget; "predicted" is one that a hybrid search predicted to be within it.
STANDINGS = ("outside", "predicted", "within")


@dataclass(frozen=True)
class TrialPoint:
    """One evaluated structure.

    Attributes:
        values: objective to value; "accuracy" (0 to 1, on the search split with generated weights) and "macs" are
            among them.
        searcher: who proposed it.
        feasible: whether it is within the budget.
        generation: of its searcher, from 0.
        widths: a width for each of `ReportData.groups`.
        predicted: whether `feasible` was only predicted.
    """

    values: Mapping[str, float]
    searcher: str
    feasible: bool = True
    generation: int = 0
    widths: tuple[int, ...] = ()
    predicted: bool = False

    def __post_init__(self) -> None:
        require_parts(f"trial of {self.searcher}", (self.accuracy,))

    @property
    def standing(self) -> str:
        """One of `STANDINGS`."""
        return "outside" if not self.feasible else "predicted" if self.predicted else "within"

    @property
    def accuracy(self) -> float:
        """Accuracy on the search split, 0 to 1."""
        return self.values["accuracy"]

    @property
    def macs(self) -> float:
        """Multiply-adds of one inference."""
        return self.values["macs"]


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
        mixed: the files of mixed precision that were tried.
        trials: every evaluated structure, those of a searcher in the order of their evaluation.
        axes: what they were evaluated in; the first one is what was searched for.
        groups: channels before and after.
        predictions: latencies that were predicted and measured.
        operators: what share of the latency each kind of operator has, the largest first.
        staircase: the sweep of layers that the widths are multiples after, where there was one.
        how: (what, how that number was made) in the order to tell it.
        options: (stage, its options as text).
        versions: package to version.
        command: the command line that made the numbers.
        created: when, as text.
        winner: the row that the search chose.
        full: the row of the network that was not pruned.
        file_label: which file the size and latency of a `Row` are of, "int8 .tflite".
        latency_label: where the latency was measured, "host CPU, 1 thread".
        front_latency_label: likewise that of the front's files.
        search_images: size of the search split, or None when unknown.
        test_images: size of the test split, or None when unknown.
        metric: what the networks are judged by, within a sentence; the fields named accuracy hold it.
        binomial: whether it is a mean over independent images, so that the margin of chance is known.
    """

    network: str
    data_set: str
    budget: str
    rows: tuple[Row, ...]
    files: tuple[FileRow, ...] = ()
    front: tuple[FileRow, ...] = ()
    mixed: tuple[MixedRow, ...] = ()
    trials: tuple[TrialPoint, ...] = ()
    axes: tuple[Axis, ...] = ()
    groups: tuple[GroupWidth, ...] = ()
    predictions: tuple[LatencyPoint, ...] = ()
    operators: tuple[OperatorShare, ...] = ()
    staircase: DeviceStep | None = None
    how: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    created: str = ""
    winner: str = "searched"
    full: str = "full"
    file_label: str = "int8 .tflite"
    latency_label: str = "host CPU"
    front_latency_label: str = "host CPU"
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
