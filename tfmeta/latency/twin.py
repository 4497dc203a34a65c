"""Shape twins: the .tflite file of a structure in milliseconds, without converting anything.

How long a network takes depends on its operators and shapes, not on the values of its weights. So the full network and
a probe are converted once (`template`); the file of every other structure is the full network's file with other lengths
(`layout`). Its weights, scales and zero points are as many of the full network's random ones as are needed: it computes
nothing, and is for timing alone.

It has the operators, shapes, types and quantization of the converted file. Where the converter decides by the values
that it calibrates, as before a concatenation in 16 bits, there are no twins, and structures are converted.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from pathlib import Path

from tqdm import tqdm

from tfmeta.errors import ExportError, SpaceError, UserError
from tfmeta.export import flatbuffer
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.structure import Structure
from tfmeta.latency.conversion import converter_versions, structure_file
from tfmeta.latency.features import Work
from tfmeta.latency.probes import Lengths
from tfmeta.latency.template import Convert, Template

# Operators of several inputs that must have the scale of the output. With activations of 8 bits the converter gives
# them one scale from the beginning. With 16 bits each has a scale by its own range, and a QUANTIZE behind it where that
# is not the output's: which input that spares, if any, hangs on weights and images.
_OF_ONE_SCALE = ("CONCATENATION", "MAXIMUM", "MINIMUM", "PACK")


class Twins:
    """Makes the files of structures of one network.

    A structure that no twin can be made of is converted instead, and the first time a line on standard error says why.

    Args:
        graph: the channel graph of the full network.
        scheme: a name in `tfmeta.export.SCHEMES`.
        folder: where the template is kept for the next process; None keeps none.
        convert: makes the file of a structure by conversion.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        scheme: str,
        folder: str | os.PathLike[str] | None = None,
        *,
        convert: Convert = structure_file,
    ) -> None:
        self._graph = graph
        self._scheme = scheme
        self._convert = convert
        self._lengths = Lengths.of(graph)
        made_of = hashlib.sha256(f"{graph.fingerprint} {converter_versions()}".encode()).hexdigest()[:32]
        self._place = None if folder is None else Path(folder) / f"{made_of}-{scheme}.template.npz"
        self._told: set[str] = set()

    def file(self, structure: Structure) -> bytes:
        """Returns a .tflite file that takes as long as the structure's own: for timing, never for shipping.

        Raises:
            ExportError: the network cannot be converted.
            SpaceError: the structure is none of this network.
            UserError: no such scheme.
        """
        self._check(structure)
        if structure == self._graph.full:
            return self._full
        reason = self.reason_against(structure)
        if reason is None and isinstance(self._template, Template):
            return self._template.layout.write(self._lengths.at(structure))
        self._tell(f"{reason} Converting takes seconds a structure.")
        return self._convert(self._graph, structure, self._scheme)

    def reason_against(self, structure: Structure) -> str | None:
        """Returns why no twin can be made of a structure, in a sentence, or None.

        Raises:
            ExportError: the network cannot be converted.
            SpaceError: the structure is none of this network.
        """
        self._check(structure)
        for group, width, fixed in zip(self._graph.searchable, structure.widths, self._lengths.fixed, strict=True):
            # Of a single channel the converter makes other operators (see `probes`).
            if width < group.size and (fixed or width == 1):
                return f"Structures with {width} of the {group.size} channels of {group.name!r} are converted."
        if isinstance(self._template, str):
            return f"All structures are converted, for no twins can be made: {self._template}"
        if not self._template.layout.keeps_kinds(self._lengths.at(structure)):
            return "Structures that are so narrow that all weights of a kind of operator stay float are converted."
        return None

    @functools.cached_property
    def work(self) -> Work:
        """What the operators of the files have to do, from which latencies are predicted.

        Raises:
            ExportError: the network cannot be converted.
            UserError: no twins can be made, so nothing is known of the operators.
        """
        if isinstance(self._template, str):
            raise UserError(
                f"Latencies of {self._graph.name!r} cannot be predicted: {self._template} Use --latency=measured."
            )
        return Work.of_template(self._template)

    def _check(self, structure: Structure) -> None:
        groups = self._graph.searchable
        if len(structure.widths) != len(groups):
            raise SpaceError(
                f"Expected widths for the {len(groups)} searchable groups of {self._graph.name!r}, received "
                f"{len(structure.widths)}. Take a structure of this network's search space."
            )
        for group, width in zip(groups, structure.widths, strict=True):
            if width > group.size:
                raise SpaceError(
                    f"Expected at most the {group.size} channels of group {group.name!r}, received {width}. Take a "
                    "structure of this network's search space."
                )

    @functools.cached_property
    def _full(self) -> bytes:
        kept = self._kept
        return self._convert(self._graph, self._graph.full, self._scheme) if kept is None else kept.contents[0]

    @functools.cached_property
    def _kept(self) -> Template | None:
        """The template in the folder, if there is one that can be used."""
        if self._place is None or not self._place.is_file():
            return None
        try:
            return Template.load(self._place, self._graph, self._scheme)
        except ExportError as error:
            self._tell(str(error))
            return None

    @functools.cached_property
    def _template(self) -> Template | str:
        """The template, or why there is none; raises ExportError where the network cannot be converted at all."""
        full = self._full
        try:
            _require_no_choice(full)
            template = self._kept or Template.make(self._graph, self._scheme, self._converted)
            template.layout.write(self._lengths.at(self._graph.full))  # now, so that a failure is known from here on
        except ExportError as error:
            return str(error)
        if self._place is not None and template is not self._kept:
            template.save(self._place)
        return template

    def _converted(self, graph: ChannelGraph, structure: Structure, scheme: str) -> bytes:
        return self._full if structure == self._graph.full else self._convert(graph, structure, scheme)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            tqdm.write(f"latency: {text}", file=sys.stderr)


def _require_no_choice(data: bytes) -> None:
    """Raises ExportError where the operators of a file hang on more than the structure (`_OF_ONE_SCALE`)."""
    for one in flatbuffer.parse(data).operators:
        if one.op in _OF_ONE_SCALE and any(tensor.dtype == "INT16" for tensor in one.inputs):
            raise ExportError(
                f"Before which inputs of {one.op} the converter puts a QUANTIZE depends, with activations of 16 bits, "
                "on the ranges of their values."
            )
