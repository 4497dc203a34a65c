"""The oldest TFLite runtime that can run a file.

An app that bundles an older runtime does not refuse a newer operator kindly: it crashes. The answer
is taken from the version of every operator, from the tensor types (some quantizers leave the
versions of the float model), and from the note that the converter writes into the file; the latest
of the three counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tfmeta.export.flatbuffer import FlatModel, OperatorInfo

# Operator -> the first runtime with version 1, 2, 3 … of it, for the operators that image networks
# convert to. Facts from LiteRT's tflite/tools/versioning/runtime_version.cc (2026); what is not
# there is unknown here.
RUNTIME_OF: dict[str, tuple[str, ...]] = {
    "ABS": ("1.13.0", "2.4.0", "2.5.0", "2.6.0", "2.12.0"),
    "ADD": ("1.5.0", "1.14.0", "2.4.0", "2.6.0", "2.13.0"),
    "ARG_MAX": ("1.9.0", "1.14.0", "2.9.0"),
    "AVERAGE_POOL_2D": ("1.5.0", "1.14.0", "2.3.0"),
    "BATCH_MATMUL": ("2.3.0", "2.3.0", "2.4.0", "2.5.0"),
    "BATCH_TO_SPACE_ND": ("1.6.0", "1.14.0", "2.3.0", "2.12.0"),
    "CAST": ("1.5.0", "2.7.0", "2.8.0", "2.9.0", "2.12.0", "2.15.0", "2.17.0"),
    "CONCATENATION": ("1.5.0", "1.14.0", "2.3.0", "2.14.0"),
    "CONV_2D": ("1.5.0", "1.14.0", "1.14.0", "2.3.0", "2.4.0", "2.9.0", "2.11.0", "2.15.0"),
    "DEPTHWISE_CONV_2D": ("1.5.0", "1.12.0", "1.14.0", "2.2.0", "2.3.0", "2.3.0", "2.11.0"),
    "DEPTH_TO_SPACE": ("2.1.0", "2.5.0"),
    "DEQUANTIZE": ("1.13.1", "1.14.0", "1.15.0", "2.2.0", "2.7.0", "2.18.0"),
    "DIV": ("1.6.0", "2.3.0"),
    "ELU": ("1.14.0",),
    "EXP": ("1.7.0", "2.12.0"),
    "EXPAND_DIMS": ("1.10.0",),
    "FULLY_CONNECTED": (
        *("1.5.0", "1.10.0", "1.14.0", "1.14.0", "2.0.0", "2.1.0", "2.3.0", "2.3.0", "2.3.0"),
        *("2.11.0", "2.15.0", "2.17.0", "2.18.0"),
    ),
    "GATHER": ("1.6.0", "1.14.0", "1.15.0", "2.4.0", "2.5.0", "2.13.0", "2.15.0"),
    "GELU": ("2.9.0", "2.9.0"),
    "HARD_SWISH": ("1.15.0",),
    "L2_NORMALIZATION": ("1.5.0", "1.14.0"),
    "LEAKY_RELU": ("1.13.1", "2.3.0"),
    "LOCAL_RESPONSE_NORMALIZATION": ("1.5.0",),
    "LOG": ("1.14.0", "2.15.0"),
    "LOGISTIC": ("1.14.0", "1.14.0", "2.3.0"),
    "LOG_SOFTMAX": ("1.14.0", "1.14.0"),
    "MAXIMUM": ("1.14.0", "1.14.0", "2.3.0", "2.3.0"),
    "MAX_POOL_2D": ("1.5.0", "1.14.0", "2.3.0"),
    "MEAN": ("1.6.0", "1.14.0", "2.4.0"),
    "MINIMUM": ("1.14.0", "1.14.0", "2.3.0", "2.3.0"),
    "MIRROR_PAD": ("1.13.1", "2.3.0", "2.12.0"),
    "MUL": ("1.5.0", "1.14.0", "1.15.0", "2.3.0", "2.6.0", "2.11.0", "2.13.0"),
    "NEG": ("1.9.0",),
    "PACK": ("1.11.0", "1.14.0", "2.3.0", "2.13.0"),
    "PAD": ("1.5.0", "1.14.0", "2.4.0", "2.6.0"),
    "PADV2": ("1.9.0", "1.14.0", "2.4.0", "2.6.0"),
    "POW": ("1.10.0",),
    "PRELU": ("1.8.0",),
    "QUANTIZE": ("1.14.0", "1.15.0", "2.7.0"),
    "REDUCE_MAX": ("1.11.0", "1.14.0", "2.5.0"),
    "REDUCE_MIN": ("1.11.0", "1.14.0", "2.5.0"),
    "RELU": ("1.5.0", "2.1.0", "2.5.0"),
    "RELU6": ("1.5.0", "1.14.0", "2.5.0"),
    "RELU_0_TO_1": ("2.10.0",),
    "RELU_N1_TO_1": ("1.5.0",),
    "RESHAPE": ("1.5.0",),
    "RESIZE_BILINEAR": ("1.7.0", "1.14.0", "2.2.0", "2.5.0"),
    "RESIZE_NEAREST_NEIGHBOR": ("1.13.1", "1.14.0", "2.3.0", "2.4.0"),
    "RSQRT": ("1.10.0", "2.5.0", "2.15.0"),
    "SHAPE": ("1.10.0",),
    "SLICE": ("1.14.0", "1.14.0", "1.14.0", "2.4.0", "2.5.0", "2.14.0"),
    "SOFTMAX": ("1.5.0", "1.14.0", "2.3.0"),
    "SPACE_TO_BATCH_ND": ("1.6.0", "1.14.0", "2.3.0", "2.12.0"),
    "SPACE_TO_DEPTH": ("1.5.0", "1.14.0"),
    "SPLIT": ("1.5.0", "1.14.0", "1.14.0", "2.3.0"),
    "SPLIT_V": ("1.13.1", "2.3.0"),
    "SQRT": ("1.10.0",),
    "SQUARE": ("1.12.0",),
    "SQUARED_DIFFERENCE": ("1.13.1", "2.5.0"),
    "SQUEEZE": ("1.6.0", "2.5.0"),
    "STRIDED_SLICE": (*("1.6.0", "1.14.0", "2.1.0", "2.2.0", "2.5.0", "2.6.0", "2.14.0", "2.14.0"),),
    "SUB": ("1.6.0", "1.14.0", "2.3.0", "2.4.0", "2.4.0"),
    "SUM": ("1.10.0", "1.15.0"),
    "TANH": ("1.14.0", "1.14.0", "2.3.0"),
    "TRANSPOSE": ("1.6.0", "1.14.0", "1.15.0", "2.3.0", "2.4.0", "2.12.0", "2.14.4"),
    "TRANSPOSE_CONV": ("1.9.0", "2.2.0", "2.3.0", "2.13.0", "2.15.0"),
}

# The version that a tensor type asks for, whatever the file declares: (of the first computed input)
# -> version.
_PLAIN_BY_TYPE = {"INT8": 2, "INT16": 3}
_BY_TYPE: dict[str, dict[str, int]] = {
    "CONV_2D": {"INT8": 3, "INT16": 4},
    "DEPTHWISE_CONV_2D": {"INT8": 3, "INT16": 5},
    "FULLY_CONNECTED": {"INT8": 4, "INT16": 7},
    "DEQUANTIZE": {"INT8": 2, "INT16": 3, "FLOAT16": 3},
    "MAXIMUM": {"INT8": 2, "INT16": 4},
    "MINIMUM": {"INT8": 2, "INT16": 4},
    "MUL": {"INT8": 2, "INT16": 4},
    "PAD": _PLAIN_BY_TYPE,
    "PADV2": _PLAIN_BY_TYPE,
    "SUB": {"INT8": 2, "INT16": 5},
    "TRANSPOSE": {"INT8": 2, "INT16": 5},
    "TRANSPOSE_CONV": {"INT8": 2},
}
_BY_TYPE |= dict.fromkeys(
    (
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "RELU",
        "RELU6",
        "SOFTMAX",
        "TANH",
    ),
    _PLAIN_BY_TYPE,
)
# Float activations with int8 weights: (one scale, a scale per channel).
_HYBRID = {"CONV_2D": (2, 5), "DEPTHWISE_CONV_2D": (4, 6), "FULLY_CONNECTED": (3, 12)}


@dataclass(frozen=True)
class MinimumRuntime:
    """The oldest runtime that can run a file, as far as it is known.

    Attributes:
        version: the oldest TFLite runtime, "2.9.0"; with ``unknown`` operators a lower bound; None
            if nothing is known.
        unknown: operators with versions that the table does not hold, "GATHER v9".
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
        version = max(operator.version, version_by_types(operator))
        runtimes = RUNTIME_OF.get(operator.op, ())
        if version > len(runtimes):
            unknown.add(f"{operator.op} v{version}")
        else:
            asked.append((runtimes[version - 1], f"{operator.op} v{version}"))
    if model.declared_runtime:
        asked.append((model.declared_runtime, "the converter's note in the file"))
    # max keeps the first of equals, so the operator is told before the note that follows from it.
    version_text, reason = max(asked, key=lambda item: version_key(item[0]), default=(None, "nothing"))
    return MinimumRuntime(version_text, tuple(sorted(unknown)), reason)


