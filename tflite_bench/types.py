"""The vocabulary of the package: frozen data with the unit in the name, and its JSON form."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tflite_bench.bench_options import BenchOptions
from tflite_bench.conditions import Conditions
from tflite_bench.errors import BenchError
from tflite_bench.fields import fields_of
from tflite_bench.statistics.block import Block


class Verdict(enum.StrEnum):
    """How far a measurement can be trusted."""

    OK = "OK"
    NOISY = "NOISY"  # the spread or the interval of the median is too wide
    THROTTLED = "THROTTLED"  # the device became slower while it was measured
    STALE = "STALE"  # for remote devices: what was timed may not be what was asked for


@dataclasses.dataclass(frozen=True)
class DeviceInfo:
    """What a latency depends on besides the model and the options.

    Attributes:
        kind: the device string's first word: ``host``, ``binary`` or ``adb``.
        name: the processor, or a phone's model.
        arch: instruction set or ABI, such as ``x86_64`` or ``arm64-v8a``.
        os_version: operating system and its version.
        cores: processor cores that this process may use.
        runtime: the program that runs the model, such as ``LiteRT``.
        runtime_version: its version; for a ``benchmark_model`` binary the beginning of its SHA-256.
        mode: a mode of the whole device that latencies depend on, such as ``fixed-performance``.
        serial: which one of several equal devices it was; latencies on equal devices are comparable.
    """

    kind: str
    name: str
    arch: str
    os_version: str
    cores: int
    runtime: str
    runtime_version: str
    mode: str = ""
    serial: str = ""

    @property
    def fingerprint(self) -> str:
        """A short hash of all fields but the serial: latencies with different ones are not comparable."""
        fields = self.to_json()
        del fields["serial"]
        text = json.dumps(fields, sort_keys=True)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DeviceInfo:
        """Returns the device of ``to_json``'s data."""
        return cls(**fields_of(cls, data))


@dataclasses.dataclass(frozen=True)
class Startup:
    """What a model costs before its steady state.

    Attributes:
        init_ms: reading the file, building the interpreter and allocating its tensors.
        first_inference_ms: the first inference, where some kernels still prepare their weights.
        peak_memory_mb: how far the resident memory rose above what it was before loading, in units
            of 2**20 bytes, until the first inference is done; None where the system does not tell.
        count: how often the model was loaded; the others are medians over that.
        warmup: the inferences after the first one, before the timed ones, where they are known.
    """

    init_ms: float
    first_inference_ms: float
    peak_memory_mb: float | None
    count: int = 1
    warmup: Block | None = None


@dataclasses.dataclass(frozen=True)
class Delegation:
    """What a delegate took over of a model, as the runtime told; numbers are None where it did not tell them.

    Attributes:
        name: as in ``BenchOptions.delegate``.
        complete: it runs the whole model.
        nodes_delegated: operators that it runs.
        nodes_total: operators of the model.
        partitions: pieces in which it runs them; more than one means copying in between.
    """

    name: str
    complete: bool
    nodes_delegated: int | None = None
    nodes_total: int | None = None
    partitions: int | None = None

    @property
    def share(self) -> float | None:
        """The share of the operators that the delegate runs, 0 to 1, or None where it is not known."""
        if self.complete:
            return 1.0
        if self.nodes_delegated is None or not self.nodes_total:
            return None
        return self.nodes_delegated / self.nodes_total


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The latency of one model on one device.

    Attributes:
        model_name: the file's name, without its folder.
        model_sha256: hash of the file that was timed.
        model_size_bytes: its size.
        median_ms, p90_ms, min_ms, max_ms, mean_ms, std_ms: over all timed inferences. Where the device
            tells only each block's statistics, the median is that of the blocks' medians, and p90 is
            interpolated between the percentiles that the blocks tell.
        num_runs: number of timed inferences.
        median_low_ms, median_high_ms: 95 % bootstrap interval of the median.
        init_ms, first_inference_ms, peak_memory_mb: see `Startup`; medians over ``num_startups``.
        verdict: how far this measurement can be trusted.
        reason: why, in one sentence.
        device: where it was measured.
        options: what was asked for.
        started_at: UTC time in ISO 8601.
        delegation: what the delegate took over, or None where the runtime does not tell.
        before, after: the device's state, or None where it does not tell.
        attempts: verdicts of the measurements before this one that were not OK and therefore repeated.
        blocks: the blocks of uninterrupted running, in order.
        num_startups: how often the model was loaded.
        p90_estimated: whether p90 is interpolated, as single times are not known.
        fast_ms, least_ms: 5th percentile and least time of the warm-up, or of the timed runs where they were faster;
            what the device could do at that time.
    """

    model_name: str
    model_sha256: str
    model_size_bytes: int
    median_ms: float
    p90_ms: float
    min_ms: float
    max_ms: float
    mean_ms: float
    std_ms: float
    num_runs: int
    median_low_ms: float
    median_high_ms: float
    init_ms: float
    first_inference_ms: float
    peak_memory_mb: float | None
    verdict: Verdict
    reason: str
    device: DeviceInfo
    options: BenchOptions
    started_at: str
    delegation: Delegation | None = None
    before: Conditions | None = None
    after: Conditions | None = None
    attempts: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = dataclasses.field(default=(), repr=False)
    num_startups: int = 1
    p90_estimated: bool = False
    fast_ms: float | None = None
    least_ms: float | None = None

    @property
    def blocks_ms(self) -> tuple[tuple[float, ...], ...]:
        """What `tflite_bench.compare` takes: each block's single times, or its median where they are not known."""
        return tuple(block.times_ms or (block.median_ms,) for block in self.blocks)

    def to_json(self, *, with_blocks: bool = False) -> dict[str, Any]:
        """Returns the measurement as plain data.

        Args:
            with_blocks: also the blocks with their single times, which may be many thousands.
        """
        data = dataclasses.asdict(self)
        data["verdict"] = self.verdict.value
        data["device"]["fingerprint"] = self.device.fingerprint
        if not with_blocks:
            del data["blocks"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measurement:
        """Returns the measurement of ``to_json``'s data.

        Raises:
            BenchError: a field is missing or unknown.
        """
        fields = fields_of(cls, data)
        try:
            fields["verdict"] = Verdict(fields["verdict"])
        except ValueError as error:
            known = ", ".join(Verdict)
            raise BenchError(f"Expected a verdict among {known}. Received: {fields['verdict']!r}.") from error
        device = {key: value for key, value in fields["device"].items() if key != "fingerprint"}
        fields["device"] = DeviceInfo.from_json(device)
        fields["options"] = BenchOptions.from_json(fields["options"])
        if fields.get("delegation") is not None:
            fields["delegation"] = Delegation(**fields_of(Delegation, fields["delegation"]))
        for name in ("before", "after"):
            if fields.get(name) is not None:
                fields[name] = Conditions.from_json(fields[name])
        fields["attempts"] = tuple(fields.get("attempts", ()))
        fields["blocks"] = tuple(
            Block(**{**block, "times_ms": tuple(block["times_ms"])}) for block in fields.get("blocks", ())
        )
        return cls(**fields)
