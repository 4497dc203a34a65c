"""The times of single operators, from the tables that ``benchmark_model`` prints."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class OpRow:
    """One operator.

    Attributes:
        type: what it is: ``CONV_2D``, or a delegate's own name such as ``Fully Connected (NC, F32) GEMM``.
        name: which one it is, with its place in the order of running, such as ``[block_1/Relu6]:3``.
        avg_ms: time an inference, on average.
        share: its share of the time of all operators, 0 to 1.
        calls: how often an inference calls it.
        mem_kb: how far it raised the resident memory.
    """

    type: str
    name: str
    avg_ms: float
    share: float
    calls: float
    mem_kb: float


@dataclasses.dataclass(frozen=True)
class OpType:
    """All operators of one type together; fields as in `OpRow`."""

    type: str
    count: int
    avg_ms: float
    share: float


@dataclasses.dataclass(frozen=True)
class OpProfile:
    """How long each operator of a model takes.

    Attributes:
        rows: the operators in the order of running.
        num_runs: number of inferences that the times are averages over.
        init: likewise what loading the model took, such as ``AllocateTensors``.
    """

    rows: tuple[OpRow, ...]
    num_runs: int
    init: tuple[OpRow, ...] = ()
