"""How one model is timed."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from tflite_bench.errors import OptionsError
from tflite_bench.fields import fields_of

MAX_THREADS = 1024  # Beyond any device; catches a slip of the keyboard before it starts threads.
PINS = ("none", "all", "big", "little")
DELEGATES = ("xnnpack", "none", "gpu", "nnapi")
_MASK = re.compile(r"0x0*[1-9a-f][0-9a-f]*", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """How one model is timed.

    The meaning is that of the ``benchmark_model`` tool: the model runs until both ``num_runs`` and
    ``min_secs`` are reached, and stops early at ``max_secs``. Warm-up likewise, and its times are
    not counted.

    Attributes:
        threads: threads of the CPU kernels, at least 1.
        num_runs: least number of timed inferences, at least 1.
        min_secs: least time of the timed part, in seconds; 0 gives exactly ``num_runs`` inferences.
        max_secs: bound on the warm-up and on the timed part, each, in seconds.
        warmup_runs: least number of inferences before the timed part.
        warmup_min_secs: least time of the warm-up, in seconds.
        seed: seed of the random inputs, where the device lets them be chosen.
        pin: cores that the model may run on: "none" leaves it to the system, "all", "big" (the fastest
            group), "little" (the slowest group), or a hexadecimal mask such as "0xf0".
        delegate: what runs the operators: "xnnpack" (CPU, the runtime's default), "none" (the plain
            kernels), "gpu" or "nnapi" (deprecated since Android 15).
        require_full_delegation: fail where the delegate leaves operators to the plain kernels.

    Raises:
        OptionsError: a value is out of its range.
    """

    threads: int = 1
    num_runs: int = 50
    min_secs: float = 1.0
    max_secs: float = 150.0
    warmup_runs: int = 1
    warmup_min_secs: float = 0.5
    seed: int = 0
    pin: str = "none"
    delegate: str = "xnnpack"
    require_full_delegation: bool = False

    def __post_init__(self) -> None:
        _require_int("threads", self.threads, 1, MAX_THREADS)
        _require_int("num_runs", self.num_runs, 1)
        _require_int("warmup_runs", self.warmup_runs, 0)
        _require_int("seed", self.seed, 0)
        _require_secs("min_secs", self.min_secs)
        _require_secs("warmup_min_secs", self.warmup_min_secs)
        _require_secs("max_secs", self.max_secs)
        if self.pin not in PINS and not _MASK.fullmatch(self.pin):
            raise OptionsError(
                f"Expected pin among {', '.join(PINS)}, or a hexadecimal mask of cores such as 0xf0. "
                f"Received: pin={self.pin!r}."
            )
        if self.delegate not in DELEGATES:
            raise OptionsError(f"Expected delegate among {', '.join(DELEGATES)}. Received: delegate={self.delegate!r}.")
        least = max(self.min_secs, self.warmup_min_secs)
        if self.max_secs <= 0 or self.max_secs < least:
            raise OptionsError(
                "Expected max_secs above 0 and not below min_secs and warmup_min_secs "
                f"({least:g}). Received: max_secs={self.max_secs:g}."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns the options as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BenchOptions:
        """Returns the options of ``to_json``'s data."""
        return cls(**fields_of(cls, data))


def _require_int(name: str, value: object, least: int, most: int | None = None) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not good or (most is not None and isinstance(value, int) and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise OptionsError(f"Expected {name} to be a whole number, {bounds}. Received: {name}={value!r}.")


def _require_secs(name: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(float(str(value))) or float(str(value)) < 0:
        raise OptionsError(f"Expected {name} in seconds, 0 or more. Received: {name}={value!r}.")
