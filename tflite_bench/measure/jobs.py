"""Many jobs on one device one after the other, or on a pool as many at a time as it has devices."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from types import TracebackType
from typing import Self, TypeVar

from tflite_bench.device import Device

T = TypeVar("T")


class Workers:
    """Threads that run jobs, one for each device that measures at the same time.

    A context manager. Leaving it with an exception (Ctrl-C is one) drops the jobs that have not begun, and interrupts
    the device for the sake of those that have; the device can then only be closed.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._executor = ThreadPoolExecutor(max_workers=device.slots, thread_name_prefix="measure")

    def submit(self, job: Callable[[Device], T]) -> Future[T]:
        """Runs ``job`` with the next free device; the future gives its result."""
        return self._executor.submit(self._device.run_job, job)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.interrupt()
        self.close()

    def close(self) -> None:
        """Waits for the jobs that have begun, and drops the others."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def interrupt(self) -> None:
        """Drops the jobs that have not begun, and interrupts the device."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._device.interrupt()


def run_jobs(device: Device, jobs: Sequence[Callable[[Device], T]]) -> Generator[tuple[int, T], None, None]:
    """Yields the place of each job and its result, as they come: in order on one device, in any order on a pool.

    The jobs run in other threads where ``device`` has several slots; results are handed out in the caller's. When a
    job fails, those that have begun are waited for and handed out first. Close the iterator (``contextlib.closing``)
    where the loop over it may end early.

    Raises:
        BenchError: what the first job that failed raised.
    """
    if device.slots == 1:
        for place, job in enumerate(jobs):
            yield place, device.run_job(job)
        return
    failure: BaseException | None = None
    with Workers(device) as workers:
        places = {workers.submit(job): place for place, job in enumerate(jobs)}
        for future in as_completed(places):
            if future.cancelled():
                continue
            error = future.exception()
            if error is None:
                yield places[future], future.result()
            elif failure is None:
                failure = error
                for other in places:
                    other.cancel()
    if failure is not None:
        raise failure
