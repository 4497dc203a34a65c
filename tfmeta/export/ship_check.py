"""Is a .tflite file fit to ship? Every known way in which one fails in an app, looked for in the file itself.

Works on files of any origin. What is read is plain data of the file; nothing is run here, see `ship_run` for that.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfmeta.errors import ExportError, UserError
from tfmeta.export import flatbuffer
from tfmeta.export.flatbuffer import FlatModel, TensorInfo
from tfmeta.export.model_metadata import OWN, STANDARD, associated_files
from tfmeta.export.runtime_table import RUNTIME_OF
from tfmeta.export.runtime_version import minimum_runtime, version_key
from tfmeta.export.weights import weights_of

OK, INFO, WARN, FAIL = "ok", "info", "warn", "fail"

_VERSION = re.compile(r"\d+(\.\d+){1,2}")
_BYTES_PER_MB = 1_000_000
# Names that a converter makes up; they change from one export to the next.
_GENERATED = re.compile(
    r"^$|^(keras_tensor|input_layer|Identity)(_\d+)?$|^(args|inputs?|outputs?)_\d+$|^(StatefulPartitionedCall|serving_default)"
)
_INTEGER = ("INT8", "UINT8", "INT16")


@dataclass(frozen=True)
class ShipOptions:
    """What the app that takes the file asks for.

    Attributes:
        min_runtime: the oldest TFLite runtime among the app's users, "2.16"; None asks nothing.
        max_size_mb: the largest size in 10^6 bytes; None asks nothing.
        num_labels: number of class names that the app has; None asks nothing.

    Raises:
        UserError: a value out of its range.
    """

    min_runtime: str | None = None
    max_size_mb: float | None = None
    num_labels: int | None = None

    def __post_init__(self) -> None:
        if self.min_runtime is not None and not _VERSION.fullmatch(self.min_runtime):
            raise UserError(f"Expected a runtime version such as 2.16. Received: {self.min_runtime!r}.")
        if self.max_size_mb is not None and not self.max_size_mb > 0:
            raise UserError(f"Expected a size above 0 MB. Received: {self.max_size_mb}.")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        level: "ok", "info" (nothing to judge), "warn" (ships, but may surprise) or "fail".
        text: what was found, and what to do where something is to be done.
    """

    check: str
    level: str
    text: str


