"""A latency table: what was measured of a network on a device, and the predictor that was fitted to it, as a file.

Structures are drawn at random by a seed. The predictor sees one part of them; the other part is only predicted, and
tells how far predictions are off. The file holds all that is needed to predict again.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

import tflite_bench
from tfmeta import files
from tfmeta.differences import differences
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure
from tfmeta.latency.conversion import converter_versions
from tfmeta.latency.features import Work
from tfmeta.latency.options import LatencyOptions
from tfmeta.latency.predictor import Predictor
from tfmeta.latency.table_checks import check, check_predictions
from tfmeta.latency.table_error import Error

# Of `LatencyTable.shares`.
FIXED = "whatever no width changes"

_KIND, _FORMAT = "tfmeta latency table", 2
_MAKE = "Make one: tfmeta latency --build --workdir=…"
# `build` does not replace a file.
_ANEW = "Move it away, or give another --output, and make one: tfmeta latency --build --workdir=…"


@dataclass(frozen=True)
class Point:
    """One measured structure of a table.

    Attributes:
        widths: of the structure.
        ratio: its latency over that of the full network; ``low`` to ``high`` is the 95 % interval.
        low: see ``ratio``.
        high: see ``ratio``.
        verdict: of the measurement.
        held_out: whether the predictor never saw it.
    """

    widths: tuple[int, ...]
    ratio: float
    low: float
    high: float
    verdict: str
    held_out: bool

    @classmethod
    def of(cls, found: Mapping[str, Any], *, held_out: bool) -> Self:
        """Returns the point of what `Latency.measure` yields."""
        ratio, low, high = (float(found[name]) for name in ("ratio", "ratio_low", "ratio_high"))
        return cls(tuple(found["widths"]), ratio, low, high, str(found["verdict"]), held_out)

    @property
    def scatter(self) -> float:
        """Relative standard deviation of the measurement, as its interval tells it."""
        return (self.high - self.low) / (2 * 1.96 * self.ratio)


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """Latencies of one network on one device, measured and predicted.

    Attributes:
        network: its name.
        fingerprint: of its channel graph.
        groups: name and full width of each searchable group.
        device: where was measured.
        options: how, and in which quantization scheme.
        converter: versions of the packages that made the files.
        baseline_ms: what the full network takes.
        points: what was measured, in the order of drawing.
        seed: that the structures were drawn by.
        work: the work of the network's operators.
        predictor: fitted to the points that are not held out.
        created: date and time, UTC.
    """

    network: str
    fingerprint: str
    groups: tuple[tuple[str, int], ...]
    device: tflite_bench.DeviceInfo
    options: LatencyOptions
    converter: str
    baseline_ms: float
    points: tuple[Point, ...]
    seed: int
    work: Work
    predictor: Predictor
    created: str

    @classmethod
    def fit(
        cls,
        graph: ChannelGraph,
        device: tflite_bench.DeviceInfo,
        options: LatencyOptions,
        baseline_ms: float,
        points: Sequence[Point],
        work: Work,
        seed: int,
    ) -> Self:
        """Returns the table of points.

        Raises:
            UserError: there are too few, or they scatter so much that what they predict is no latency.
        """
        table = cls(
            network=graph.name,
            fingerprint=graph.fingerprint,
            groups=tuple((group.name, group.size) for group in graph.searchable),
            device=device,
            options=options,
            converter=converter_versions(),
            baseline_ms=baseline_ms,
            points=tuple(points),
            seed=seed,
            work=work,
            predictor=Predictor.fit(work, *_columns([one for one in points if not one.held_out], baseline_ms)),
            created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
        try:
            table._check_predictions()
        except ValueError as error:
            raise UserError(
                f"Expected measurements that latencies of {graph.name!r} can be predicted from. Received: "
                f"{len(table.points)} that scatter too much: {error}. Measure longer or more (--min_secs, "
                "--measurements), or on a quieter device."
            ) from error
        return table

    @functools.cached_property
    def judged(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Measured and predicted milliseconds of the held-out points, `[N]` each, and the predictions' deviations."""
        widths, measured, _ = _columns([one for one in self.points if one.held_out], self.baseline_ms)
        return measured, *self.predictor.predict(widths)

    @property
    def error(self) -> Error:
        """How far predictions of the held-out points are off."""
        measured, predicted, deviations = self.judged
        scatters = np.array([one.scatter for one in self.points if one.held_out])
        return Error.between(measured, predicted, np.hypot(deviations, scatters * predicted))

    @property
    def verdicts(self) -> dict[str, int]:
        """How many points have which verdict."""
        return dict(sorted(Counter(one.verdict for one in self.points).items()))

    def shares(self, structure: Structure | None = None) -> dict[str, tuple[int, float]]:
        """Returns kind of operator → how many there are, and their share of the latency; the largest share first.

        It follows from the predictor: nothing was timed operator by operator. From whole networks one cannot tell apart
        what takes the same time in each of them, so that is one entry, `FIXED`, with a part that no operator explains.
        What comes out below 0 counts as nothing.

        Args:
            structure: of which structure; None takes the full network.
        """
        full = np.array([size for _, size in self.groups])
        asked = full[None] if structure is None else np.array([structure.widths])
        parts = np.maximum(self.predictor.parts(asked)[0], 0.0)
        whole, half = self.work.of(np.array([full, np.maximum(full // 2, 1)]))
        changes = (whole != half).any(1)
        names = [kind if varies else FIXED for kind, varies in zip(self.work.kinds, changes, strict=True)]
        counts, sums = Counter(names), dict.fromkeys([*names, FIXED], 0.0)
        for name, part in zip([*names, FIXED], parts, strict=True):
            sums[name] += float(part / parts.sum())
        return {kind: (counts[kind], sums[kind]) for kind in sorted(sums, key=lambda kind: -sums[kind])}

    def check_network(self, graph: ChannelGraph, where: str | os.PathLike[str]) -> None:
        """Refuses the table for another network.

        Raises:
            UserError: it is of another one.
        """
        if self.fingerprint != graph.fingerprint:
            raise UserError(
                f"Expected a latency table of {graph.name!r} with the fingerprint {graph.fingerprint[:16]}. Received: "
                f"{where}, of {self.network!r} with {self.fingerprint[:16]}. {_ANEW}"
            )

    def different(self, device: tflite_bench.DeviceInfo, options: LatencyOptions) -> str:
        """Returns what of device, runtime, options or converters is not the table's; empty where all of it is."""
        return differences(_binding(self.device, self.options, self.converter), _binding(device, options))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table to ``path`` as JSON, whole or not at all."""
        values = {
            "kind": _KIND,
            "format": _FORMAT,
            "device": {**self.device.to_json(), "fingerprint": self.device.fingerprint},
            "options": self.options.to_json(),
            "points": [dataclasses.asdict(one) for one in self.points],
            "work": self.work.to_json(),
            "predictor": self.predictor.to_json(),
            "held_out_error": dataclasses.asdict(self.error),
            **{name: getattr(self, name) for name in _PLAIN},
        }
        files.write_text(path, json.dumps(values, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Returns the table that `save` wrote.

        Raises:
            UserError: there is none at ``path``, or it is damaged, something else, or of another version.
        """
        try:
            values = json.loads(Path(path).read_text("utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"There is no latency table at {path}. {_MAKE}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(path, error) from error
        if not isinstance(values, dict) or values.get("kind") != _KIND:
            raise UserError(f"Expected a latency table at {path}. Received: another file. {_ANEW}")
        if values.get("format") != _FORMAT:
            raise UserError(
                f"{path} is a latency table of format {values.get('format')}, this tfmeta reads format {_FORMAT}. Use "
                "the tfmeta that wrote it, or move the file away and build the table anew: what a work directory has "
                "measured is not measured again."
            )
        try:
            check(values)
            table = cls._from_json(values)
            table._check_predictions()
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise _damaged(path, error) from error
        return table

    def _check_predictions(self) -> None:
        """Raises ValueError where what is predicted of the full network or a point is no latency."""
        known = [tuple(size for _, size in self.groups), *(one.widths for one in self.points)]
        check_predictions(self.predictor, np.array(known))

    @classmethod
    def _from_json(cls, values: Mapping[str, Any]) -> Self:
        device = {name: value for name, value in values["device"].items() if name != "fingerprint"}
        points = tuple(Point(**{**one, "widths": tuple(one["widths"])}) for one in values["points"])
        work, baseline_ms = Work.from_json(values["work"]), float(values["baseline_ms"])
        seen = _columns([one for one in points if not one.held_out], baseline_ms)
        return cls(
            **{
                **{name: values[name] for name in _PLAIN},
                "groups": tuple((name, size) for name, size in values["groups"]),
                "device": tflite_bench.DeviceInfo(**device),
                "options": LatencyOptions(**values["options"]),
                "baseline_ms": baseline_ms,
                "points": points,
                "work": work,
                "predictor": Predictor.from_json(values["predictor"], work, *seen),
            }
        )


_PLAIN = ("network", "fingerprint", "groups", "converter", "baseline_ms", "seed", "created")


def _damaged(path: str | os.PathLike[str], error: Exception) -> UserError:
    reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return UserError(f"Expected a latency table at {path}. Received: a damaged file ({reason}). {_ANEW}")


def _columns(points: Sequence[Point], baseline_ms: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Widths, milliseconds and scatter of points."""
    latencies_ms = np.array([one.ratio * baseline_ms for one in points])
    return np.array([one.widths for one in points]), latencies_ms, np.array([one.scatter for one in points])


def _binding(device: tflite_bench.DeviceInfo, options: LatencyOptions, converter: str | None = None) -> dict[str, Any]:
    """What latencies of two tables must share to be comparable. How long was measured is no part of it."""
    named = {name: getattr(options, name) for name in ("scheme", "threads", "pin", "delegate")}
    place = {name: value for name, value in device.to_json().items() if name != "serial"}
    return {**place, **named, "converter": converter or converter_versions()}
