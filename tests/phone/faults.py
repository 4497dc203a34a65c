"""What can be wrong with a phone: one field each, all of them switchable while it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Throttle:
    """A phone that becomes slower as it works.

    Attributes:
        after: inferences after which it begins.
        factor: how much longer an inference takes in the end.
        over: inferences over which it grows to that; 0 is at once.
        status: the thermal status that the phone then tells; None stays silent.
        lowers_clocks: whether ``scaling_max_freq`` shows it.
        recovers_secs: rest after which the phone is cool again; None never.
    """

    after: int = 20
    factor: float = 2.0
    over: int = 0
    status: int | None = 3
    lowers_clocks: bool = True
    recovers_secs: float | None = None

    def at(self, inferences: int) -> float:
        """Returns how much longer the inference takes that comes after ``inferences`` others."""
        if inferences < self.after:
            return 1.0
        reached = 1.0 if self.over == 0 else min((inferences - self.after) / self.over, 1.0)
        return 1.0 + (self.factor - 1.0) * reached


@dataclasses.dataclass(frozen=True)
class Faults:
    """All that is wrong; nothing by default.

    Attributes:
        unauthorized: the phone's user has not allowed this computer.
        silent: a computer that connects gets no answer, and is seen as offline.
        hangs_up: a computer that connects is cut off.
        cut_after_bytes: the line is cut when so many more bytes have come in from the computer.
        cut_after_secs: the line is cut so long after this was set.
        cut_at_output: the line is cut when a command writes this.
        cut_at_command: the line is cut when a command begins that contains this.
        away_secs: how long nobody listens after a cut; 0 is right back, None for ever.
        reset: cut with RST instead of FIN.
        repeats: cuts happen every time, instead of once.
        hang_at: commands that contain this are taken, and never answered; "" is every command.
        refuse_services: every stream is refused.
        ignore_services: streams are neither taken nor refused.
        no_space_after: pushes fail when so many bytes of a file are written.
        cut_pull_after: the line is cut when so many bytes of a file have been sent to the computer.
        stall_push_after: pushes stand still when so many bytes of a file are written.
        flip_bits: so many of the next files that are pushed arrive with one bit flipped.
        keep_partial: a file whose push was cut stays as far as it came.
        throttle: the phone slows down.
        thermal_status: 0 to 6, as ``dumpsys thermalservice`` tells it.
        temperature_c: of the skin.
        battery_percent, battery_c: as ``dumpsys battery`` tells them.
        asleep_again: the screen goes off whatever is done.
        bench_output: what ``benchmark_model`` prints is passed through this; see `tests.phone.mangling`.
        bench_signal: ``benchmark_model`` dies of this signal in the middle.
        bench_hangs: ``benchmark_model`` stops in the middle and never ends.
        bench_exit: ``benchmark_model`` fails with this exit code.
        bench_times: how many calls of ``benchmark_model`` the four above hold for; None for all.
        bench_skip: calls of ``benchmark_model`` before they begin.
    """

    unauthorized: bool = False
    silent: bool = False
    hangs_up: bool = False
    cut_after_bytes: int | None = None
    cut_after_secs: float | None = None
    cut_at_output: bytes | None = None
    cut_at_command: str | None = None
    away_secs: float | None = 0.0
    reset: bool = False
    repeats: bool = False
    hang_at: str | None = None
    refuse_services: bool = False
    ignore_services: bool = False
    no_space_after: int | None = None
    cut_pull_after: int | None = None
    stall_push_after: int | None = None
    flip_bits: int = 0
    keep_partial: bool = False
    throttle: Throttle | None = None
    thermal_status: int = 0
    temperature_c: float = 31.5
    battery_percent: int = 87
    battery_c: float = 27.4
    asleep_again: bool = False
    bench_output: Callable[[bytes], bytes] | None = None
    bench_signal: int | None = None
    bench_hangs: bool = False
    bench_exit: int | None = None
    bench_times: int | None = None
    bench_skip: int = 0
