"""The oldest TFLite runtime that can run a file.

An app that bundles an older runtime does not refuse a newer operator kindly: it crashes, or answers
wrongly. The answer is taken from the version of every operator, from the tensor types (some
quantizers leave the versions of the float model, and some types are computed rightly only later than
their version tells), and from the note that the converter writes into the file; the latest counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tfmeta.export.flatbuffer import FlatModel, OperatorInfo, TensorInfo
from tfmeta.export.runtime_table import ANY_TYPE, BY_TYPE, BY_WEIGHTS, NARROW, PER_CHANNEL, RIGHT_FROM, RUNTIME_OF


@dataclass(frozen=True)
class MinimumRuntime:
    """The oldest runtime that can run a file, as far as it is known.

    Attributes:
        version: the oldest TFLite runtime, "2.9.0"; with ``unknown`` operators a lower bound; None
            if nothing is known.
        unknown: operators with versions or types that the table does not hold, "GATHER v9", "SUM v2 (int16)".
        reason: what asks for that version, "FULLY_CONNECTED v12".
    """

    version: str | None
    unknown: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        if self.version is None:
            return f"unknown ({', '.join(self.unknown) or 'no operators'})"
        if self.unknown:
            return f"at least {self.version}; unknown for {', '.join(self.unknown)}"
        return f"{self.version} ({self.reason})"


def minimum_runtime(model: FlatModel) -> MinimumRuntime:
    """Returns the oldest TFLite runtime for ``model``: the latest that anything in it asks for."""
    asked: list[tuple[str, str]] = []
    unknown: set[str] = set()
    for operator in model.operators:
        versions, no_rule = _versions_by_types(operator)
        unknown |= {f"{operator.op} v{operator.version} ({types})" for types in no_rule}
        version = max(operator.version, *versions, 1)
        runtimes = RUNTIME_OF.get(operator.op, "").split()
        if version > len(runtimes) or runtimes[version - 1] == "-":
            unknown.add(f"{operator.op} v{version}")
        else:
            asked.append((runtimes[version - 1], f"{operator.op} v{version}"))
        right = RIGHT_FROM.get(operator.op, {})
        asked += [
            (right[types], f"{operator.op} v{version}, {types.lower()}") for types in _types(operator) if types in right
        ]
    if model.declared_runtime:
        asked.append((model.declared_runtime, "the converter's note in the file"))
    # max keeps the first of equals, so the operator is told before the note that follows from it.
    version_text, reason = max(asked, key=lambda item: version_key(item[0]), default=(None, "nothing"))
    return MinimumRuntime(version_text, tuple(sorted(unknown)), reason)


def version_by_types(operator: OperatorInfo) -> int:
    """Returns the least version of ``operator`` that handles the types of its tensors; 1 where none is known."""
    return max((1, *_versions_by_types(operator)[0]))


def _versions_by_types(operator: OperatorInfo) -> tuple[list[int], list[str]]:
    """The versions that the types of its tensors ask for, and the types that no version is known for."""
    if operator.op not in RUNTIME_OF or operator.op in ANY_TYPE or operator.op.startswith("CUSTOM:"):
        return [], []
    versions, no_rule = [], []
    table = (BY_WEIGHTS if operator.op in BY_WEIGHTS else BY_TYPE).get(operator.op, {})
    for types in _types(operator):
        version = table.get(types, table.get(types.removesuffix(PER_CHANNEL)))
        if version is not None:
            versions.append(version)
        elif any(kind in NARROW for kind in types.removesuffix(PER_CHANNEL).split(" x ")):
            no_rule.append(types.lower())
    if operator.op == "MUL" and versions == [2] and _grows(operator):
        versions = [3]
    return versions, no_rule


def _types(operator: OperatorInfo) -> list[str]:
    """What the tables are looked up by."""
    if operator.op not in BY_WEIGHTS:
        return sorted({_type(tensor) for tensor in (*operator.inputs, *operator.outputs)})
    # The first input of a transposed convolution is the shape of what it makes.
    operands = operator.inputs[2:0:-1] if operator.op == "TRANSPOSE_CONV" else operator.inputs[:2]
    return [" x ".join((*(tensor.dtype for tensor in operands[:1]), *(_type(tensor) for tensor in operands[1:])))]


def _type(tensor: TensorInfo) -> str:
    per_channel = tensor.quantization is not None and tensor.quantization.per_channel
    return f"{tensor.dtype}{PER_CHANNEL if per_channel else ''}"


def _grows(operator: OperatorInfo) -> bool:
    """Whether the product of the scales that go in is at least the one that comes out."""
    scales = [one.quantization.scale[0] if one.quantization else 0.0 for one in (*operator.inputs, *operator.outputs)]
    return len(scales) == 3 and scales[2] > 0 and scales[0] * scales[1] >= scales[2]


def latest(versions: Iterable[str]) -> str | None:
    """Returns the latest of version numbers like "2.9.0", or None for none."""
    return max(versions, key=version_key, default=None)


def version_key(version: str) -> tuple[int, ...]:
    """Returns what versions like "2.9.0" are compared by; "2.9" is equal to it."""
    numbers = [int(part) if part.isdigit() else 0 for part in version.split(".")]
    return tuple((*numbers, 0, 0)[:3])
