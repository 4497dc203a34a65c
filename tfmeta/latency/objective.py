"""The measured latency of structures, as an objective of a search."""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import json
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

import tflite_bench
from tflite_bench.measure.jobs import run_jobs
from tflite_bench.messages import tell
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure
from tfmeta.latency.ahead import Ahead
from tfmeta.latency.conversion import converter_versions
from tfmeta.latency.features import Work
from tfmeta.latency.measure import measure_pair, opened
from tfmeta.latency.model_files import ModelFiles, sha256_of_reference
from tfmeta.latency.options import LatencyOptions
from tfmeta.latency.twin import Twins
from tfmeta.store import Store

# Part of the key of every stored measurement: to be raised when numbers are no longer comparable.
_METHOD = 2
# An odd number, so that one disturbed measurement of the reference does not count.
_BASELINE_MEASUREMENTS = 3
# Everything stored is held against the baseline: it is never of a device that was throttled, or of another file.
_UNUSABLE = (tflite_bench.Verdict.THROTTLED, tflite_bench.Verdict.STALE)


class Latency:
    """Milliseconds of one inference on a device, free of the device's drift.

    A structure's .tflite file, with random weights and as `Twins` makes it, is timed in turns with a reference model:
    the full network, or a file of the user's. Its value is

        ratio to the reference x baseline,

    where the baseline is the reference's own median in milliseconds, measured before anything else (the median of
    three measurements) and stored. So when the device is slower for an hour, reference and structure are both slower,
    and the value stays; and a value of today compares with one of last week. The baseline of a store never changes,
    because constraints in milliseconds and stored values refer to it.

    Every measurement goes into the store: what the clock said (``median_ms``, ``p90_ms``), ``ratio`` with its
    interval, ``baseline_ms``, the value ``latency_ms``, ``verdict`` and ``reason``. Nothing is measured twice for the
    same file, device, options and reference. A file is known by what it is made of, so that it need not be made to be
    found: the graph, the widths, the scheme and the versions of the converters give one and the same file, byte by
    byte. Its SHA-256 is stored with the measurement.

    One whose verdict is not OK is repeated ``options.retries`` times; so is one during which the reference was much
    slower than when the baseline was taken. Then the last is taken, its verdict is stored and counted in `verdicts`,
    and the first time a line on standard error says so. One that stayed THROTTLED is measured again by the next object
    that is asked for it: the device may have cooled down meanwhile.

    On a pool, `prepare` lets all devices measure at the same time. Files are converted and results stored in the
    caller's thread; each structure is measured, in turns with the reference, on one of the devices.

    A context manager: leaving it closes the device if it was given as a string.

    Args:
        graph: the channel graph of the full network.
        device: an open device, which stays open, or a device string such as "host".
        options: how to measure.
        folder: where the .tflite files of structures are kept; None takes a temporary folder.
        store: an open store; None remembers measurements as long as this object lives.
        reference: the .tflite file to measure against; None takes the full network.
        device_options: how to reach the device of a string.

    Raises:
        UserError: the reference cannot be read.
        tflite_bench.BenchError: no such device, or it cannot be reached.
    """

    name: ClassVar[str] = "latency"
    unit: ClassVar[str] = "ms"
    minimize: ClassVar[bool] = True
    closed_form: ClassVar[bool] = False

    def __init__(
        self,
        graph: ChannelGraph,
        device: tflite_bench.Device | str = "host",
        options: LatencyOptions | None = None,
        folder: str | os.PathLike[str] | None = None,
        store: Store | None = None,
        *,
        reference: str | os.PathLike[str] | None = None,
        device_options: tflite_bench.DeviceOptions | None = None,
    ) -> None:
        self.graph = graph
        self.options = options or LatencyOptions()
        self._twins = Twins(graph, self.options.scheme, folder)
        self._given = None if reference is None else Path(reference)
        self._reference_key = self._key(graph.full)
        if self._given is not None:
            self._reference_key = sha256_of_reference(self._given)
        self.verdicts: collections.Counter[str] = collections.Counter()
        self.answered: set[Structure] = set()  # whose latency it told
        self._added: set[str] = set()  # keys of what this object measured
        self._warned = False
        self._ahead: Ahead | None = None
        self._waiting: dict[str, tuple[Structure, Path]] = {}
        with contextlib.ExitStack() as stack:
            self._device = stack.enter_context(opened(device, device_options))
            self._files = stack.enter_context(contextlib.closing(ModelFiles(folder)))
            self._store = store if store is not None else stack.enter_context(Store())
            if self._device.slots > 1:
                stack.callback(self._collect_the_rest)
                self._ahead = stack.enter_context(Ahead(self._device))
            self._owned = stack.pop_all()

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        """Returns the latency of each structure in milliseconds.

        Raises:
            ExportError: the network cannot be converted.
            tflite_bench.BenchError: the device fails.
            StoreError: the store cannot be read or written.
        """
        return [float(found["latency_ms"]) for found in self.measure(structures)]

    def measure(self, structures: Sequence[Structure]) -> Iterator[dict[str, Any]]:
        """Yields what the store holds of each structure, in turn; see the class.

        Raises:
            ExportError, BenchError, StoreError: as above.
        """
        self.prepare(structures)
        for structure in structures:
            yield self._found(structure)

    def prepare(self, structures: Sequence[Structure]) -> None:
        """Begins to measure what is not stored yet, on all devices of a pool; does nothing on a single device.

        Returns when every file is converted. What a device fails with is raised where its result is asked for.

        Raises:
            ExportError, StoreError: as above.
            tflite_bench.BenchError: a device failed, and no other could take its work.
        """
        if self._ahead is None:
            return
        for structure in dict.fromkeys(structures):
            key = self._key(structure)
            if key in self._ahead or self._stored(key) is not None:
                continue
            baseline_ms = self.baseline_ms
            while self._files.full and self._waiting:
                self._ahead.wait_for_one()
                self._collect()
            path = self._file(structure)
            self._files.hold(path)
            self._waiting[key] = structure, path
            self._ahead.submit(key, self._job(path, baseline_ms))
            self._collect()

    def stored(self, structure: Structure) -> dict[str, Any] | None:
        """Returns what the store holds of a structure, whatever its verdict; None where that is nothing."""
        return self._store.measurement(self._key(structure), self.info.fingerprint, self._options_key)

    def outdated(self, structure: Structure, value: float) -> bool:
        """Whether ``value`` was measured on a throttled device, and was or will be measured again."""
        found = self.stored(structure)
        return found is not None and (self._stored(self._key(structure)) is None or found["latency_ms"] != value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the device, the store and the folder, as far as they are its own; a second call does nothing."""
        self._owned.close()

    @functools.cached_property
    def info(self) -> tflite_bench.DeviceInfo:
        """The device as it was found."""
        return self._device.info()

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What the values depend on, as plain data: for ``depends_on`` of a search."""
        return {
            "method": _METHOD,
            "device": self.info.fingerprint,
            "options": self.options.to_json(),
            "converter": converter_versions(),
            "reference": self._reference_key,
        }

    @functools.cached_property
    def baseline_ms(self) -> float:
        """The reference's median on this device in milliseconds: stored, or measured now."""
        key = f"reference-{self._reference_key}"
        stored = self._stored(key)
        if stored is None:
            # Against itself: the ratio then tells how far equal models may differ here.
            job = self._job(self.reference, None)
            with contextlib.closing(run_jobs(self._device, [job] * _BASELINE_MEASUREMENTS)) as measured:
                found = [payload for _, payload in sorted(measured, key=operator.itemgetter(0))]
            for payload in found:
                self._warn(payload)
            trusted = [one for one in found if one["verdict"] not in _UNUSABLE]
            if not trusted:
                raise tflite_bench.DeviceError(
                    f"The reference network cannot be measured: {found[-1]['verdict']}: {found[-1]['reason']} Let the "
                    "device cool down, end what else runs on it, and run the same command again."
                )
            baseline = float(np.median([one["reference"]["median_ms"] for one in trusted]))
            stored = {"kind": "reference", "baseline_ms": baseline, "measurements": found}
            self._add(key, stored)
        return float(stored["baseline_ms"])

    @property
    def work(self) -> Work:
        """What the operators of the files have to do, see `Twins.work`."""
        return self._twins.work

    def _found(self, structure: Structure) -> dict[str, Any]:
        key = self._key(structure)
        if self._stored(key) is None:
            if self._ahead is not None:
                self._collect(until=key)
            else:
                baseline_ms = self.baseline_ms
                self._keep(structure, self._device.run_job(self._job(self._file(structure), baseline_ms)))
        payload = self._stored(key)
        if payload is None:
            raise UserError(f"The store did not keep the latency of the structure {structure.widths}.")
        self.verdicts[payload["verdict"]] += 1
        self.answered.add(structure)
        return payload

    def _job(self, path: Path, baseline_ms: float | None) -> Callable[[tflite_bench.Device], dict[str, Any]]:
        reference, options = self.reference, self.options
        return lambda device: measure_pair(device, path, reference, options, baseline_ms).to_json()

    def _collect(self, until: str | None = None) -> None:
        """Stores what was measured meanwhile; waits for one structure where its key is given."""
        if self._ahead is not None:
            for key, payload in self._ahead.finished(until):
                structure, path = self._waiting.pop(key)
                self._files.release(path)
                self._keep(structure, payload)

    def _collect_the_rest(self) -> None:
        # A search that was stopped need not measure again what is there.
        with contextlib.suppress(tflite_bench.BenchError):
            self._collect()

    def _keep(self, structure: Structure, found: Mapping[str, Any]) -> None:
        if found["verdict"] == tflite_bench.Verdict.STALE:  # what was timed may be another network
            raise tflite_bench.DeviceError(f"{found['reason']} Nothing is stored of it: run the same command again.")
        received = found["measurement"]["device"]["fingerprint"]
        if received != self.info.fingerprint:  # a phone that was restarted may refuse a mode that it was in
            raise tflite_bench.DeviceError(
                f"The device changed while it was used. Expected: {self.info.fingerprint}. Received: {received}. "
                "Nothing is stored of it: set the device as it was, and run the same command again."
            )
        self._warn(found)
        payload = {
            **found,
            "kind": "structure",
            "widths": list(structure.widths),
            "baseline_ms": self.baseline_ms,
            "latency_ms": found["ratio"] * self.baseline_ms,
        }
        self._add(self._key(structure), payload)

    def _warn(self, found: Mapping[str, Any]) -> None:
        if found["verdict"] != tflite_bench.Verdict.OK and not self._warned:
            self._warned = True
            text = f"latency: {found['verdict']} after {len(found['attempts'])} attempts: {found['reason']}"
            tell(f"{text} It is taken as it is; further ones are stored and counted only.")

    @property
    def reference(self) -> Path:
        """The file that all others are measured against."""
        return self._file(self.graph.full) if self._given is None else self._given

    @functools.cached_property
    def _options_key(self) -> str:
        return _hash({"method": _METHOD, "options": self.options.to_json(), "reference": self._reference_key})

    def _key(self, structure: Structure) -> str:
        """Stands for the hash of the structure's file: a function of all that the file is made of."""
        made_of = [self.graph.fingerprint, list(structure.widths), self.options.scheme, converter_versions()]
        return _hash(made_of)

    def _file(self, structure: Structure) -> Path:
        name = f"{self._key(structure)[:32]}-{self.options.scheme}"
        return self._files.get(name, lambda: self._twins.file(structure))

    def _stored(self, model: str) -> dict[str, Any] | None:
        found = self._store.measurement(model, self.info.fingerprint, self._options_key)
        throttled = found is not None and found.get("verdict") == tflite_bench.Verdict.THROTTLED
        return None if throttled and model not in self._added else found

    def _add(self, model: str, payload: Mapping[str, Any]) -> None:
        self._added.add(model)
        self._store.add_measurement(model, self.info.fingerprint, self._options_key, payload)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
