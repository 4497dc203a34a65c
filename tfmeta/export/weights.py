"""How the weights in a file are stored, whether an operator reads them itself or gets them unpacked."""

from __future__ import annotations

from collections.abc import Sequence

from tfmeta.export.flatbuffer import OperatorInfo

# These turn what is stored into the floats that another operator reads, in this order where both do.
_UNPACKING = ("DENSIFY", "DEQUANTIZE")
_NUMBERS = ("FLOAT32", "FLOAT16", "BFLOAT16", "UINT8", "INT2", "INT4", "INT8", "INT16")


def weights_of(operators: Sequence[OperatorInfo]) -> dict[str, tuple[str, ...]]:
    """Returns how the constants that are computed with are stored: the operator, "CONV_2D", to its kinds, sorted.

    A kind is "float32", "int8 per channel", "int4 per tensor". The bias does not count. Operators without any are left
    out.
    """
    unpacked = {
        tensor: one.inputs[0] for one in operators if one.op in _UNPACKING for tensor in one.outputs if one.inputs
    }
    kinds: dict[str, set[str]] = {}
    for operator in operators:
        if operator.op in _UNPACKING:
            continue
        for tensor in operator.inputs[:2]:
            for _ in _UNPACKING:
                tensor = unpacked.get(tensor, tensor)
            if tensor.constant and tensor.dtype in _NUMBERS:
                channel = tensor.quantization is not None and tensor.quantization.per_channel
                scales = "" if tensor.quantization is None else " per channel" if channel else " per tensor"
                kinds.setdefault(operator.op, set()).add(f"{tensor.dtype.lower()}{scales}")
    return {op: tuple(sorted(found)) for op, found in sorted(kinds.items())}