def version_by_types(operator: OperatorInfo) -> int:
    """Returns the least version of ``operator`` that handles the types of its tensors."""
    if operator.op == "QUANTIZE":  # the type of what it makes counts, not of what it reads
        return 2 if any(tensor.dtype == "INT16" for tensor in operator.outputs) else 1
    # Weights of 16-bit floats are constants that a DEQUANTIZE widens.
    computed = [tensor for tensor in operator.inputs if not tensor.constant or operator.op == "DEQUANTIZE"]
    if not computed:
        return 1
    activation = computed[0].dtype
    if activation == "FLOAT32" and operator.op in _HYBRID:
        for weights in operator.inputs[1:2]:
            if weights.dtype == "INT8":
                per_channel = weights.quantization is not None and weights.quantization.per_channel
                return _HYBRID[operator.op][per_channel]
    return _BY_TYPE.get(operator.op, {}).get(activation, 1)


def latest(versions: Iterable[str]) -> str | None:
    """Returns the latest of version numbers like "2.9.0", or None for none."""
    return max(versions, key=version_key, default=None)


def version_key(version: str) -> tuple[int, ...]:
    """Returns what versions like "2.9.0" are compared by; "2.9" is equal to it."""
    numbers = [int(part) if part.isdigit() else 0 for part in version.split(".")]
    return tuple((*numbers, 0, 0)[:3])
