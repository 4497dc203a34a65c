"""What twins are made from: the converted files of the full network and of a probe or two."""

from __future__ import annotations

import functools
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmeta import files
from tfmeta.errors import ExportError
from tfmeta.export.bundle import installed_versions
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure
from tfmeta.latency.conversion import structure_file
from tfmeta.latency.layout import Layout
from tfmeta.latency.probes import Lengths, draw_probes
from tfmeta.latency.ties import tie

_FORMAT = 1
_AGAIN = "Delete it, and it is made anew."

Convert = Callable[[ChannelGraph, Structure, str], bytes]


@dataclass(frozen=True, eq=False)
class Template:
    """Converted files of one network in one quantization scheme.

    Attributes:
        graph: the channel graph of the network.
        scheme: a name in `tfmeta.export.SCHEMES`.
        structures: the full structure and the probes (`draw_probes`).
        contents: their .tflite files.
    """

    graph: ChannelGraph
    scheme: str
    structures: tuple[Structure, ...]
    contents: tuple[bytes, ...]

    @classmethod
    def make(cls, graph: ChannelGraph, scheme: str, convert: Convert = structure_file) -> Template:
        """Returns the template of a network; each file is converted, which takes seconds.

        Args:
            graph: the channel graph of the full network.
            scheme: a name in `tfmeta.export.SCHEMES`.
            convert: makes the file of a structure.

        Raises:
            ExportError: the network cannot be converted, or no probes tell its channel groups apart.
            UserError: no such scheme.
        """
        lengths = Lengths.of(graph)
        structures = (lengths.graph.full, *draw_probes(lengths))
        return cls(graph, scheme, structures, tuple(convert(graph, one, scheme) for one in structures))

    @functools.cached_property
    def lengths(self) -> Lengths:
        """The lengths of the graph's channel axes."""
        return Lengths.of(self.graph)

    @functools.cached_property
    def layout(self) -> Layout:
        """The full network's file, ready to be written in other lengths.

        Raises:
            ExportError: the files differ by more than lengths.
        """
        return Layout(tie(self.lengths, self.structures, self.contents))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the template to ``path`` (.npz), whole or not at all."""
        about = {
            "format": _FORMAT,
            "fingerprint": self.graph.fingerprint,
            "scheme": self.scheme,
            "versions": _versions(),
            "widths": [list(one.widths) for one in self.structures],
        }
        arrays = {f"file{index}": np.frombuffer(data, np.uint8) for index, data in enumerate(self.contents)}
        stream = io.BytesIO()
        np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
        files.write_bytes(path, stream.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str], graph: ChannelGraph, scheme: str) -> Template:
        """Returns the template that `save` wrote.

        Args:
            path: the file.
            graph: the channel graph of the network that it must be of.
            scheme: the quantization scheme that it must be in.

        Raises:
            ExportError: there is no such file, or it is damaged, from another version, or of another network or scheme.
        """
        about, contents = _read(path)
        expected = {"format": _FORMAT, "fingerprint": graph.fingerprint, "scheme": scheme, "versions": _versions()}
        for name, what in _WHAT.items():
            if about.get(name) != expected[name]:
                raise ExportError(
                    f"Expected a template of {what} {_told(expected[name])}. Received: {str(path)!r}, of "
                    f"{_told(about.get(name))}. {_AGAIN}"
                )
        return cls(graph, scheme, tuple(Structure(tuple(widths)) for widths in about["widths"]), contents)


_WHAT = {
    "format": "the format",
    "fingerprint": "the network with the fingerprint",
    "scheme": "the scheme",
    "versions": "the versions",
}


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    try:
        with np.load(Path(path), allow_pickle=False) as archive:
            about = json.loads(str(archive["about"]))
            contents = tuple(archive[f"file{index}"].tobytes() for index in range(len(about["widths"])))
        return about, contents
    except FileNotFoundError as error:
        raise ExportError(
            f"There is no template at {str(path)!r}. Make one with Template.make(...).save(path)."
        ) from error
    except Exception as error:  # of a damaged file zipfile and numpy raise any type, NotImplementedError for one
        raise ExportError(
            f"Expected a template at {str(path)!r}. Received: a damaged file ({error}). {_AGAIN}"
        ) from error


def _versions() -> dict[str, str]:
    # What another converter makes of the same network may be other operators.
    return {name: version for name, version in installed_versions().items() if name in ("tensorflow", "keras")}


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in sorted(value.items()))
    return str(value)[:16]
