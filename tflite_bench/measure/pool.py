"""Several devices of one model as one device: jobs go to a free one, and a sick one is set aside."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.op_profile import OpProfile
from tflite_bench.device import Device, LoadedModel
from tflite_bench.errors import (
    DeviceBusyError,
    DeviceError,
    DeviceHotError,
    DeviceHungError,
    DeviceLostError,
    OptionsError,
)
from tflite_bench.messages import tell
from tflite_bench.types import DeviceInfo

T = TypeVar("T")

# How long a device is set aside after its first failure in a row; twice as long after each further one.
REST_SECS = 60.0
MAX_REST_SECS = 960.0
# While every device is away, one of them is looked for this often.
_LOOK_SECS = 1.0
# A hot device is looked at this often while it cools; it knows itself when that has lasted long enough.
HOT_REST_SECS = 5.0
# So many devices that are else in order are enough to say that it is the job that fails.
_WITNESSES = 2


@dataclasses.dataclass
class _Member:
    device: Device
    info: DeviceInfo
    name: str
    busy: bool = False
    done: int = 0  # jobs since it was last set aside
    failures: int = 0  # in a row
    error: DeviceError | None = None  # why it is set aside; None while it is in order
    back_at: float = 0.0  # when it may be tried again


class Pool(Device):
    """Several devices of one model as one device.

    `run_job` gives each job a device that nothing else uses. A device that fails gets the job once more, as a phone
    may have been disturbed; one that was lost, hung or is in other hands does not. Then the job goes to another. Where
    that one manages it, the first is set aside; a job that fails on two devices that are else in order is at fault
    itself. After a rest, whoever finds no other device free tries it again. A device that is too hot, or stays
    throttled, rests as well while others can take its work. All of this is told on the screen.

    Latencies of different models are not comparable. So all devices must have the same `DeviceInfo.fingerprint`: that
    of most of them, or of the first in the list among equally many. The others are left out, which is told.

    Args:
        devices: open devices, closed with the pool.
        lost_secs: how long to wait for any device when all of them are away, in seconds.
        rest_secs: for how long a device is first set aside, in seconds.
        clock: tells the time in seconds.

    Raises:
        OptionsError: no devices.
        DeviceError: none of them can be used; the text names each and why.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        *,
        lost_secs: float = 600.0,
        rest_secs: float = REST_SECS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not devices:
            raise OptionsError("Expected at least one device for a pool. Received none.")
        self._lost_secs, self._rest_secs, self._clock = lost_secs, rest_secs, clock
        self._changed = threading.Condition()
        self._interrupted = False
        self._all_away_since: float | None = None
        try:
            self._members = _of_one_model(_reachable(devices))
        except BaseException:
            _each(device.close for device in devices)
            raise

    @property
    def slots(self) -> int:
        """The number of devices."""
        return len(self._members)

    def info(self) -> DeviceInfo:
        """Returns what all devices of the pool have in common; the serial names all of them."""
        serials = ",".join(member.info.serial for member in self._members)
        return dataclasses.replace(self._members[0].info, serial=serials)

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> LoadedModel:
        """Raises an error: a model stays on one device, so it is loaded within `run_job`."""
        raise OptionsError("A pool loads no model by itself: expected run_job(lambda device: device.load(...)).")

    def profile(self, model: str | os.PathLike[str], options: BenchOptions | None = None) -> OpProfile:
        """Returns how long each operator of ``model`` takes on a free device."""
        return self.run_job(lambda device: device.profile(model, options))

    def run_job(self, job: Callable[[Device], T]) -> T:
        """Returns ``job(device)`` of the first device that manages it.

        Raises:
            DeviceError: what ``job`` raised on two devices that are else in order, or on all of them. Or no device is
                left; the text names each and why. Or the pool was interrupted.
            BenchError: what ``job`` raised besides.
        """
        failed: list[tuple[_Member, int, DeviceError]] = []
        throttled: list[_Member] = []
        while True:
            member = self._lease([one for one, _, _ in failed], throttled)
            try:
                # The last one measures all the same.
                member.device.replaceable = len(throttled) + 1 < len(self._members)
                result = self._tried(member, job)
            except (DeviceLostError, DeviceBusyError) as error:
                self._set_aside(member, error)
            except DeviceHotError as error:
                throttled += [member] if error.measured else []
                self._set_aside(member, error)
            except DeviceError as error:
                failed.append((member, member.done, error))
                self._give_back(member)
                if self._interrupted:
                    raise
                if self._is_at_fault(failed):
                    names = " and ".join(one.name for one, _, _ in failed)
                    raise type(error)(f"{error} It was tried on {names}." if len(failed) > 1 else str(error)) from error
                tell(f"{member.name}: {error} Another device tries it.")
            except BaseException:
                self._give_back(member)
                raise
            else:
                self._give_back(member, proven=True)
                for one, done, why in failed:
                    self._blame(one, done, why)
                return result

    def _is_at_fault(self, failed: Sequence[tuple[_Member, int, DeviceError]]) -> bool:
        """Whether it is the job that fails, and not the devices."""
        with self._changed:
            witnesses = [one for one, _, _ in failed if one.done]
            tried = [one for one, _, _ in failed]
            left = [one for one in self._members if one not in tried and one.error is None]
            return len(witnesses) >= _WITNESSES or not left

    def interrupt(self) -> None:
        """Ends all waiting for devices, and interrupts each."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()
        _each(member.device.interrupt for member in self._members)

    def close(self) -> None:
        """Closes all devices."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()
        _each(member.device.close for member in self._members)

    def _tried(self, member: _Member, job: Callable[[Device], T]) -> T:
        try:
            return job(member.device)
        except (DeviceLostError, DeviceBusyError, DeviceHotError, DeviceHungError):
            raise
        except DeviceError as error:
            # On its way back it gets no second chance: others may be free by now.
            if self._interrupted or member.error is not None:
                raise
            tell(f"{member.name}: {error} It gets another try.")
            return job(member.device)

    def _lease(self, failed: Sequence[_Member] = (), throttled: Sequence[_Member] = ()) -> _Member:
        """Waits for a device but those in ``failed``, best for one that is not in ``throttled`` either."""
        wanted = [member for member in self._members if member not in failed]
        fresh = [member for member in wanted if member not in throttled]
        with self._changed:
            while True:
                if self._interrupted:
                    raise DeviceError("The devices are no longer in use: it was stopped.")
                there = any(one.busy or not isinstance(one.error, DeviceLostError) for one in fresh)
                idle = [member for member in (fresh if there else wanted) if not member.busy]
                fit = [member for member in idle if member.error is None]
                rested = [member for member in idle if member.back_at <= self._clock()]
                for member in (*fit, *rested):
                    member.busy = True
                    return member
                if not any(member.busy for member in wanted):
                    self._check_all_away(wanted)
                self._changed.wait(self._secs_to_next())

    def _secs_to_next(self) -> float:
        """Seconds until a device that was set aside may be tried again."""
        waiting = [member.back_at for member in self._members if not member.busy]
        return max(0.01, min(waiting) - self._clock()) if waiting else self._rest_secs

    def _check_all_away(self, wanted: Sequence[_Member]) -> None:
        """Lets the lost devices be looked for while there is time; ``_changed`` is held."""
        now = self._clock()
        if any(isinstance(member.error, DeviceHotError) for member in wanted):
            return  # it cools, or gives up cooling
        lost = [member for member in wanted if isinstance(member.error, DeviceLostError)]
        if not lost:
            self._all_away_since = None
        elif self._all_away_since is None:
            self._all_away_since = now
            tell(f"No device is left. Waiting up to {self._lost_secs:.0f} s for one to come back.")
        if self._all_away_since is None or now - self._all_away_since >= self._lost_secs:
            raise DeviceError(_none_left(self._members))
        for member in lost:
            member.back_at = min(member.back_at, now + _LOOK_SECS)

    def _set_aside(self, member: _Member, error: DeviceError) -> None:
        with self._changed:
            known, member.error, member.busy = member.error, error, False
            hot = isinstance(error, DeviceHotError)
            rest_secs = HOT_REST_SECS if hot else min(self._rest_secs * 2**member.failures, MAX_REST_SECS)
            member.failures += not hot
            member.done = member.done if hot else 0
            member.back_at = self._clock() + rest_secs
            self._changed.notify_all()
            if hot and not self._interrupted and not isinstance(known, DeviceHotError):
                tell(f"{member.name} rests: {error} Its work goes to the others while they are cooler.")
            elif not hot and not self._interrupted and (known is None or str(known) != str(error)):
                others = "Its work goes to the others" if len(self._members) > 1 else "There is no other"
                tell(f"{member.name} is set aside: {error} {others}; it is tried again in {rest_secs:.0f} s.")

    def _blame(self, member: _Member, done: int, error: DeviceError) -> None:
        """Sets a device aside that failed with a job which another managed; not where it did another one since."""
        with self._changed:
            if member.busy or member.done > done:
                return
        self._set_aside(member, error)

    def _give_back(self, member: _Member, *, proven: bool = False) -> None:
        with self._changed:
            member.busy = False
            if proven:
                if member.error is not None:
                    tell(f"{member.name} is back.")
                member.done += 1
                member.error, member.failures, self._all_away_since = None, 0, None
            self._changed.notify_all()


