"""The measured latency of structures, as an objective of a search."""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from tqdm import tqdm

import tflite_bench
from tfmeta import files
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure
from tfmeta.latency.measure import measure_pair, opened
from tfmeta.latency.model_files import ModelFiles
from tfmeta.latency.options import LatencyOptions
from tfmeta.latency.twin import Twins
from tfmeta.store import Store

# Part of the key of every stored measurement: to be raised when numbers are no longer comparable.
_METHOD = 1
# An odd number, so that one disturbed measurement of the reference does not count.
_BASELINE_MEASUREMENTS = 3


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
    same structure, device, options and reference. One whose verdict is not OK is repeated ``options.retries`` times;
    then the last is taken, its verdict is stored and counted in `verdicts`, and the first time a line on standard
    error says so.

    A context manager: leaving it closes the device if it was given as a string.

    Args:
        graph: the channel graph of the full network.
        device: an open device, which stays open, or a device string such as "host".
        options: how to measure.
        folder: where the .tflite files of structures are kept; None takes a temporary folder.
        store: an open store; None remembers measurements as long as this object lives.
        reference: the .tflite file to measure against; None takes the full network.

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
    ) -> None:
        self._graph = graph
        self._options = options or LatencyOptions()
        self._twins = Twins(graph, self._options.scheme, folder)
        self._given = None if reference is None else Path(reference)
        full = Structure(tuple(group.size for group in graph.searchable))
        self._full, self._reference_key = full, self._key(full)
        if self._given is not None:
            self._reference_key = _hash_of_file(self._given)
        self.verdicts: collections.Counter[str] = collections.Counter()
        self._warned = False
        with contextlib.ExitStack() as stack:
            self._device = stack.enter_context(opened(device))
            self._files = stack.enter_context(contextlib.closing(ModelFiles(folder)))
            self._store = store if store is not None else stack.enter_context(Store())
            self._owned = stack.pop_all()

    def __call__(self, structures: Sequence[Structure]) -> list[float]:
        """Returns the latency of each structure in milliseconds.

        Raises:
            ExportError: the network cannot be converted.
            tflite_bench.BenchError: the device fails.
            StoreError: the store cannot be read or written.
        """
        return [self._latency_ms(structure) for structure in structures]

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
    def identity(self) -> dict[str, Any]:
        """What the values depend on, as plain data: for ``depends_on`` of a search."""
        return {
            "method": _METHOD,
            "device": self._info.fingerprint,
            "options": self._options.to_json(),
            "reference": self._reference_key,
        }

    @functools.cached_property
    def baseline_ms(self) -> float:
        """The reference's median on this device in milliseconds: stored, or measured now."""
        key = f"reference-{self._reference_key}"
        stored = self._stored(key)
        if stored is None:
            # Against itself: the ratio then tells how far equal models may differ here.
            found = [self._measure(self._reference) for _ in range(_BASELINE_MEASUREMENTS)]
            baseline = float(np.median([one["reference"]["median_ms"] for one in found]))
            stored = {"kind": "reference", "baseline_ms": baseline, "measurements": found}
            self._add(key, stored)
        return float(stored["baseline_ms"])

    def _latency_ms(self, structure: Structure) -> float:
        key = self._key(structure)
        payload = self._stored(key)
        if payload is None:
            baseline = self.baseline_ms
            payload = self._measure(self._file(structure))
            payload |= {
                "kind": "structure",
                "widths": list(structure.widths),
                "baseline_ms": baseline,
                "latency_ms": payload["ratio"] * baseline,
            }
            self._add(key, payload)
        self.verdicts[payload["verdict"]] += 1
        return float(payload["latency_ms"])

    def _measure(self, path: Path) -> dict[str, Any]:
        found = measure_pair(self._device, path, self._reference, self._options)
        if found.verdict != tflite_bench.Verdict.OK and not self._warned:
            self._warned = True
            text = f"latency: {found.verdict} after {len(found.attempts)} attempts: {found.reason}"
            tqdm.write(f"{text} It is taken as it is; further ones are stored and counted only.", file=sys.stderr)
        return found.to_json()

    @property
    def _reference(self) -> Path:
        return self._file(self._full) if self._given is None else self._given

    @functools.cached_property
    def _info(self) -> tflite_bench.DeviceInfo:
        return self._device.info()

    @functools.cached_property
    def _options_key(self) -> str:
        return _hash({"method": _METHOD, "options": self._options.to_json(), "reference": self._reference_key})

    def _key(self, structure: Structure) -> str:
        return _hash([self._graph.fingerprint, list(structure.widths)])

    def _file(self, structure: Structure) -> Path:
        name = f"{self._key(structure)[:32]}-{self._options.scheme}"
        return self._files.get(name, lambda: self._twins.file(structure))

    def _stored(self, model: str) -> dict[str, Any] | None:
        return self._store.measurement(model, self._info.fingerprint, self._options_key)

    def _add(self, model: str, payload: Mapping[str, Any]) -> None:
        self._store.add_measurement(model, self._info.fingerprint, self._options_key, payload)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _hash_of_file(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(f"Cannot read the reference model {path}: {error.strerror}. Give a .tflite file.") from error