@dataclass(frozen=True)
class ShipReport:
    """What was found of one file."""

    path: Path
    findings: tuple[Finding, ...]

    @property
    def fits(self) -> bool:
        """Whether no check failed."""
        return all(finding.level != FAIL for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain data."""
        return {"file": str(self.path), "fits": self.fits, "findings": [asdict(finding) for finding in self.findings]}

    def __str__(self) -> str:
        width = max(len(finding.check) for finding in self.findings)
        lines = [f"{finding.level.upper():<5} {finding.check:<{width}}  {finding.text}" for finding in self.findings]
        failed = sum(finding.level == FAIL for finding in self.findings)
        verdict = "fit to ship" if self.fits else f"not fit to ship: {failed} check{'s' if failed > 1 else ''} failed"
        return "\n".join([*lines, f"{self.path.name or self.path}: {verdict}"])


def ship_check(path: str | os.PathLike[str], options: ShipOptions | None = None) -> ShipReport:
    """Returns what speaks against shipping the file at ``path``.

    A file that is damaged or not there gives a report with one failure, so that a build server gets an answer in any
    case.
    """
    path = Path(path)
    try:
        contents = flatbuffer.read(path)
    except ExportError as error:
        return ShipReport(path, (Finding("file", FAIL, str(error)),))
    return ShipReport(path, tuple(_findings(path, contents, options or ShipOptions())))


def _findings(path: Path, contents: FlatModel, options: ShipOptions) -> Iterator[Finding]:
    yield _size(contents, options)
    yield _runtime(contents, options)
    yield _operators(contents)
    yield _shapes(contents)
    yield _names(contents)
    yield from _ends(contents)
    yield _weights(contents)
    if options.num_labels is not None:
        yield _labels(contents, options.num_labels)
    yield _metadata(path, contents)


def _size(contents: FlatModel, options: ShipOptions) -> Finding:
    size_mb = contents.size_bytes / _BYTES_PER_MB
    if options.max_size_mb is not None and size_mb > options.max_size_mb:
        advice = "Prune further, or export with 8-bit weights."
        return Finding("size", FAIL, f"{size_mb:.3f} MB, more than the {options.max_size_mb:g} MB allowed. {advice}")
    return Finding("size", INFO if options.max_size_mb is None else OK, f"{size_mb:.3f} MB")


def _runtime(contents: FlatModel, options: ShipOptions) -> Finding:
    needed, told = minimum_runtime(contents), []
    if contents.declared_runtime and needed.version not in (None, contents.declared_runtime):
        told.append(f"the file itself claims {contents.declared_runtime}")
    text = "; ".join([f"needs {needed}" if needed.version else f"needs: {needed}", *told])
    asked = options.min_runtime
    if asked is None:
        return Finding("runtime", WARN if needed.unknown else INFO, text)
    if needed.version is not None and version_key(needed.version) > version_key(asked):
        advice = "Older ones crash on it or answer wrongly: export with another scheme, or update the app's LiteRT."
        return Finding("runtime", FAIL, f"{text}, later than {asked}. {advice}")
    if needed.unknown:
        return Finding("runtime", FAIL, f"{text}, so {asked} cannot be promised. Try the file on that runtime.")
    return Finding("runtime", OK, f"{text}, and {asked} is there")


def _operators(contents: FlatModel) -> Finding:
    custom = sorted({one.op.removeprefix("CUSTOM:") for one in contents.operators if one.op.startswith("CUSTOM:")})
    flex = [name for name in custom if name.startswith("Flex")]
    foreign = [name for name in custom if name not in flex and f"CUSTOM:{name}" not in RUNTIME_OF]
    if flex:
        advice = "An app needs the select-ops library for it, of some 20 MB. Convert without SELECT_TF_OPS."
        return Finding("operators", FAIL, f"TensorFlow operators: {', '.join(flex)}. {advice}")
    if foreign:
        return Finding("operators", FAIL, f"custom operators: {', '.join(foreign)}. The app must bring code for them.")
    names = f"{len(contents.operators)}, of {len({one.op for one in contents.operators})} kinds"
    if contents.num_graphs > 1:
        text = f"{names}, in {contents.num_graphs} graphs: branches or loops, which delegates leave to the CPU"
        return Finding("operators", WARN, text)
    if custom:
        return Finding("operators", WARN, f"{names}; custom, but part of the TFLite runtime: {', '.join(custom)}")
    return Finding("operators", OK, f"{names}, all builtin")


def _shapes(contents: FlatModel) -> Finding:
    ends = {**contents.inputs, **contents.outputs}
    open_ends = {name: list(tensor.shape_signature) for name, tensor in ends.items() if -1 in tensor.shape_signature}
    if not open_ends:
        return Finding("shapes", OK, ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in ends.items()))
    told = ", ".join(f"{name} {shape}" for name, shape in open_ends.items())
    if any(-1 in shape[1:] for shape in open_ends.values()):
        return Finding("shapes", FAIL, f"open sizes: {told}. Convert with the image size that the phone will feed.")
    return Finding("shapes", WARN, f"open batch: {told}. GPU and NPU delegates refuse it: convert with batch size 1.")


def _names(contents: FlatModel) -> Finding:
    if not contents.signatures:
        ends = ", ".join(repr(name) for name in (*contents.inputs, *contents.outputs))
        return Finding("names", WARN, f"no signature; apps must go by position, or by {ends}")
    made_up = [name for name in (*contents.inputs, *contents.outputs) if _GENERATED.search(name)]
    if made_up:
        names = ", ".join(repr(name) for name in made_up)
        return Finding(
            "names", WARN, f"made up by the converter: {names}. They may change: name the Input and outputs."
        )
    several = f"; {len(contents.signatures)} signatures" if len(contents.signatures) > 1 else ""
    ends = f"{', '.join(contents.inputs)} → {', '.join(contents.outputs)}"
    return Finding("names", OK, f"signature {contents.signatures[0]!r}: {ends}{several}")


def _ends(contents: FlatModel) -> Iterator[Finding]:
    for side, tensors in (("input", contents.inputs), ("output", contents.outputs)):
        if not tensors:
            yield Finding(side, FAIL, "none. Export the model again.")
        for name, tensor in tensors.items():
            yield _end(side, name, tensor)


def _end(side: str, name: str, tensor: TensorInfo) -> Finding:
    dtype = tensor.dtype.lower()
    if tensor.dtype not in _INTEGER:
        return Finding(side, OK, f"{name}: {dtype}, nothing to scale")
    if tensor.quantization is None or not all(scale > 0 for scale in tensor.quantization.scale):
        advice = "Apps cannot turn it into numbers: convert again with quantization parameters, or with float ends."
        return Finding(side, FAIL, f"{name}: {dtype} without a scale. {advice}")
    scale, zero = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    stored = f"(stored {'-' if zero > 0 else '+'} {abs(zero)})" if zero else "stored"
    return Finding(side, INFO, f"{name}: {dtype}, value = {scale:.6g} * {stored}")


def _weights(contents: FlatModel) -> Finding:
    stored: dict[str, list[str]] = {}
    for op, kinds in weights_of(contents.operators).items():
        for kind in kinds:
            stored.setdefault(kind, []).append(op)
    told = "; ".join(f"{kind}: {', '.join(ops)}" for kind, ops in sorted(stored.items()))
    return Finding("weights", INFO, told or "none beside the operators")


def _labels(contents: FlatModel, count: int) -> Finding:
    classes = {name: tensor.shape[-1] for name, tensor in contents.outputs.items() if tensor.shape}
    if count in classes.values():
        return Finding("labels", OK, f"{count}, one for each class")
    told = ", ".join(f"{name} has {size}" for name, size in classes.items()) or "no output has classes"
    advice = "Give the labels of this model, one a line."
    return Finding("labels", FAIL, f"{count} labels do not fit the classes: {told}. {advice}")


def _metadata(path: Path, contents: FlatModel) -> Finding:
    try:
        named = associated_files(contents)
    except ExportError as error:
        return Finding("metadata", FAIL, str(error))
    try:
        if named:
            with zipfile.ZipFile(path) as archive:
                for name in named:
                    archive.read(name)
    except Exception as error:  # a damaged archive fails anywhere in its reader, with any type of error
        advice = "The end of the file is cut off, damaged, or was lost when it was changed: export it again."
        text = f"expected {', '.join(named)} in an archive at the end of the file ({error})"
        return Finding("metadata", FAIL, f"{text}. {advice}")
    known = contents.metadata.keys() & {STANDARD, OWN}
    text = "input normalisation is in the file" if known else "the file does not say how images are normalised"
    return Finding("metadata", INFO, text)


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Returns the class names in a text file, one a line.

    Raises:
        UserError: it cannot be read, or is empty.
    """
    try:
        lines: Sequence[str] = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"Cannot read the labels at {str(path)!r} ({why}). Expected text, one label a line.") from error
    labels = tuple(line.strip() for line in lines)
    while labels and not labels[-1]:
        labels = labels[:-1]
    if not labels or not all(labels):
        received = "empty lines" if labels else "none"
        raise UserError(f"Expected one label a line in {str(path)!r}. Received: {received}.")
    return labels