def _each(actions: Iterable[Callable[[], None]]) -> None:
    """Does all of them, also where some fail; then raises the error of the last of those."""
    with contextlib.ExitStack() as stack:
        for action in reversed(list(actions)):
            stack.callback(action)


def _reachable(devices: Sequence[Device]) -> list[_Member]:
    """Those that tell what they are; the others are closed, and told of."""
    members: list[_Member] = []
    failures: list[str] = []
    for place, device in enumerate(devices):
        try:
            info = device.info()
        except DeviceError as error:
            failures.append(str(error))
            tell(f"Device {place + 1} of the pool is left out: {error}")
            device.close()
        else:
            members.append(_Member(device, info, f"{info.name} {info.serial or place + 1}"))
    if not members:
        raise DeviceError(f"No device of the pool can be used: {' '.join(failures)}")
    return members


def _of_one_model(members: list[_Member]) -> list[_Member]:
    """Those with the most common fingerprint; the others are closed, and told of."""
    wanted = collections.Counter(member.info.fingerprint for member in members).most_common(1)[0][0]
    model = next(member for member in members if member.info.fingerprint == wanted)
    kept: list[_Member] = []
    for member in members:
        if member.info.fingerprint == wanted:
            kept.append(member)
            continue
        theirs, ours = (dataclasses.asdict(one.info) for one in (member, model))
        unlike = [
            f"{name} {theirs[name] or 'none'!s} instead of {ours[name] or 'none'!s}"
            for name in ours
            if name != "serial" and theirs[name] != ours[name]
        ]
        tell(
            f"{member.name} is left out: it has {', '.join(unlike)}, so its latencies are not comparable with those "
            f"of {model.name}."
        )
        member.device.close()
    return kept


def _none_left(members: Sequence[_Member]) -> str:
    reasons = "; ".join(f"{member.name}: {str(member.error).rstrip('.')}" for member in members)
    return f"No device of the pool is left. {reasons}. Mend one of them and run the same command again."
